-- A relationship has times: the period of a CareTeam, and that of a place in it. What was stored before counts always; teams are looked at again at the next start.

ALTER TABLE care RENAME TO care_before;
CREATE TABLE care (                   -- a record that states who has to do with a patient (relationship.rs)
  actor   INTEGER NOT NULL,           -- locator of the Practitioner, PractitionerRole or Organization
  patient INTEGER NOT NULL,
  source  INTEGER NOT NULL,
  since   INTEGER NOT NULL,           -- the first millisecond; of one actor, patient and source the times neither touch nor overlap
  until   INTEGER NOT NULL,           -- the first millisecond after
  PRIMARY KEY (actor, patient, source, since)
) STRICT, WITHOUT ROWID;
INSERT INTO care SELECT actor, patient, source, -62135596800000, 253402300800000 FROM care_before;
DROP TABLE care_before;

INSERT OR IGNORE INTO relationship_backlog SELECT pk FROM resource WHERE deleted = 0 AND type = 14; -- CareTeam
