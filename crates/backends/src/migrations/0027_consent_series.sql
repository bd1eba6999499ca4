-- Whether another Consent has taken the place of one is asked for each of a patient's: without its series in the index, each would look at all of them.

DROP INDEX consent_base_of_patient;
CREATE INDEX consent_base_of_series ON consent_base (patient, series, since);
