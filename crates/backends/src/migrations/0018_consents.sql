-- Consents as decisions need them (docs/adr/0018-consent-storage.md). All but consent_verification is derived from the stored Consents and from what their rules
-- cover, and is made again where it was derived otherwise (consent_derivation). References are "Type/id" or "system|value"; times are milliseconds since the epoch.

CREATE TABLE consent_base (           -- a version of a Consent that counts: the last confirmed one, and the current one where nobody has confirmed it
  id         INTEGER PRIMARY KEY,
  consent    INTEGER NOT NULL,        -- locator of the Consent
  version    TEXT NOT NULL,
  patient    INTEGER NOT NULL,        -- locator of the Patient
  standing   INTEGER NOT NULL,        -- 0: confirmed; 1: confirmed, and not the current one any more; 2: not confirmed
  valid_from INTEGER NOT NULL,
  valid_to   INTEGER NOT NULL,
  series     INTEGER,                 -- keyed hash of what it has in common with those that replace it; NULL: it replaces none
  since      INTEGER,                 -- when it was given
  compilable INTEGER NOT NULL,        -- 0: it has no rules that say what it says, and hides its patient from everybody else
  content    INTEGER NOT NULL         -- 1: a rule asks for what only the content of a resource says
) STRICT;
CREATE INDEX consent_base_of_patient ON consent_base (patient);
CREATE INDEX consent_base_of_consent ON consent_base (consent);
CREATE INDEX consent_base_of_content ON consent_base (patient) WHERE content = 1;

CREATE TABLE consent_rule (           -- one whole set of conditions (crates/policy/src/rules/consent/rows.rs); NULL and 0 ask for nothing
  id           INTEGER PRIMARY KEY,   -- base * 1024 + the place among the rules of the base
  base         INTEGER NOT NULL,
  path         TEXT NOT NULL,
  depth        INTEGER NOT NULL,
  effect       INTEGER NOT NULL,      -- 0: permits; 1: denies
  valid_from   INTEGER NOT NULL,
  valid_to     INTEGER NOT NULL,
  actor        TEXT,
  actor_2      TEXT,
  purpose      TEXT,
  actions      INTEGER NOT NULL,
  actions_2    INTEGER NOT NULL,
  type         INTEGER,
  labels_any   INTEGER NOT NULL,
  labels_any_2 INTEGER NOT NULL,
  labels_none  INTEGER NOT NULL,
  covered      INTEGER NOT NULL       -- 1: consent_covered says which resources have the content that it asks for
) STRICT;
CREATE INDEX consent_rule_of_base ON consent_rule (base, effect);

CREATE TABLE consent_covered (        -- the current versions, deletions included, whose content is or may be what a rule asks for
  rule     INTEGER NOT NULL,
  resource INTEGER NOT NULL,
  certain  INTEGER NOT NULL,
  PRIMARY KEY (rule, resource)
) STRICT, WITHOUT ROWID;
CREATE INDEX consent_covered_of ON consent_covered (resource);

CREATE TABLE consent_relation (       -- resources on whose references it depends what a base covers
  target INTEGER NOT NULL,
  base   INTEGER NOT NULL,
  PRIMARY KEY (target, base)
) STRICT, WITHOUT ROWID;

CREATE TABLE consent_verification (   -- who confirmed which version; the last one of a Consent counts; never changed
  id      INTEGER PRIMARY KEY,
  consent INTEGER NOT NULL,
  version TEXT NOT NULL,
  patient INTEGER,                    -- of that version; NULL: it is a deletion, or nobody's
  by_whom TEXT NOT NULL,
  how     TEXT NOT NULL,
  at      INTEGER NOT NULL            -- seconds since the epoch
) STRICT;
CREATE INDEX consent_verification_of ON consent_verification (consent, id);
CREATE INDEX consent_verification_of_patient ON consent_verification (patient);

CREATE TABLE consent_writer (         -- who stored a version of a Consent: whoever confirms it is somebody else
  consent INTEGER NOT NULL,
  version TEXT NOT NULL,
  writer  TEXT NOT NULL,
  PRIMARY KEY (consent, version)
) STRICT, WITHOUT ROWID;

CREATE TABLE consent_derivation (     -- from what the rows above were derived; at most one row
  one  INTEGER PRIMARY KEY CHECK (one = 1),
  made TEXT NOT NULL
) STRICT;
