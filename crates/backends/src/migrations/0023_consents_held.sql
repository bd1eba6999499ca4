-- Denials that nobody confirmed and that somebody else, or somebody whom they deny, has changed (docs/adr/0018-consent-storage.md, "Taking back").
-- Knowledge of the server like consent_verification, not derived from what is stored.

ALTER TABLE consent_writer ADD COLUMN person TEXT;  -- the person as a resource, "Type/id"; NULL: nobody knows
ALTER TABLE consent_writer ADD COLUMN client TEXT;  -- the client, as columns of actors hold it; NULL: nobody knows

CREATE TABLE consent_held (           -- versions whose denials hold until the current version is confirmed
  consent INTEGER NOT NULL,
  version TEXT NOT NULL,
  patient INTEGER NOT NULL,           -- locator of the Patient of that version
  PRIMARY KEY (consent, version)
) STRICT, WITHOUT ROWID;
CREATE INDEX consent_held_of_patient ON consent_held (patient);

-- Who is of a care team or group that a consent may name, and which client uses a device. An empty member: all members are known.
CREATE TABLE consent_party (
  party    TEXT NOT NULL,             -- "CareTeam/id", "Group/id", "Device/id"
  member   TEXT NOT NULL,             -- as columns of actors hold it
  standing INTEGER NOT NULL,          -- 0: is one, as somebody said who may write everything; 1: may be one, or was
  PRIMARY KEY (party, member)
) STRICT, WITHOUT ROWID;
