-- What else is registered about clients, authorization requests that were pushed (RFC 9126), and clients that register themselves (RFC 7591, 7592).
-- From now on the challenge of a code may be empty: a client of SMART 1.0 sent none.

ALTER TABLE client ADD COLUMN properties TEXT NOT NULL DEFAULT '{}'; -- ClientProperties as JSON

CREATE TABLE pushed_request (
  hash       BLOB PRIMARY KEY,        -- of the handle in its request_uri
  client     TEXT NOT NULL,
  query      TEXT NOT NULL,           -- the parameters as form data
  pushed     INTEGER NOT NULL,        -- 1: came by the PAR endpoint
  signed     INTEGER NOT NULL,        -- 1: came as a signed request object
  begun      INTEGER NOT NULL,        -- 0: waits for a browser, once; 1: a browser has begun with it
  expires_at INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX pushed_request_end ON pushed_request (expires_at);

CREATE TABLE initial_access_token (
  hash       BLOB PRIMARY KEY,
  id         TEXT NOT NULL UNIQUE,    -- by which it is listed and taken back
  name       TEXT NOT NULL,           -- whom it is for
  uses_left  INTEGER NOT NULL,
  created_at INTEGER NOT NULL,
  expires_at INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE dynamic_registration (   -- without a reference: a client that removes itself still counts for the hour
  client        TEXT PRIMARY KEY,
  token_hash    BLOB UNIQUE,          -- of the registration access token; NULL: the client is gone
  registered_at INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX dynamic_registration_time ON dynamic_registration (registered_at);
