//! Each element of a provision alone: a request that it is about, and one that it is not about. And who is several things at once.

use portcullis_jose::{Algorithm, SigningKey, VerificationKeys};
use portcullis_oauth::access_token::{AccessTokenClaims, AccessTokenTrust, VerifiedToken};
use portcullis_oauth::confirmation::Possession;
use portcullis_oauth::identifiers::{ClientId, GrantId, TokenId, UserId};
use portcullis_oauth::principal::{
    Circumstances, ImplicitPolicy, Principal, PrincipalUser, PurposeOfUse, TokenFacts, TokenStatus,
};
use portcullis_oauth::purposes::{BrokenGlass, PurposeFacts};
use portcullis_oauth::users::{Role, Roles};
use portcullis_verifies::verifies;

use super::elements::reading_for;
use super::routes::import_as_create;
use super::*;

const NOW: i64 = 1_800_000_000;
const LOINC: &str = "http://loinc.org";
const TYPES: &str = "http://hl7.org/fhir/resource-types";

/// A user with this record as a person, who may act for these patients, through a client.
fn person(roles: &[Role], record: &str, patients: &[&str], scope: &str) -> Principal {
    person_for((roles, record), patients, scope, PurposeFacts::default())
}

/// A clinician who broke the glass for a patient.
pub fn breaking_the_glass(patient: &str) -> Principal {
    let broken_glass = vec![BrokenGlass { patient: id(patient), until: NOW + 60 }];
    let facts = PurposeFacts { client: Vec::new(), may_break_glass: true, broken_glass };
    person_for((&[Role::Clinician], "Practitioner/doc"), &[], "user/*.rs", facts).stating(PurposeOfUse::parse("BTG"))
}

fn person_for((roles, record): (&[Role], &str), patients: &[&str], scope: &str, purposes: PurposeFacts) -> Principal {
    let (user, client) = (UserId::parse("user").unwrap(), ClientId::parse("client").unwrap());
    let token_id = TokenId::parse("token").unwrap();
    let claims = AccessTokenClaims {
        issuer: "https://localhost:8443".into(),
        subject: user.clone().into(),
        audience: BASE.into(),
        client_id: client.clone(),
        expires_at: NOW + 300,
        issued_at: NOW,
        token_id: token_id.clone(),
        scope: scope.into(),
        grant: GrantId::parse("grant").unwrap(),
        patient: patients.first().filter(|_| scope.starts_with("patient/")).map(|patient| id(patient)),
        confirmation: None,
    };
    let key = SigningKey::generate(Algorithm::Es256).unwrap();
    let keys = VerificationKeys::of([&key]);
    let trust = AccessTokenTrust { keys: &keys, issuer: "https://localhost:8443", fhir_base: BASE };
    let token = VerifiedToken::verify(&claims.sign(&key).unwrap(), &trust, NOW).unwrap();
    let (kind, own) = record.split_once('/').unwrap();
    let fhir_user = portcullis_fhir::reference::LocalReference { resource_type: resource_type(kind), id: id(own) };
    let user = PrincipalUser {
        id: user,
        roles: roles.iter().copied().collect::<Roles>(),
        fhir_user: Some(fhir_user),
        patients: patients.iter().map(|patient| id(patient)).collect(),
        represents: Vec::new(),
    };
    let facts = TokenFacts {
        token_id,
        active: true,
        epoch: 0,
        client: Some(client),
        user: Some(user),
        purposes,
        registered: None,
        clearance: portcullis_fhir::labels::Clearance::FULL,
    };
    Principal::establish(&token, &Possession::NOTHING, TokenStatus::from_registry(facts), NOW)
        .unwrap()
        .cleared(portcullis_fhir::labels::Clearances::default())
        .asking(circumstances())
}

