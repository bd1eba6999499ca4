//! What a consent is about: purposes and exceptions, labels as a high-water mark, and who somebody is besides.

use portcullis_jose::{Algorithm, SigningKey, VerificationKeys};
use portcullis_oauth::access_token::{AccessTokenClaims, AccessTokenTrust, Subject, VerifiedToken};
use portcullis_oauth::confirmation::Possession;
use portcullis_oauth::identifiers::{ClientId, GrantId, TokenId};
use portcullis_oauth::principal::{Circumstances, ImplicitPolicy, Principal, PurposeOfUse, TokenFacts, TokenStatus};
use portcullis_oauth::purposes::PurposeFacts;
use portcullis_oauth::scopes::ScopeSet;
use portcullis_verifies::verifies;

use super::*;

const ACT_CODE: &str = "http://terminology.hl7.org/CodeSystem/v3-ActCode";
const CONFIDENTIALITY: &str = "http://terminology.hl7.org/CodeSystem/v3-Confidentiality";
const NOW: i64 = 1_800_000_000;

/// A client that reads for this purpose, on its own behalf, where nobody is let in without a consent.
pub fn reading_for(purpose: &str) -> Principal {
    let client = ClientId::parse("backend").unwrap();
    let claims = AccessTokenClaims {
        issuer: "https://localhost:8443".into(),
        subject: Subject::Client(client.clone()),
        audience: BASE.into(),
        client_id: client.clone(),
        expires_at: NOW + 300,
        issued_at: NOW,
        token_id: TokenId::parse("token").unwrap(),
        scope: "system/*.rs".into(),
        grant: GrantId::parse("registration").unwrap(),
        patient: None,
        confirmation: None,
    };
    let key = SigningKey::generate(Algorithm::Es256).unwrap();
    let keys = VerificationKeys::of([&key]);
    let trust = AccessTokenTrust { keys: &keys, issuer: "https://localhost:8443", fhir_base: BASE };
    let token = VerifiedToken::verify(&claims.sign(&key).unwrap(), &trust, NOW).unwrap();
    let facts = TokenFacts {
        token_id: TokenId::parse("token").unwrap(),
        active: true,
        epoch: 0,
        client: Some(client),
        user: None,
        purposes: PurposeFacts { client: vec![PurposeOfUse::parse(purpose).unwrap()], ..PurposeFacts::default() },
        registered: Some(ScopeSet::parse("system/*.rs").unwrap().compiled()),
        clearance: portcullis_fhir::labels::Clearance::FULL,
    };
    strictly(
        Principal::establish(&token, &Possession::NOTHING, TokenStatus::from_registry(facts), NOW)
            .unwrap()
            .cleared(portcullis_fhir::labels::Clearances::default()),
    )
}

pub fn strictly(principal: Principal) -> Principal {
    principal.asking(Circumstances { implicit: ImplicitPolicy::Deny, ..circumstances() })
}

fn labelled(own: &str, labels: &[(&str, &str)]) -> String {
    let mut resource: Value = serde_json::from_str(&observation(own, "pat", "4548-4")).unwrap();
    resource["meta"] = json!({"security": labels.iter().map(|(system, code)| coding(system, code)).collect::<Vec<_>>()});
    resource.to_string()
}

fn claim(own: &str, labels: &[(&str, &str)]) -> String {
    let mut claim = json!({
        "resourceType": "Claim", "id": own, "status": "active", "type": {"text": "x"}, "use": "claim", "created": "2024-01-01",
        "patient": {"reference": "Patient/pat"}, "provider": {"reference": "Organization/org"}, "priority": {"text": "normal"},
        "insurance": [{"sequence": 1, "focal": true, "coverage": {"reference": "Coverage/cov"}}],
    });
    if !labels.is_empty() {
        claim["meta"] = json!({"security": labels.iter().map(|(system, code)| coding(system, code)).collect::<Vec<_>>()});
    }
    claim.to_string()
}

