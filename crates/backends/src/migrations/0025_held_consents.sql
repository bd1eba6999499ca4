-- More versions of one Consent than are held apart (crates/backends/src/sqlite/consents/held.rs): together they hide their patients until the current version is
-- confirmed, so that a change is never refused for what others left unconfirmed. Which versions they were is kept, since who confirms must not be named in any.
ALTER TABLE consent_held ADD COLUMN folded INTEGER NOT NULL DEFAULT 0;
