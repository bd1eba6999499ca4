-- What was used once is written in the order of use, so that a group of writes changes a page or two and not one for each: the keys by which it is found stay in
-- memory (registry/spent.rs), and are read from here at each start.

ALTER TABLE spent_assertion RENAME TO spent_assertion_by_key;
CREATE TABLE spent_assertion (        -- without a reference: what was used stays used when a client is registered anew
  number     INTEGER PRIMARY KEY,
  whose      TEXT NOT NULL,           -- the client
  token_id   BLOB NOT NULL,           -- SHA-256 of the jti
  expires_at INTEGER NOT NULL         -- until then the same jti is refused
) STRICT;
INSERT INTO spent_assertion (whose, token_id, expires_at)
  SELECT client, token_id, expires_at FROM spent_assertion_by_key ORDER BY expires_at;
DROP TABLE spent_assertion_by_key;

ALTER TABLE spent_proof RENAME TO spent_proof_by_key;
CREATE TABLE spent_proof (            -- DPoP proofs that were used at an endpoint of the authorization server
  number     INTEGER PRIMARY KEY,
  whose      TEXT NOT NULL,           -- the thumbprint of the proof's key
  token_id   BLOB NOT NULL,           -- SHA-256 of the jti
  expires_at INTEGER NOT NULL         -- until then the same jti is refused
) STRICT;
INSERT INTO spent_proof (whose, token_id, expires_at) SELECT key, token_id, expires_at FROM spent_proof_by_key ORDER BY expires_at;
DROP TABLE spent_proof_by_key;
