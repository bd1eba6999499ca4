-- Tokens that only the holder of a key or certificate can use (RFC 9449, RFC 8705).

ALTER TABLE code ADD COLUMN key TEXT;             -- dpop_jkt of the authorization request: the thumbprint of the key that may redeem it
ALTER TABLE refresh ADD COLUMN confirmation TEXT; -- what the token is bound to, as the JSON of a cnf claim

CREATE TABLE spent_proof (            -- DPoP proofs that were used at an endpoint of the authorization server
  key        TEXT NOT NULL,           -- the thumbprint of the proof's key
  token_id   BLOB NOT NULL,           -- SHA-256 of the jti
  expires_at INTEGER NOT NULL,        -- until then the same jti is refused
  PRIMARY KEY (key, token_id)
) STRICT, WITHOUT ROWID;
CREATE INDEX spent_proof_end ON spent_proof (expires_at);
