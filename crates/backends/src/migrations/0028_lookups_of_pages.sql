-- What is looked up by a page: the account of a Practitioner of whom no record says a name, and the Consents that cannot be read.

CREATE INDEX user_of_record ON user (fhir_user) WHERE fhir_user IS NOT NULL;
CREATE INDEX consent_base_unreadable ON consent_base (consent) WHERE compilable = 0;
