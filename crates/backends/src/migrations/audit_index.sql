-- The index by which AuditEvents are found. It holds nothing that the ledger does not (but `seen`, which knows how long the ledger was), and is thrown away and made again whenever it does not fit:
-- this script is not a migration but the whole schema of one version.

CREATE TABLE followed (                -- one row: how far into the ledger the index reaches
  segment INTEGER NOT NULL,
  offset  INTEGER NOT NULL,
  first   TEXT                         -- the id of the ledger's first record, by which another ledger is noticed
) STRICT;

CREATE TABLE seen (                    -- one row: how far the ledger was durable, as last noted; a ledger that ends before was cut
  segment INTEGER NOT NULL,
  offset  INTEGER NOT NULL,
  records INTEGER NOT NULL,
  chain   BLOB NOT NULL                -- the chain value there
) STRICT;

CREATE TABLE event (
  pk       INTEGER PRIMARY KEY,        -- 1, 2, ... in the order of the ledger
  id       TEXT NOT NULL UNIQUE,
  segment  INTEGER NOT NULL,           -- where its record begins
  offset   INTEGER NOT NULL,
  recorded INTEGER NOT NULL,
  action   TEXT NOT NULL,
  narrow_action TEXT NOT NULL,         -- the action in the view of a reader who may see one patient
  outcome  TEXT NOT NULL,
  narrow_outcome TEXT NOT NULL,        -- the outcome in that view
  subtype  TEXT,                       -- system|code
  narrow_subtype TEXT,                 -- the subtype in that view
  own      INTEGER NOT NULL            -- 1: of those who may see events of one patient only the patient may see it
) STRICT;
CREATE INDEX event_recorded ON event (recorded, pk);

CREATE TABLE name (                    -- patients, agents and entities, each written once
  pk   INTEGER PRIMARY KEY,
  text TEXT NOT NULL UNIQUE
) STRICT;

CREATE TABLE key (                     -- what an event is found by
  kind     INTEGER NOT NULL,           -- audit_index_search.rs: Kind
  name     INTEGER NOT NULL,
  recorded INTEGER NOT NULL,
  event    INTEGER NOT NULL,
  narrow   INTEGER NOT NULL,           -- 1: also in the view of a reader who may see one patient
  PRIMARY KEY (kind, name, recorded, event)
) STRICT, WITHOUT ROWID;
