-- From which network a request of a public client was pushed, so that one network does not fill the share of all.
ALTER TABLE pushed_request ADD COLUMN network TEXT NOT NULL DEFAULT '';
