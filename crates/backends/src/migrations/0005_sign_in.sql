-- Wrong passwords are counted under keyed hashes, for unknown names as for known ones. Grants know when a token was last issued and, apart from
-- that, when they were last used.

CREATE TABLE sign_in_attempt (
  key             BLOB PRIMARY KEY,   -- AttemptKey
  failures        INTEGER NOT NULL,
  locked_until    INTEGER,
  last_failure_at INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX sign_in_attempt_age ON sign_in_attempt (last_failure_at);

ALTER TABLE user DROP COLUMN failures;
ALTER TABLE user DROP COLUMN locked_until;

ALTER TABLE grant_ ADD COLUMN issued_at INTEGER NOT NULL DEFAULT 0; -- the last access token; 0: none yet
UPDATE grant_ SET issued_at = last_used_at;                          -- last_used_at: from now on 0 where it was never used
