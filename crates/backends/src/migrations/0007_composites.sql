-- The values of composites whose components belong together within a repeating element (a blood pressure's systolic code and its number): one row for
-- each value of each component. Only elements that have every component have rows.

CREATE TABLE index_composite (
  pk         INTEGER NOT NULL,
  parameter  INTEGER NOT NULL,        -- the composite
  element    INTEGER NOT NULL,        -- the same number: the same element
  component  INTEGER NOT NULL,        -- from 0, in the order of the composite
  code       INTEGER NOT NULL,        -- tokens and quantities: keyed hash of the code; references: the target's locator; else 0
  system     INTEGER NOT NULL,        -- tokens and quantities: keyed hash of the system; else 0
  value      REAL NOT NULL,           -- numbers and quantities; else 0, and so are the ends
  low        REAL NOT NULL,
  high       REAL NOT NULL,
  unit       INTEGER NOT NULL,        -- quantities: keyed hash of the unit's text; else 0
  normalised TEXT NOT NULL,           -- strings; else empty
  PRIMARY KEY (pk, parameter, element, component, code, system, value, low, high, unit, normalised)
) STRICT, WITHOUT ROWID;
CREATE INDEX index_composite_first ON index_composite (parameter, code, system) WHERE component = 0;

CREATE TABLE index_backlog (          -- resources that were stored before the index had all of these rows; the next start adds them
  pk INTEGER PRIMARY KEY
) STRICT;
INSERT INTO index_backlog SELECT pk FROM resource WHERE deleted = 0;
