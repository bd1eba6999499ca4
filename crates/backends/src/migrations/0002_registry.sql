-- Users, clients, sessions, grants. Secrets are SHA-256 hashes of random values, or Argon2id for passwords.

CREATE TABLE user (
  id            TEXT PRIMARY KEY,
  username      TEXT NOT NULL,
  username_key  TEXT NOT NULL UNIQUE, -- the name in lower case: names that differ only in case are one
  display_name  TEXT NOT NULL,
  password_hash TEXT NOT NULL,
  roles         TEXT NOT NULL,        -- role names separated by spaces
  fhir_user     TEXT,                 -- Type/id
  patients      TEXT NOT NULL,        -- ids separated by spaces
  created_at    INTEGER NOT NULL,
  failures      INTEGER NOT NULL,
  locked_until  INTEGER
) STRICT, WITHOUT ROWID;

CREATE TABLE client (
  id            TEXT PRIMARY KEY,
  name          TEXT NOT NULL,
  kind          TEXT NOT NULL,        -- ClientKind::as_str()
  secret_hash   BLOB,                 -- NULL: a public client
  redirect_uris TEXT NOT NULL,        -- one a line
  scope         TEXT NOT NULL,
  grant_types   TEXT NOT NULL,        -- separated by spaces
  created_at    INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE client_origin (
  origin TEXT NOT NULL,
  client TEXT NOT NULL REFERENCES client (id) ON DELETE CASCADE,
  PRIMARY KEY (origin, client)
) STRICT, WITHOUT ROWID;
CREATE INDEX origin_of_client ON client_origin (client);

CREATE TABLE session (
  hash             BLOB PRIMARY KEY,
  id               TEXT NOT NULL UNIQUE,
  user             TEXT NOT NULL REFERENCES user (id) ON DELETE CASCADE,
  authenticated_at INTEGER NOT NULL,
  expires_at       INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX session_of_user ON session (user);
CREATE INDEX session_end ON session (expires_at);

CREATE TABLE grant_ (
  id               TEXT PRIMARY KEY,
  client           TEXT NOT NULL,
  user             TEXT NOT NULL,
  scope            TEXT NOT NULL,
  patient          TEXT,
  session          TEXT NOT NULL,     -- the session in which it was given
  created_at       INTEGER NOT NULL,
  authenticated_at INTEGER NOT NULL,
  last_used_at     INTEGER NOT NULL,
  revoked_at       INTEGER,
  epoch            INTEGER NOT NULL   -- grows with every change of the grant
) STRICT, WITHOUT ROWID;
CREATE INDEX grant_of_user ON grant_ (user, created_at);
CREATE INDEX grant_of_client ON grant_ (client);
CREATE INDEX grant_revoked ON grant_ (revoked_at) WHERE revoked_at IS NOT NULL;

CREATE TABLE code (                   -- client, user, scope and patient are those of the grant
  hash         BLOB PRIMARY KEY,
  grant_id     TEXT NOT NULL,
  redirect_uri TEXT NOT NULL,
  challenge    TEXT NOT NULL,
  nonce        TEXT,
  expires_at   INTEGER NOT NULL,
  spent        INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX code_end ON code (expires_at);

CREATE TABLE refresh (
  hash       BLOB PRIMARY KEY,
  grant_id   TEXT NOT NULL,
  generation INTEGER NOT NULL,
  session    TEXT,                    -- online access: the session that it ends with; NULL: offline access
  expires_at INTEGER NOT NULL,
  superseded INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX refresh_of_grant ON refresh (grant_id);

CREATE TABLE server_secret (
  name   TEXT PRIMARY KEY,
  sealed BLOB NOT NULL
) STRICT, WITHOUT ROWID;
