//! From a draft to a resource.

use serde_json::{Map, Value, json};

use super::data::{BASE, Draft, Form, Link, id};

const CODES: [&str; 3] = ["4548-4", "8867-4", "85354-9"];
const DATES: [&str; 6] = ["2026", "2026-03", "2026-03-05", "2026-03-05T10:00:00Z", "2026-05-01", "2025-12-31T23:30:00-02:00"];
const VALUES: [&str; 4] = ["5.4", "5", "-1", "6.10"];
const NAMES: [&str; 4] = ["Smith", "Smithson", "Ökonom", "Adams"];

/// The resource of a draft.
pub fn body(draft: &Draft) -> Value {
    let mut members = elements(draft);
    members.insert("resourceType".to_owned(), draft.kind.name.into());
    members.insert("id".to_owned(), id(draft.kind, draft.slot).into());
    if draft.code == 0 {
        members
            .insert("meta".to_owned(), json!({"tag": [{"system": "s", "code": "t"}], "profile": ["http://example.org/profile"]}));
    }
    if let Some(labels) = labels(draft) {
        members.insert("meta".to_owned(), json!({"security": labels}));
    }
    if let Some(link) = draft.others.iter().chain([&draft.subject]).find(|link| link.form == Form::Contained) {
        let issuer = format!("Organization/g{}", link.slot % 3);
        let contained = json!({"resourceType": "Practitioner", "id": "x",
            "qualification": [{"code": {"text": "x"}, "issuer": {"reference": issuer}}]});
        members.insert("contained".to_owned(), json!([contained]));
    }
    let mut body = Value::Object(members.into_iter().filter(|(_, value)| !is_empty(value)).collect());
    super::elements::put(&mut body, draft);
    body
}

/// Labels of some resources, with and without a confidentiality. Not of those by which others are understood (Medication, Condition, Observation): what
/// refers to these has their labels as they were when it was stored, and in which order things are stored is not the question here.
fn labels(draft: &Draft) -> Option<Vec<Value>> {
    const LABELS: [&[&str]; 6] = [&["N"], &["R"], &["R", "HIV"], &["HIV"], &["V"], &["N", "PSY"]];
    if draft.code != 1 || ["Medication", "Condition", "Observation"].contains(&draft.kind.name) {
        return None;
    }
    Some(LABELS[usize::from(draft.value) % LABELS.len()].iter().map(|code| label(code)).collect())
}

/// The label with this code.
pub fn label(code: &str) -> Value {
    let system = if code.len() == 1 { "v3-Confidentiality" } else { "v3-ActCode" };
    json!({"system": format!("http://terminology.hl7.org/CodeSystem/{system}"), "code": code})
}

fn is_empty(value: &Value) -> bool {
    value.is_null() || value.as_array().is_some_and(Vec::is_empty)
}

