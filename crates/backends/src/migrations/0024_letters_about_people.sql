-- About whom a letter is that goes to somebody else: of alerts about one person another one follows after a pause, of alerts about another one at once.

ALTER TABLE letter ADD COLUMN about TEXT;  -- a user's id; NULL: about whoever gets it

-- The purposes of use that a client's assertion named for one access token: within its registration, the token serves for these alone.
CREATE TABLE token_purpose (
  token      TEXT PRIMARY KEY,         -- its jti
  purposes   TEXT NOT NULL,            -- codes of v3-ActReason, the usual one first
  expires_at INTEGER NOT NULL          -- when the token ends
) STRICT, WITHOUT ROWID;
