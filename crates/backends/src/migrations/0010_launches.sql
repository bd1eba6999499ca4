-- Launches that an EHR made for apps, and the launch context that comes with the tokens of a grant.

CREATE TABLE launch (
  hash       BLOB PRIMARY KEY,      -- SHA-256 of the handle
  client     TEXT NOT NULL,         -- without a reference: a launch for a client that is gone counts for nobody
  user       TEXT,                  -- NULL: whoever signs in and may see the context
  patient    TEXT,
  context    TEXT NOT NULL,         -- ContextParameters as JSON
  created_at INTEGER NOT NULL,
  expires_at INTEGER NOT NULL,
  used       INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX launch_end ON launch (expires_at);

ALTER TABLE grant_ ADD COLUMN context TEXT NOT NULL DEFAULT '{}'; -- ContextParameters as JSON
