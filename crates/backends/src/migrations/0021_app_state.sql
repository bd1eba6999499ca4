-- App state (SMART App Launch 2.2.0, "Persisting App State"): apart from the clinical tables, so that no search finds it there.

CREATE TABLE app_state (
  id           TEXT PRIMARY KEY,
  system       TEXT NOT NULL,
  code         TEXT NOT NULL,
  subject      TEXT NOT NULL,        -- Type/id, or empty: the same for everybody
  version      TEXT NOT NULL,
  last_updated INTEGER NOT NULL,     -- milliseconds since the epoch
  key          INTEGER NOT NULL,     -- of the patient whom it is about, or the tenant's
  body         BLOB NOT NULL,        -- sealed, with the columns beside it as authenticated data
  UNIQUE (system, code, subject)
) STRICT, WITHOUT ROWID;
