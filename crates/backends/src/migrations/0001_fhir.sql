-- FHIR tables. Every resource, existing or merely referred to, has one row in locator; its pk stands for it everywhere else.
-- neg_time is minus the clinical time (or lastUpdated where the resource has none) in milliseconds, so that keys ending in (neg_time, pk)
-- give the newest first without a sort. Index rows exist only for the current version of a resource that is not deleted.

CREATE TABLE locator (
  pk   INTEGER PRIMARY KEY,
  type INTEGER NOT NULL,              -- ResourceType::code(); 255: an absolute URL; 254: an identifier as system|value
  id   TEXT NOT NULL,
  UNIQUE (type, id)
) STRICT;

CREATE TABLE resource (               -- the current version
  pk           INTEGER PRIMARY KEY REFERENCES locator (pk),
  type         INTEGER NOT NULL,
  version      TEXT NOT NULL,
  last_updated INTEGER NOT NULL,
  neg_time     INTEGER NOT NULL,
  deleted      INTEGER NOT NULL,
  patients     TEXT NOT NULL,         -- ids of the patients in whose compartments it lies, ascending, separated by spaces
  data_key     INTEGER NOT NULL,      -- the key that sealed the body
  body         BLOB                   -- nonce || AES-256-GCM(body); for a deletion the seal of nothing: the columns are authenticated in both cases
) STRICT;
CREATE INDEX resource_newest ON resource (type, neg_time, pk) WHERE deleted = 0;
CREATE INDEX resource_updated ON resource (type, last_updated, pk) WHERE deleted = 0;

CREATE TABLE version (                -- earlier versions
  pk           INTEGER NOT NULL,
  sequence     INTEGER NOT NULL,      -- 1, 2, ... in order of storage; never shown
  version      TEXT NOT NULL,
  last_updated INTEGER NOT NULL,
  deleted      INTEGER NOT NULL,
  patients     TEXT NOT NULL,
  data_key     INTEGER NOT NULL,
  body         BLOB,
  PRIMARY KEY (pk, sequence)
) STRICT, WITHOUT ROWID;

CREATE TABLE compartment (            -- the patient compartments of current versions
  patient  INTEGER NOT NULL,          -- locator of the Patient
  type     INTEGER NOT NULL,
  neg_time INTEGER NOT NULL,
  pk       INTEGER NOT NULL,
  PRIMARY KEY (patient, type, neg_time, pk)
) STRICT, WITHOUT ROWID;

CREATE TABLE care (                   -- an Encounter or CareTeam that states a care relationship
  actor   INTEGER NOT NULL,           -- locator of the Practitioner or PractitionerRole
  patient INTEGER NOT NULL,
  source  INTEGER NOT NULL,
  PRIMARY KEY (actor, patient, source)
) STRICT, WITHOUT ROWID;

CREATE TABLE shared_link (            -- references to shared types (constraint.rs SHARED_TYPES) from records in a compartment
  target INTEGER NOT NULL,
  source INTEGER NOT NULL,
  PRIMARY KEY (target, source)
) STRICT, WITHOUT ROWID;

CREATE TABLE about (                  -- Provenance.target
  source INTEGER NOT NULL,
  target INTEGER NOT NULL,
  PRIMARY KEY (source, target)
) STRICT, WITHOUT ROWID;

CREATE TABLE index_token (            -- hashes are keyed 64-bit hashes: of the code, and of the system ('' where there is none)
  parameter INTEGER NOT NULL,
  code      INTEGER NOT NULL,
  system    INTEGER NOT NULL,
  neg_time  INTEGER NOT NULL,
  pk        INTEGER NOT NULL,
  PRIMARY KEY (parameter, code, system, neg_time, pk)
) STRICT, WITHOUT ROWID;

CREATE TABLE index_string (           -- also the texts of tokens, under parameter + 65536
  parameter  INTEGER NOT NULL,
  normalised TEXT NOT NULL,
  exact      TEXT NOT NULL,
  pk         INTEGER NOT NULL,
  PRIMARY KEY (parameter, normalised, exact, pk)
) STRICT, WITHOUT ROWID;

CREATE TABLE index_reference (
  parameter INTEGER NOT NULL,
  target    INTEGER NOT NULL,
  neg_time  INTEGER NOT NULL,
  pk        INTEGER NOT NULL,
  PRIMARY KEY (parameter, target, neg_time, pk)
) STRICT, WITHOUT ROWID;

CREATE TABLE index_date (
  parameter INTEGER NOT NULL,
  low       INTEGER NOT NULL,
  high      INTEGER NOT NULL,
  pk        INTEGER NOT NULL,
  PRIMARY KEY (parameter, low, high, pk)
) STRICT, WITHOUT ROWID;

CREATE TABLE index_number (
  parameter INTEGER NOT NULL,
  value     REAL NOT NULL,
  low       REAL NOT NULL,
  high      REAL NOT NULL,
  system    INTEGER NOT NULL,         -- quantities: keyed hash of the system; numbers: 0
  code      INTEGER NOT NULL,         -- quantities: keyed hash of the code; numbers: 0
  unit      INTEGER NOT NULL,         -- quantities: keyed hash of the unit text; numbers: 0
  pk        INTEGER NOT NULL,
  PRIMARY KEY (parameter, value, low, high, system, code, unit, pk)
) STRICT, WITHOUT ROWID;

CREATE TABLE index_uri (
  parameter INTEGER NOT NULL,
  uri       TEXT NOT NULL,
  pk        INTEGER NOT NULL,
  PRIMARY KEY (parameter, uri, pk)
) STRICT, WITHOUT ROWID;

CREATE TABLE data_key (
  key     INTEGER PRIMARY KEY,
  patient INTEGER UNIQUE,             -- locator of the home patient; NULL: the key of everything that has none
  wrapped BLOB NOT NULL
) STRICT;

CREATE TABLE outbox (                 -- audit records stored with their change, until the ledger has them
  sequence INTEGER PRIMARY KEY,
  id       TEXT NOT NULL UNIQUE,
  record   BLOB NOT NULL
) STRICT;
