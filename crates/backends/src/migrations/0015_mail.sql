-- Mail to people: their addresses, the letters that wait or went, and the people who asked for a new password.

ALTER TABLE user ADD COLUMN signed_in_at INTEGER;    -- the first sign-in; NULL: the account was never used
UPDATE user SET signed_in_at = created_at WHERE password_hash <> ''; -- nobody knows any more: it may have been

ALTER TABLE one_time_link ADD COLUMN mailed INTEGER NOT NULL DEFAULT 0; -- 1: it was told to the person's mail address and to nobody else

CREATE TABLE user_mail (
  user       TEXT PRIMARY KEY REFERENCES user (id) ON DELETE CASCADE,
  address    TEXT NOT NULL,
  address_key TEXT NOT NULL,           -- in small letters
  language   TEXT NOT NULL,            -- en or es
  vouched_by TEXT                      -- the operator who set it, while nothing has shown that its owner reads there
) STRICT, WITHOUT ROWID;
CREATE INDEX user_mail_address ON user_mail (address_key);

CREATE TABLE letter (
  id          TEXT PRIMARY KEY,        -- also its Message-ID
  user        TEXT REFERENCES user (id) ON DELETE CASCADE, -- NULL: it is not known yet whom a request for a new password is about
  kind        TEXT NOT NULL,           -- LetterKind::as_str()
  sealed      BLOB,                    -- the letter, or the name that was typed; NULL once it has ended
  created_at  INTEGER NOT NULL,
  due_at      INTEGER NOT NULL,        -- not before
  gives_up_at INTEGER NOT NULL,
  attempts    INTEGER NOT NULL,
  ended_at    INTEGER,
  outcome     TEXT                     -- sent, or why not
) STRICT, WITHOUT ROWID;
CREATE INDEX letter_due ON letter (due_at) WHERE sealed IS NOT NULL;
CREATE INDEX letter_of_user ON letter (user, kind, created_at);
CREATE INDEX letter_ended ON letter (ended_at);

-- An account elsewhere that an operator linked with an account in use here lets that operator in: whoever signs in with it is recovered by them.
ALTER TABLE federated_identity ADD COLUMN unconfirmed INTEGER NOT NULL DEFAULT 0;