/// Who asks in a row.
#[derive(Clone, Copy, Debug)]
enum Asking {
    Doc,
    DocLater,
    Other,
    Patient,
    Client(&'static str),
    Relative(&'static str),
}

impl Asking {
    fn under(self, implicit: ImplicitPolicy) -> Principal {
        let (principal, days) = match self {
            Self::Doc => (DOC.principal(), 0),
            Self::DocLater => (DOC.principal(), 30),
            Self::Other => (OTHER.principal(), 0),
            Self::Patient => (PAT.principal(), 0),
            Self::Client(purpose) => (reading_for(purpose), 0),
            Self::Relative(own) => (person(&[Role::Representative], own, &["pat"], "patient/*.rs"), 0),
        };
        principal.asking(Circumstances { now: (NOW + days * 86_400) * 1000, implicit, ..circumstances() })
    }
}

fn observed(own: &str, members: &Value) -> String {
    let mut resource: Value = serde_json::from_str(&observation(own, "pat", "8867-4")).unwrap();
    resource["performer"] = json!([{"reference": "Practitioner/other"}]);
    for (name, value) in members.as_object().unwrap() {
        resource[name] = value.clone();
    }
    resource.to_string()
}

fn role(own: &str, practitioner: &str, organization: &str) -> String {
    json!({"resourceType": "PractitionerRole", "id": own, "practitioner": {"reference": format!("Practitioner/{practitioner}")},
        "organization": {"reference": format!("Organization/{organization}")}})
    .to_string()
}

/// What the rows ask for and who asks.
async fn everything() -> World {
    world(&[
        role("role", "doc", "org"),
        role("role-2", "other", "org-2"),
        json!({"resourceType": "CareTeam", "id": "team", "subject": {"reference": "Patient/pat"},
            "participant": [{"member": {"reference": "Practitioner/doc"}}]})
        .to_string(),
        json!({"resourceType": "Group", "id": "group", "type": "practitioner", "actual": true,
            "member": [{"entity": {"reference": "Practitioner/doc"}}]})
        .to_string(),
        json!({"resourceType": "Device", "id": "phone", "identifier": [{"system": "https://localhost:8443", "value": "client"}]})
            .to_string(),
        observed("plain", &json!({})),
        observed("old", &json!({"effectiveDateTime": "2019-01-01"})),
        observed("profiled", &json!({"meta": {"profile": ["https://example.org/profile|1"]}})),
        observed("labelled", &json!({"meta": {"security": [coding("http://terminology.hl7.org/CodeSystem/v3-ActCode", "HIV")]}})),
        observed("during", &json!({"encounter": {"reference": "Encounter/pat-doc"}})),
        observed("derived", &json!({"derivedFrom": [{"reference": "Observation/plain"}]})),
        observed("written", &json!({"performer": [{"reference": "Practitioner/doc"}]})),
    ])
    .await
}

#[tokio::test]
async fn each_element_alone_is_about_some_requests_and_not_about_others() {
    verifies!("CONSENT-05");
    let world = everything().await;
    use Asking::*;
    let by = |reference: &str| json!({"actor": [actor(json!({"reference": reference}))]});
    let data = |meaning: &str, target: &str| json!({"data": [{"meaning": meaning, "reference": {"reference": target}}]});
    let purpose = json!({"purpose": [coding("http://terminology.hl7.org/CodeSystem/v3-ActReason", "HPAYMT")]});
    let action = |code: &str| json!({"action": [concept("http://terminology.hl7.org/CodeSystem/consentaction", code)]});
    type Asked = (Asking, &'static str);
    let rows: Vec<(&str, Value, Asked, Asked)> = vec![
        ("period", json!({"period": {"start": "2027-01-10", "end": "2027-01-20"}}), (Doc, "plain"), (DocLater, "plain")),
        ("dataPeriod", json!({"dataPeriod": {"end": "2020"}}), (Doc, "old"), (Doc, "plain")),
        ("actor: person", by("Practitioner/doc"), (Doc, "plain"), (Other, "plain")),
        ("actor: role", by("PractitionerRole/role"), (Doc, "plain"), (Other, "plain")),
        ("actor: organisation", by("Organization/org"), (Doc, "plain"), (Other, "plain")),
        ("actor: care team", by("CareTeam/team"), (Doc, "plain"), (Other, "plain")),
        ("actor: group", by("Group/group"), (Doc, "plain"), (Other, "plain")),
        ("actor: device", by("Device/phone"), (Doc, "plain"), (Client("HOPERAT"), "plain")),
        (
            "actor: relative",
            by("RelatedPerson/aunt"),
            (Relative("RelatedPerson/aunt"), "plain"),
            (Relative("RelatedPerson/uncle"), "plain"),
        ),
        ("actor: app", json!({"actor": [client("client")]}), (Doc, "plain"), (Client("HOPERAT"), "plain")),
        ("purpose", purpose, (Client("HPAYMT"), "plain"), (Doc, "plain")),
        ("class: type", json!({"class": [coding(TYPES, "Observation")]}), (Doc, "plain"), (Doc, "Encounter/pat-doc")),
        (
            "class: profile",
            json!({"class": [coding("urn:ietf:rfc:3986", "https://example.org/profile")]}),
            (Doc, "profiled"),
            (Doc, "plain"),
        ),
        ("code", json!({"code": [concept(LOINC, "4548-4")]}), (Doc, "of-pat"), (Doc, "plain")),
        (
            "securityLabel",
            json!({"securityLabel": [coding("http://terminology.hl7.org/CodeSystem/v3-ActCode", "HIV")]}),
            (Client("HOPERAT"), "labelled"),
            (Client("HOPERAT"), "plain"),
        ),
        ("data: instance", data("instance", "Observation/plain"), (Doc, "plain"), (Doc, "old")),
        ("data: related", data("related", "Encounter/pat-doc"), (Doc, "during"), (Doc, "plain")),
        ("data: dependents", data("dependents", "Observation/plain"), (Doc, "derived"), (Doc, "during")),
        ("data: authoredby", data("authoredby", "Practitioner/doc"), (Doc, "written"), (Doc, "plain")),
        ("action: reading", action("access"), (Doc, "plain"), (Patient, "plain")),
    ];
    for (element, mut provision, matching, other) in rows {
        // A denial closes what is open; a permit opens what is closed.
        for (effect, implicit) in [("deny", ImplicitPolicy::AllNormal), ("permit", ImplicitPolicy::Deny)] {
            provision["type"] = effect.into();
            world.commit(Who::Operator, vec![import(&consent("c", "pat", provision.clone()).to_string())]).await.unwrap();
            for ((asking, target), is_about) in [(matching, true), (other, false)] {
                // Patients see their own whatever is permitted to others.
                if effect == "permit" && matches!(asking, Patient) {
                    continue;
                }
                let (type_name, own) = target.split_once('/').unwrap_or(("Observation", target));
                let seen = world.reads(&asking.under(implicit), type_name, own).await.unwrap();
                assert_eq!(seen, is_about == (effect == "permit"), "{element}, {effect}, {asking:?} {target}");
            }
        }
    }
    // An action that is no reading.
    let collect = json!({"type": "deny", "actor": [practitioner("doc")], "action": [
        concept("http://terminology.hl7.org/CodeSystem/consentaction", "collect")]});
    world.commit(Who::Operator, vec![import(&consent("c", "pat", collect).to_string())]).await.unwrap();
    assert!(world.read(DOC, "Observation", "plain").await.unwrap().is_some());
    let created = |own: &str| vec![import_as_create(&serde_json::from_str(&observation(own, "pat", "1")).unwrap())];
    assert!(world.commit(DOC, created("new")).await.is_err());
    world.commit(OTHER, created("new")).await.unwrap();
}

#[tokio::test]
async fn what_denies_a_capacity_is_neither_escaped_nor_held_against_another() {
    let for_purpose =
        |code: &str| json!({"type": "deny", "purpose": [coding("http://terminology.hl7.org/CodeSystem/v3-ActReason", code)]});
    let world = world(&[encounter("quinn-both", "quinn", "both"), encounter("pat-both", "pat", "both")]).await;
    // A clinician who treats both, and acts for Pat as a relative.
    let both = |stated: &str| {
        person(&[Role::Clinician, Role::Representative], "Practitioner/both", &["pat"], "user/*.rs")
            .stating(PurposeOfUse::parse(stated))
    };
    for (denied, stated, pats, quinns) in [
        ("FAMRQT", "TREAT", false, true),
        ("FAMRQT", "FAMRQT", false, false),
        ("TREAT", "TREAT", false, false),
        // Of Pat the relative asks indeed; of Quinn nobody asks as a relative.
        ("TREAT", "FAMRQT", true, false),
        ("HMARKT", "TREAT", true, true),
    ] {
        let denials =
            ["pat", "quinn"].map(|patient| import(&consent(&format!("c-{patient}"), patient, for_purpose(denied)).to_string()));
        world.commit(Who::Operator, Vec::from(denials)).await.unwrap();
        for (own, expected) in [("of-pat", pats), ("of-quinn", quinns)] {
            let seen = world.reads(&both(stated), "Observation", own).await.unwrap();
            assert_eq!(seen, expected, "{denied} denied, {stated} stated, {own}");
        }
    }
}
