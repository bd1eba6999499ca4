-- The way back from a resource to its compartments, links, dates and references. Without these a search that walks candidates in order, the check of
-- a care relationship, and an include would each scan what many patients share.

CREATE INDEX compartment_of ON compartment (pk, patient);
CREATE INDEX shared_link_of ON shared_link (source, target);
CREATE INDEX index_date_of ON index_date (pk, parameter);
CREATE INDEX index_reference_of ON index_reference (pk, parameter);
