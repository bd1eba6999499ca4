//! Small resources for tests.

/// A patient.
pub fn patient(id: &str, family: &str) -> String {
    format!(
        r#"{{"resourceType":"Patient","id":"{id}","name":[{{"family":"{family}","given":["Test"]}}],"birthDate":"1970-01-01"}}"#
    )
}

/// A laboratory observation.
pub fn observation(id: &str, patient: &str, code: &str, value: &str, date: &str) -> String {
    format!(
        r#"{{"resourceType":"Observation","id":"{id}","status":"final","code":{{"coding":[{{"system":"http://loinc.org","code":"{code}"}}]}},"subject":{{"reference":"Patient/{patient}"}},"effectiveDateTime":"{date}","valueQuantity":{{"value":{value},"unit":"mg/dL","system":"http://unitsofmeasure.org","code":"mg/dL"}}}}"#
    )
}

/// An encounter with a practitioner, at an organization.
pub fn encounter(id: &str, patient: &str, practitioner: &str, organization: &str) -> String {
    format!(
        r#"{{"resourceType":"Encounter","id":"{id}","status":"finished","class":{{"system":"http://terminology.hl7.org/CodeSystem/v3-ActCode","code":"AMB"}},"subject":{{"reference":"Patient/{patient}"}},"participant":[{{"individual":{{"reference":"Practitioner/{practitioner}"}}}}],"period":{{"start":"2026-01-05"}},"serviceProvider":{{"reference":"Organization/{organization}"}}}}"#
    )
}

/// A practitioner.
pub fn practitioner(id: &str, family: &str) -> String {
    format!(r#"{{"resourceType":"Practitioner","id":"{id}","name":[{{"family":"{family}"}}]}}"#)
}

/// An organization.
pub fn organization(id: &str, name: &str) -> String {
    format!(r#"{{"resourceType":"Organization","id":"{id}","name":"{name}"}}"#)
}