fn elements(draft: &Draft) -> Map<String, Value> {
    let subject = reference(&draft.subject);
    let one = |types: &[&str]| links(draft, types).into_iter().next();
    let all = |types: &[&str]| links(draft, types);
    let either = |types: &[&str], fallback: &str| one(types).unwrap_or_else(|| json!({"reference": fallback}));
    let code = concept(draft.code);
    let date = (draft.date < 6).then(|| DATES[usize::from(draft.date)]);
    let name = NAMES[usize::from(draft.value) % NAMES.len()];
    let period = date.map(|date| json!({"start": date}));
    let elements = match draft.kind.name {
        "Patient" => json!({
            "name": [{"family": name, "given": ["G"]}],
            "gender": if draft.value.is_multiple_of(2) { "female" } else { "male" },
            "birthDate": "1970-01-01",
            "identifier": [{"system": "i", "value": CODES[usize::from(draft.code) % CODES.len()]}],
            "generalPractitioner": all(&["Practitioner", "Organization"]),
            "managingOrganization": one(&["Organization"]),
            "link": all(&["Patient"]).into_iter().map(|other| json!({"other": other, "type": "seealso"})).collect::<Vec<_>>(),
        }),
        "Observation" => json!({
            "status": "final", "code": code, "subject": subject, "effectiveDateTime": date,
            "valueQuantity": quantity(draft.value),
            "performer": all(&["Practitioner", "Organization", "Patient", "CareTeam"]),
            "focus": all(&["Patient", "Condition", "Encounter", "Group"]),
            "encounter": one(&["Encounter"]),
            "device": one(&["Device"]),
            "hasMember": all(&["Observation"]),
        }),
        "Condition" => json!({
            "code": code, "subject": subject, "onsetDateTime": date,
            "asserter": one(&["Practitioner", "Patient"]),
            "encounter": one(&["Encounter"]),
            "evidence": all(&["Observation", "Condition"]).into_iter().map(|detail| json!({"detail": [detail]})).collect::<Vec<_>>(),
        }),
        "Encounter" => json!({
            "status": if draft.value == 4 { "cancelled" } else { "finished" }, "class": {"system": "c", "code": "AMB"}, "type": [code], "subject": subject, "period": period,
            "participant": all(&["Practitioner", "PractitionerRole"]).into_iter().map(|who| json!({"individual": who})).collect::<Vec<_>>(),
            "serviceProvider": one(&["Organization"]),
            "location": all(&["Location"]).into_iter().map(|place| json!({"location": place})).collect::<Vec<_>>(),
            "partOf": one(&["Encounter"]),
            "diagnosis": all(&["Condition"]).into_iter().map(|condition| json!({"condition": condition})).collect::<Vec<_>>(),
        }),
        "CareTeam" => {
            // Of some teams the time is over, of some that of their members has not come.
            let period = if draft.value == 3 && draft.date < 2 { Some(json!({"start": "2019", "end": "2020"})) } else { period };
            let place = (draft.value == 3 && draft.date > 4).then(|| json!({"start": "2090"}));
            let member =
                |who| if let Some(place) = &place { json!({"member": who, "period": place}) } else { json!({"member": who}) };
            json!({
                "status": if draft.value == 4 { "inactive" } else { "active" }, "category": [code], "subject": subject, "period": period, "encounter": one(&["Encounter"]),
                "participant": all(&["Practitioner", "Patient", "Organization"]).into_iter().map(member).collect::<Vec<_>>(),
            })
        }
        "Coverage" => json!({
            "status": "active", "type": code, "beneficiary": subject,
            "subscriber": one(&["Patient"]),
            "policyHolder": one(&["Organization", "Patient"]),
            "payor": [either(&["Organization", "Patient"], "Organization/g0")],
            "class": [{"type": {"text": "group"}, "value": name}],
        }),
        "ExplanationOfBenefit" => json!({
            "status": "active", "type": code, "use": "claim", "patient": subject, "created": date.unwrap_or("2026-01-01"), "outcome": "complete",
            "insurer": either(&["Organization"], "Organization/g1"),
            "provider": either(&["Practitioner", "Organization"], "Practitioner/d0"),
            "insurance": [{"focal": true, "coverage": either(&["Coverage"], "Coverage/v0")}],
            "careTeam": all(&["Practitioner"]).into_iter().map(|who| json!({"sequence": 1, "provider": who})).collect::<Vec<_>>(),
            "payee": one(&["Patient", "Organization"]).map(|party| json!({"party": party})),
            "disposition": name,
        }),
        "Appointment" => {
            let actors = [subject].into_iter().chain(all(&["Patient", "Practitioner"]));
            json!({
                "status": "booked", "appointmentType": code,
                "participant": actors.map(|actor| json!({"actor": actor, "status": "accepted"})).collect::<Vec<_>>(),
            })
        }
        "Provenance" => {
            let targets =
                all(&["Observation", "Condition", "Encounter", "Patient", "Coverage", "Organization", "Device", "Provenance"]);
            let targets = if draft.value < 2 || targets.is_empty() { vec![subject] } else { targets };
            json!({
                "target": targets, "recorded": "2026-02-01T00:00:00Z",
                "agent": [{"who": either(&["Practitioner", "Organization", "Patient"], "Practitioner/d1")}],
            })
        }
        "MedicationRequest" => json!({
            "status": "active", "intent": "order", "subject": subject, "authoredOn": date,
            "medicationReference": either(&["Medication"], "Medication/y0"),
            "requester": one(&["Practitioner", "PractitionerRole", "Organization", "Patient", "Device"]),
            "performer": one(&["Organization", "Device", "CareTeam"]),
            "encounter": one(&["Encounter"]),
        }),
        "Consent" => super::consents::body(draft, &subject),
        "PractitionerRole" => json!({
            "code": [code], "practitioner": one(&["Practitioner"]), "organization": one(&["Organization"]), "location": all(&["Location"]),
            "period": (draft.value == 3).then(|| json!({"end": "2020"})),
        }),
        "Location" => json!({"name": name, "managingOrganization": one(&["Organization"]), "partOf": one(&["Location"])}),
        "Medication" => json!({"code": code, "manufacturer": one(&["Organization"])}),
        // Somebody's, or shared.
        "Device" => json!({
            "type": code, "deviceName": [{"name": name, "type": "other"}], "owner": one(&["Organization"]), "location": one(&["Location"]),
            "patient": (draft.value < 3).then_some(subject),
        }),
        "Organization" => json!({"name": name, "type": [code], "partOf": one(&["Organization"])}),
        "Practitioner" => json!({
            "name": [{"family": name}],
            "qualification": all(&["Organization"]).into_iter().map(|issuer| json!({"code": {"text": "x"}, "issuer": issuer})).collect::<Vec<_>>(),
        }),
        "Group" => json!({
            "type": "person", "actual": true,
            "member": [{"entity": subject}],
            "managingEntity": one(&["Organization", "Practitioner"]),
        }),
        other => panic!("no body for {other}"),
    };
    let Value::Object(elements) = elements else { panic!("not an object") };
    elements
}

fn links(draft: &Draft, types: &[&str]) -> Vec<Value> {
    draft.others.iter().filter(|link| types.contains(&link.kind.name)).map(reference).collect()
}

fn reference(link: &Link) -> Value {
    let target = format!("{}/{}", link.kind.name, id(link.kind, link.slot));
    let text = match link.form {
        Form::Relative => target,
        Form::UnderBase => format!("{BASE}/{target}"),
        Form::Versioned => format!("{target}/_history/v1"),
        Form::Elsewhere => format!("https://elsewhere.example/fhir/{target}"),
        Form::Contained => "#x".to_owned(),
    };
    json!({"reference": text})
}

fn concept(code: u8) -> Value {
    let code = usize::from(code);
    match code {
        0..=2 => json!({"coding": [{"system": "http://loinc.org", "code": CODES[code], "display": "Display"}]}),
        3 => json!({"coding": [{"system": "s", "code": "4548-4"}, {"code": "bare"}], "text": "Both"}),
        _ => json!({"text": "Text only"}),
    }
}

/// The decimal is written as the text says.
fn quantity(value: u8) -> Option<Value> {
    let number = VALUES.get(usize::from(value))?;
    let number: f64 = number.parse().unwrap();
    Some(json!({"value": number, "unit": "mg", "system": "http://unitsofmeasure.org", "code": "mg"}))
}
