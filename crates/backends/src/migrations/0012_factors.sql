-- How people sign in: where a session was opened and how, second factors, passkeys, one-time links, accounts that are locked or were recovered.

ALTER TABLE session ADD COLUMN last_used_at INTEGER NOT NULL DEFAULT 0;
UPDATE session SET last_used_at = authenticated_at;
ALTER TABLE session ADD COLUMN methods TEXT NOT NULL DEFAULT 'password'; -- names of Method separated by spaces
ALTER TABLE session ADD COLUMN second_factor_at INTEGER;
ALTER TABLE session ADD COLUMN browser TEXT NOT NULL DEFAULT '';
ALTER TABLE session ADD COLUMN network TEXT NOT NULL DEFAULT '';
ALTER TABLE session ADD COLUMN recovered_by TEXT;  -- who gave the account back, where nothing has yet confirmed that its owner has it

ALTER TABLE grant_ ADD COLUMN methods TEXT;        -- those of the session in which it was given; NULL: given before they were noted

ALTER TABLE user ADD COLUMN locked_at INTEGER;
ALTER TABLE user ADD COLUMN recovered_by TEXT;

CREATE TABLE totp (
  user       TEXT PRIMARY KEY REFERENCES user (id) ON DELETE CASCADE,
  sealed     BLOB NOT NULL,
  last_step  INTEGER NOT NULL,       -- the last step whose code was accepted
  created_at INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE recovery_code (         -- a code that was used is gone
  user TEXT NOT NULL REFERENCES user (id) ON DELETE CASCADE,
  hash BLOB NOT NULL,                -- keyed: its key is no part of this file's plain text
  PRIMARY KEY (user, hash)
) STRICT, WITHOUT ROWID;

CREATE TABLE passkey (
  id           BLOB PRIMARY KEY,     -- the credential id
  user         TEXT NOT NULL REFERENCES user (id) ON DELETE CASCADE,
  public_key   BLOB NOT NULL,        -- an uncompressed point of P-256
  sign_count   INTEGER NOT NULL,
  backed_up    INTEGER NOT NULL,
  name         TEXT NOT NULL,
  created_at   INTEGER NOT NULL,
  last_used_at INTEGER
) STRICT, WITHOUT ROWID;
CREATE INDEX passkey_of_user ON passkey (user);

CREATE TABLE spent_challenge (       -- challenges carry their own proof; only those that were answered are kept, until their end
  hash       BLOB PRIMARY KEY,
  expires_at INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX spent_challenge_end ON spent_challenge (expires_at);

CREATE TABLE one_time_link (         -- a link that was used is gone
  hash       BLOB PRIMARY KEY,
  user       TEXT NOT NULL REFERENCES user (id) ON DELETE CASCADE,
  purpose    TEXT NOT NULL,          -- LinkPurpose::as_str()
  created_by TEXT NOT NULL,
  expires_at INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX one_time_link_of_user ON one_time_link (user);
CREATE INDEX one_time_link_end ON one_time_link (expires_at);
