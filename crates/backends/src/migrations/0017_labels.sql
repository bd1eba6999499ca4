-- Security labels: beside each version, before its body, so that a statement that looks at labels alone reads no body. Made anew and not altered, since a column
-- can only be added after the body. What the bits mean: crates/fhir/src/labels/mod.rs. Versions from before have no labels until the next start has given them theirs.

CREATE TABLE labelled_resource (
  pk           INTEGER PRIMARY KEY REFERENCES locator (pk),
  type         INTEGER NOT NULL,
  version      TEXT NOT NULL,
  last_updated INTEGER NOT NULL,
  neg_time     INTEGER NOT NULL,
  deleted      INTEGER NOT NULL,
  patients     TEXT NOT NULL,
  security     INTEGER NOT NULL DEFAULT 0,
  data_key     INTEGER NOT NULL,
  body         BLOB
) STRICT;
INSERT INTO labelled_resource (pk, type, version, last_updated, neg_time, deleted, patients, data_key, body)
  SELECT pk, type, version, last_updated, neg_time, deleted, patients, data_key, body FROM resource;
DROP TABLE resource;
ALTER TABLE labelled_resource RENAME TO resource;
CREATE INDEX resource_newest ON resource (type, neg_time, pk) WHERE deleted = 0;
CREATE INDEX resource_updated ON resource (type, last_updated, pk) WHERE deleted = 0;

CREATE TABLE labelled_version (
  pk           INTEGER NOT NULL,
  sequence     INTEGER NOT NULL,
  version      TEXT NOT NULL,
  last_updated INTEGER NOT NULL,
  deleted      INTEGER NOT NULL,
  patients     TEXT NOT NULL,
  security     INTEGER NOT NULL DEFAULT 0,
  data_key     INTEGER NOT NULL,
  body         BLOB,
  PRIMARY KEY (pk, sequence)
) STRICT, WITHOUT ROWID;
INSERT INTO labelled_version (pk, sequence, version, last_updated, deleted, patients, data_key, body)
  SELECT pk, sequence, version, last_updated, deleted, patients, data_key, body FROM version;
DROP TABLE version;
ALTER TABLE labelled_version RENAME TO version;

CREATE TABLE label_run (              -- how far the stored versions were labelled by which rules; at most one row
  one     INTEGER PRIMARY KEY CHECK (one = 1),
  rules   BLOB NOT NULL,              -- SHA-256 of the rules
  place   TEXT                        -- where the run is; NULL: it is done
) STRICT;
