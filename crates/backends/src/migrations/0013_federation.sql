-- People who sign in elsewhere, and people who act for patients for a time.

CREATE TABLE federated_identity (
  issuer       TEXT NOT NULL,
  subject      TEXT NOT NULL,         -- unique within the issuer, never reassigned (OpenID Connect Core section 2)
  user         TEXT NOT NULL REFERENCES user (id) ON DELETE CASCADE,
  linked_at    INTEGER NOT NULL,
  linked_by    TEXT NOT NULL,         -- the user, or account:NAME at the command line
  PRIMARY KEY (issuer, subject)
) STRICT, WITHOUT ROWID;
CREATE INDEX federated_identity_of_user ON federated_identity (user);

CREATE TABLE federated_state (        -- states that came back from a provider: each counts once
  hash       BLOB PRIMARY KEY,
  expires_at INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX federated_state_end ON federated_state (expires_at);

CREATE TABLE representation (
  user       TEXT NOT NULL REFERENCES user (id) ON DELETE CASCADE,
  patient    TEXT NOT NULL,
  valid_from INTEGER NOT NULL,
  valid_until INTEGER,                -- NULL: no end is set
  letters    TEXT NOT NULL,           -- rw, or ro: read only
  excluded   TEXT NOT NULL,           -- resource types separated by commas; -: none
  PRIMARY KEY (user, patient)
) STRICT, WITHOUT ROWID;