#[tokio::test]
async fn exceptions_nest_three_levels_deep() {
    verifies!("CONSENT-04");
    let purpose = |code: &str| json!([coding("http://terminology.hl7.org/CodeSystem/v3-ActReason", code)]);
    let provision = json!({"type": "permit", "provision": [
        {"type": "deny", "purpose": purpose("HMARKT")},
        {"type": "deny", "securityLabel": [coding(CONFIDENTIALITY, "R")]},
        {"type": "deny", "purpose": purpose("HPAYMT"), "provision": [
            {"type": "permit", "class": [coding("http://hl7.org/fhir/resource-types", "Claim")]}]},
    ]});
    let restricted = [(CONFIDENTIALITY, "R")];
    let world = world(&[
        labelled("restricted", &restricted),
        claim("claim", &[]),
        claim("restricted-claim", &restricted),
        consent("c", "pat", provision).to_string(),
    ])
    .await;
    for (purpose, type_name, own, expected) in [
        ("TREAT", "Observation", "of-pat", true),
        ("HMARKT", "Observation", "of-pat", false),
        ("TREAT", "Observation", "restricted", false),
        ("HPAYMT", "Observation", "of-pat", false),
        ("HPAYMT", "Claim", "claim", true),
        ("HMARKT", "Claim", "claim", false),
        ("HPAYMT", "Claim", "restricted-claim", false),
    ] {
        let seen = world.reads(&reading_for(purpose), type_name, own).await.unwrap();
        assert_eq!(seen, expected, "{purpose} {type_name}/{own}");
    }
    assert!(!world.reads(&reading_for("TREAT"), "Observation", "of-quinn").await.unwrap(), "Quinn said nothing");
}

#[tokio::test]
async fn a_permit_up_to_restricted_keeps_what_is_very_restricted_a_label_includes_others_and_treatment_no_emergency() {
    verifies!("CONSENT-06");
    let up_to = json!({"type": "permit", "securityLabel": [coding(CONFIDENTIALITY, "R")]});
    let world = world(&[
        labelled("normal", &[(CONFIDENTIALITY, "N")]),
        labelled("restricted", &[(CONFIDENTIALITY, "R")]),
        labelled("very", &[(CONFIDENTIALITY, "V")]),
        labelled("alcohol", &[(ACT_CODE, "ETHUD")]),
        consent("c", "pat", up_to).to_string(),
    ])
    .await;
    let client = reading_for("HOPERAT");
    for (own, expected) in [("normal", true), ("restricted", true), ("very", false), ("alcohol", true), ("of-pat", true)] {
        assert_eq!(world.reads(&client, "Observation", own).await.unwrap(), expected, "{own}");
    }
    let substances = json!({"type": "deny", "securityLabel": [coding(ACT_CODE, "ETH")]});
    world.commit(Who::Operator, vec![import(&consent("d", "pat", substances).to_string())]).await.unwrap();
    for (own, expected) in [("alcohol", false), ("restricted", true)] {
        assert_eq!(world.reads(&client, "Observation", own).await.unwrap(), expected, "{own}");
    }
    // A permit for a purpose holds for what is included in it, and for an emergency only where it names that.
    for own in ["c", "d"] {
        let ended = withdrawn(consent(own, "pat", json!({"type": "permit"})));
        world.commit(Who::Operator, vec![import(&ended.to_string())]).await.unwrap();
    }
    for (purpose, coordination, emergency) in
        [("TREAT", true, false), ("COC", true, false), ("HRESCH", false, false), ("BTG", false, true)]
    {
        let purpose = json!([coding("http://terminology.hl7.org/CodeSystem/v3-ActReason", purpose)]);
        let permit = consent("e", "pat", json!({"type": "permit", "purpose": purpose})).to_string();
        world.commit(Who::Operator, vec![import(&permit)]).await.unwrap();
        assert_eq!(world.reads(&reading_for("COC"), "Observation", "of-pat").await.unwrap(), coordination, "{purpose}");
        let breaking = strictly(super::matching::breaking_the_glass("pat"));
        assert_eq!(world.reads(&breaking, "Observation", "of-pat").await.unwrap(), emergency, "{purpose}");
    }
}

