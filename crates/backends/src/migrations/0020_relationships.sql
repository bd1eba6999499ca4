-- Who has to do with a patient is stated by more records than before: the organisation that provides an Encounter, manages a Patient or an EpisodeOfCare, and the
-- general practitioner of a Patient are actors in `care`, too. Resources that were stored before get these rows at the next start.

CREATE TABLE relationship_backlog (   -- resources that may lack such rows
  pk INTEGER PRIMARY KEY
) STRICT;
INSERT INTO relationship_backlog SELECT pk FROM resource WHERE deleted = 0;
