-- The rows that a current version put into the index tables, so that a later version removes exactly these. They cannot be derived again
-- from the old body: the base URL and the search parameters may have changed since, and what stayed behind would still be found.

CREATE TABLE index_rows (
  pk   INTEGER PRIMARY KEY REFERENCES locator (pk),
  rows BLOB NOT NULL
) STRICT;

CREATE TABLE setting (                -- facts about the database itself
  name  TEXT PRIMARY KEY,
  value BLOB NOT NULL
) STRICT, WITHOUT ROWID;