#[tokio::test]
async fn an_organisation_is_whoever_has_a_role_there_that_has_not_ended() {
    let of = |target: &str| json!({"type": "permit", "actor": [actor(json!({"reference": target}))]});
    let role = |active: bool| {
        json!({"resourceType": "PractitionerRole", "id": "role", "active": active,
            "practitioner": {"reference": "Practitioner/doc"}, "organization": {"reference": "Organization/org"}})
        .to_string()
    };
    let world = world(&[consent("c", "pat", of("Organization/org")).to_string()]).await;
    let sees = async |who: Who<'_>| world.reads(&strictly(who.principal()), "Observation", "of-pat").await.unwrap();
    assert!(!sees(DOC).await, "nobody knows of what organisation the practitioner is");
    world.commit(Who::Operator, vec![import(&role(true))]).await.unwrap();
    assert!(sees(DOC).await && !sees(OTHER).await);
    world.commit(Who::Operator, vec![import(&role(false))]).await.unwrap();
    assert!(!sees(DOC).await, "the role has ended");
    // What is denied to an organisation is denied to whoever may be of it.
    world.commit(Who::Operator, vec![import(&role(true))]).await.unwrap();
    let denial = |target: &str| json!({"type": "deny", "actor": [actor(json!({"reference": target}))]});
    world.commit(Who::Operator, vec![import(&consent("c", "pat", denial("Organization/elsewhere")).to_string())]).await.unwrap();
    assert!(world.read(DOC, "Observation", "of-pat").await.unwrap().is_some(), "all roles are known");
    assert!(world.read(OTHER, "Observation", "of-pat").await.unwrap().is_none(), "no role is known");
    world.commit(Who::Operator, vec![import(&consent("c", "pat", denial("PractitionerRole/role")).to_string())]).await.unwrap();
    assert!(world.read(DOC, "Observation", "of-pat").await.unwrap().is_none());
}

#[tokio::test]
async fn what_is_denied_to_an_organisation_is_denied_to_its_parts_and_what_is_permitted_is_not_theirs() {
    let organization = |own: &str, of: Option<&str>| {
        let part_of = of.map(|of| json!({"reference": format!("Organization/{of}")}));
        import(
            &json!({"resourceType": "Organization", "id": own, "name": own, "partOf": part_of})
                .to_string()
                .replace(r#","partOf":null"#, ""),
        )
    };
    let role = json!({"resourceType": "PractitionerRole", "id": "role",
        "practitioner": {"reference": "Practitioner/doc"}, "organization": {"reference": "Organization/ward"}});
    let team = json!({"resourceType": "CareTeam", "id": "team", "subject": {"reference": "Patient/pat"},
        "participant": [{"member": {"reference": "Organization/trust"}}]});
    let said = |effect: &str, target: &str| {
        let rule = json!({"type": effect, "actor": [actor(json!({"reference": target}))]});
        import(&consent("c", "pat", rule).to_string())
    };
    let world = world(&[role.to_string(), team.to_string()]).await;
    let parts =
        [("other-ward", Some("hospital")), ("ward", Some("clinic")), ("clinic", Some("hospital")), ("hospital", Some("trust"))];
    let organizations = [("trust", None), ("elsewhere", None)].into_iter().chain(parts);
    world.commit(Who::Operator, organizations.map(|(own, of)| organization(own, of)).collect()).await.unwrap();
    for (denied, open) in [
        ("Organization/ward", false),
        ("Organization/clinic", false),
        ("Organization/hospital", false),
        ("Organization/trust", false),
        ("CareTeam/team", false),
        ("Organization/other-ward", true),
        ("Organization/elsewhere", true),
    ] {
        world.commit(Who::Operator, vec![said("deny", denied)]).await.unwrap();
        assert_eq!(world.read(DOC, "Observation", "of-pat").await.unwrap().is_some(), open, "{denied}");
        assert_eq!(world.search(DOC, "Observation", "_id=of-pat").await.unwrap().len(), usize::from(open), "{denied}");
    }
    for (permitted, open) in [("Organization/ward", true), ("Organization/clinic", false), ("CareTeam/team", false)] {
        world.commit(Who::Operator, vec![said("permit", permitted)]).await.unwrap();
        assert_eq!(world.reads(&strictly(DOC.principal()), "Observation", "of-pat").await.unwrap(), open, "{permitted}");
    }
    // A circle ends, and what is a part no longer is none.
    world.commit(Who::Operator, vec![organization("trust", Some("ward")), said("deny", "Organization/trust")]).await.unwrap();
    assert!(world.read(DOC, "Observation", "of-pat").await.unwrap().is_none());
    world.commit(Who::Operator, vec![organization("clinic", None)]).await.unwrap();
    assert!(world.read(DOC, "Observation", "of-pat").await.unwrap().is_some());
}
