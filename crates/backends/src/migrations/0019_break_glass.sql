-- Rights that only two people together give, changes that wait for the second of them, and who broke the glass for whom.

CREATE TABLE entitlement (             -- rows stay when a right ends: who ever had it counts
  user       TEXT NOT NULL REFERENCES user (id) ON DELETE CASCADE,
  kind       TEXT NOT NULL,            -- Entitlement::as_str()
  given_at   INTEGER NOT NULL,
  given_by   TEXT NOT NULL,            -- who proposed it
  approved_by TEXT,                    -- who agreed; NULL: one person was enough
  ended_at   INTEGER,
  ended_by   TEXT
) STRICT;
CREATE UNIQUE INDEX entitlement_standing ON entitlement (user, kind) WHERE ended_at IS NULL;
CREATE INDEX entitlement_kind ON entitlement (kind);

CREATE TABLE broken_glass (
  id         TEXT PRIMARY KEY,
  user       TEXT NOT NULL REFERENCES user (id) ON DELETE CASCADE,
  patient    TEXT NOT NULL,
  reason     TEXT NOT NULL,
  began_at   INTEGER NOT NULL,
  ends_at    INTEGER NOT NULL,         -- by itself
  ended_at   INTEGER,                  -- earlier, by somebody
  ended_by   TEXT
) STRICT, WITHOUT ROWID;
CREATE INDEX broken_glass_of_user ON broken_glass (user, ends_at) WHERE ended_at IS NULL;
CREATE INDEX broken_glass_of_patient ON broken_glass (patient, began_at);

CREATE TABLE pending_change (
  id          TEXT PRIMARY KEY,
  kind        TEXT NOT NULL,           -- ChangeKind::as_str()
  content     TEXT NOT NULL,           -- exactly what is applied, JSON
  digest      TEXT NOT NULL,           -- SHA-256 of kind and content, hexadecimal
  beneficiary TEXT,                    -- the user whom it gives something: nobody approves for themselves
  proposed_by TEXT NOT NULL,
  proposed_at INTEGER NOT NULL,
  expires_at  INTEGER NOT NULL,
  state       TEXT NOT NULL,           -- waiting, approved, applied, refused
  decided_by  TEXT,
  decided_at  INTEGER
) STRICT, WITHOUT ROWID;
CREATE INDEX pending_change_digest ON pending_change (kind, digest);
