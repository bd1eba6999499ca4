-- Clients that sign with keys of their own, the assertions that they have used, and tokens of theirs that were given back.

CREATE TABLE client_key (
  client       TEXT PRIMARY KEY REFERENCES client (id) ON DELETE CASCADE,
  registration TEXT NOT NULL UNIQUE,  -- what a client's own tokens descend from, as others descend from a grant
  jwks         TEXT,                  -- a JWK Set
  jwks_uri     TEXT,                  -- or its address
  CHECK ((jwks IS NULL) <> (jwks_uri IS NULL))
) STRICT, WITHOUT ROWID;

CREATE TABLE spent_assertion (        -- without a reference: what was used stays used when a client is registered anew
  client     TEXT NOT NULL,
  token_id   BLOB NOT NULL,           -- SHA-256 of the jti
  expires_at INTEGER NOT NULL,        -- until then the same jti is refused
  PRIMARY KEY (client, token_id)
) STRICT, WITHOUT ROWID;
CREATE INDEX spent_assertion_end ON spent_assertion (expires_at);

CREATE TABLE revoked_token (          -- tokens that end alone, since no grant ends with them
  id         TEXT PRIMARY KEY,
  expires_at INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX revoked_token_end ON revoked_token (expires_at);
