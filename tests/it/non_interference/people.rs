//! Random people with random tokens, and the principals that the product makes of them.

use std::sync::{Arc, LazyLock};

use portcullis_fhir::labels::{Clearance, Clearances, Confidentiality, LabelPolicy, Labels};
use portcullis_fhir::reference::LocalReference;
use portcullis_fhir::types::LogicalId;
use portcullis_jose::{Algorithm, SigningKey, VerificationKeys};
use portcullis_oauth::access_token::{AccessTokenClaims, AccessTokenTrust, Subject, VerifiedToken};
use portcullis_oauth::confirmation::Possession;
use portcullis_oauth::identifiers::{ClientId, GrantId, TokenId, UserId};
use portcullis_oauth::principal::{
    Circumstances, ImplicitPolicy, Operator, OperatorOperation, Principal, PrincipalUser, TokenFacts, TokenStatus,
};
use portcullis_oauth::purposes::{BrokenGlass, PurposeFacts, PurposeOfUse};
use portcullis_oauth::representation::Representation;
use portcullis_oauth::scopes::ScopeSet;
use portcullis_oauth::users::Role;
use portcullis_policy::OperatorRules;
use proptest::prelude::*;
use proptest::sample::{select, subsequence};
use serde_json::Value;

use super::consents::APP;
use super::data::{BASE, KINDS, NOW, PATIENTS};
use super::elements::Labelled;
use super::rules::{self, Rule};
use super::{purposes, redaction};

const ISSUER: &str = "https://localhost:8443";
static KEY: LazyLock<SigningKey> = LazyLock::new(|| SigningKey::generate(Algorithm::Es256).unwrap());

/// The part of a scope before the slash.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Context {
    /// `patient/`
    Patient,
    /// `user/`
    User,
    /// `system/`
    System,
}

/// A client that acts for itself.
#[derive(Clone, Copy, Debug)]
pub struct Service {
    /// Which of [`SERVICE_CLEARANCES`] it was registered with.
    pub clearance: usize,
    /// The purposes that it was registered for.
    pub purposes: &'static [&'static str],
}

/// One scope.
#[derive(Clone, Copy, Debug)]
pub struct Scope {
    /// `patient/`, `user/` or `system/`.
    pub context: Context,
    /// `None`: `*`.
    pub resource_type: Option<&'static str>,
    /// A part of `cruds`.
    pub letters: &'static str,
    /// What follows the question mark, and what it means to the view; only with a type.
    pub criteria: Option<&'static Criteria>,
}

/// Criteria of a scope.
#[derive(Debug)]
pub struct Criteria {
    /// The types for which they can be asked.
    pub types: &'static [&'static str],
    /// As in a scope.
    pub text: &'static str,
    /// Whether they hold for a resource of one of the types.
    pub admit: fn(&Value) -> bool,
}

impl Criteria {
    /// Whether they open a resource: elements with labels of their own open nothing, and of a resource with such ones nobody says what it has not.
    pub fn open(&self, body: &Value) -> bool {
        let Some(labelled) = Labelled::of(body) else { return (self.admit)(body) };
        let asks_for_absence = self.text.contains(":not=") || self.text.contains(":missing=true");
        let mut indexed = body.clone();
        labelled.leave_out(&mut indexed);
        !asks_for_absence && (self.admit)(&indexed)
    }

    /// Whether they may hold: what stands in such an element is not looked at.
    pub fn may_hold(&self, body: &Value) -> bool {
        (self.admit)(body) || Labelled::of(body).is_some()
    }
}

/// The codings of an element that is a concept or a list of such.
fn codings<'a>(body: &'a Value, element: &str) -> Vec<&'a Value> {
    let concepts = body[element].as_array().map_or_else(|| vec![&body[element]], |concepts| concepts.iter().collect());
    concepts.into_iter().filter_map(|concept| concept["coding"].as_array()).flatten().collect()
}

fn has_code(body: &Value, element: &str, code: &str) -> bool {
    codings(body, element).iter().any(|coding| coding["code"] == code)
}

/// Criteria of every kind that scopes may have, written down twice: as a scope says them, and as the bodies of these tests fulfil them.
pub static CRITERIA: [Criteria; 11] = [
    Criteria {
        types: &["Observation", "Condition"],
        text: "code=http://loinc.org|4548-4",
        admit: |body| {
            codings(body, "code").iter().any(|coding| coding["system"] == "http://loinc.org" && coding["code"] == "4548-4")
        },
    },
    Criteria { types: &["Observation", "Condition", "Device"], text: "_tag=s%7Ct", admit: |body| body["meta"]["tag"].is_array() },
    Criteria { types: &["Observation", "Condition"], text: "code=4548-4", admit: |body| has_code(body, "code", "4548-4") },
    Criteria {
        types: &["Observation"],
        text: "code=8867-4,85354-9&date=ge2026-03",
        admit: |body| {
            let date = body["effectiveDateTime"].as_str().unwrap_or_default();
            // "2026" ends after March, and so after the whole of it.
            (has_code(body, "code", "8867-4") || has_code(body, "code", "85354-9"))
                && (date == "2026" || date.starts_with("2026-0"))
        },
    },
    Criteria {
        types: &["Observation", "Condition"],
        text: "code:not=http://loinc.org|8867-4,bare",
        admit: |body| {
            !codings(body, "code")
                .iter()
                .any(|coding| coding["code"] == "bare" || coding["system"] == "http://loinc.org" && coding["code"] == "8867-4")
        },
    },
    Criteria { types: &["Observation"], text: "date:missing=true", admit: |body| body["effectiveDateTime"].is_null() },
    Criteria {
        types: &["Observation"],
        text: "code=s|",
        admit: |body| codings(body, "code").iter().any(|coding| coding["system"] == "s"),
    },
    Criteria {
        types: &["Encounter"],
        text: "subject=Patient/p0",
        admit: |body| local(&body["subject"]) == Some("Patient/p0".to_owned()),
    },
    Criteria {
        types: &["Organization", "Location"],
        text: "name=smith",
        admit: |body| body["name"].as_str().is_some_and(|name| name.starts_with("Smith")),
    },
    Criteria {
        types: &["Practitioner", "Patient"],
        text: "family:exact=Smith",
        admit: |body| body["name"][0]["family"] == "Smith",
    },
    Criteria {
        types: &["Provenance", "Device", "Coverage"],
        text: "_profile:missing=true",
        admit: |body| body["meta"]["profile"].is_null(),
    },
];

fn local(reference: &Value) -> Option<String> {
    let text = reference["reference"].as_str()?;
    let relative = text.strip_prefix(BASE).and_then(|rest| rest.strip_prefix('/')).unwrap_or(text);
    Some(relative.split("/_history").next()?.to_owned())
}

/// A person with a token, and what the operator of the server decided.
#[derive(Clone, Debug, Default)]
pub struct Person {
    /// The patients for whom the person may act.
    pub patients: Vec<&'static str>,
    /// The id of the Practitioner that the person is.
    pub practitioner: Option<&'static str>,
    /// The patient in the launch context.
    pub launch: Option<&'static str>,
    /// The scopes.
    pub scopes: Vec<Scope>,
    /// Which of [`CLEARANCES`] clinicians have.
    pub clearance: usize,
    /// The purpose that requests state.
    pub stated: Option<&'static str>,
    /// For whom the person broke the glass; whoever did is entitled to.
    pub glass: Vec<&'static str>,
    /// Of somebody who acts for two patients: who of them the person is.
    pub own: Option<&'static str>,
    /// Of somebody who acts for two patients: for the second one read-only, and without records of a type.
    pub limits: Option<(bool, &'static str)>,
    /// Which of the lists of hidden elements holds.
    pub hidden: usize,
    /// The operator's rules.
    pub rules: Vec<Rule>,
    /// Which of [`IMPLICIT`] holds where no consent says anything.
    pub implicit: usize,
    /// Whether the app may know who the person is (`openid fhirUser`).
    pub known: bool,
    /// It is no person but a client that acts for itself, and nothing above holds but scopes, purpose, elements and rules.
    pub service: Option<Service>,
}

/// What holds where no consent says anything; the first is the usual one.
pub const IMPLICIT: [ImplicitPolicy; 4] =
    [ImplicitPolicy::AllNormal, ImplicitPolicy::Deny, ImplicitPolicy::BasicNormal, ImplicitPolicy::BreakGlassOnly];

/// A principal with the rules of the operator that hold for the decision.
pub struct Asker {
    /// Who asks.
    pub principal: Principal,
    /// The rules.
    pub rules: Arc<OperatorRules>,
}

/// The highest confidentiality and the sensitivities that clinicians may be cleared for; the first is what they are without configuration.
pub const CLEARANCES: [(&str, &[&str]); 3] = [("N", &[]), ("R", &["HIV"]), ("V", &["HIV", "PSY"])];

/// The same for clients that act for themselves; the first, which is the usual one, is for everything.
pub const SERVICE_CLEARANCES: [(&str, &[&str]); 3] = [("V", &["HIV", "PSY"]), ("N", &[]), ("R", &["PSY"])];

/// The same as the product has them.
fn clearance((highest, sensitivities): (&str, &[&str])) -> Clearance {
    let named = |labels: Labels, code: &&str| labels | Labels::named(code).unwrap();
    Clearance::up_to(Confidentiality::parse(highest).unwrap(), sensitivities.iter().fold(Labels::NONE, named))
}

impl Person {
    /// A patient with an app that may read and search everything.
    pub fn patient(id: &'static str) -> Self {
        let scopes = vec![Scope { context: Context::Patient, resource_type: None, letters: "rs", criteria: None }];
        Self { patients: vec![id], launch: Some(id), scopes, ..Self::default() }
    }

    /// A clinician with an app that may read and search everything.
    pub fn clinician(practitioner: &'static str) -> Self {
        let scopes = vec![Scope { context: Context::User, resource_type: None, letters: "rs", criteria: None }];
        Self { practitioner: Some(practitioner), scopes, ..Self::default() }
    }

    /// The token's scopes as text.
    pub fn scope(&self) -> String {
        let one = |scope: &Scope| {
            let context = match scope.context {
                Context::Patient => "patient",
                Context::User => "user",
                Context::System => "system",
            };
            let criteria = scope.criteria.map(|criteria| format!("?{}", criteria.text)).unwrap_or_default();
            format!("{context}/{}.{}{criteria}", scope.resource_type.unwrap_or("*"), scope.letters)
        };
        let identity = self.known.then(|| "openid fhirUser".to_owned());
        self.scopes.iter().map(one).chain(identity).collect::<Vec<_>>().join(" ")
    }

    /// The resource that stands for the person.
    pub fn entry(&self) -> Option<(&'static str, &'static str)> {
        let patient = if let [only] = self.patients.as_slice() { Some(*only) } else { self.own };
        self.practitioner.map(|id| ("Practitioner", id)).or(patient.map(|id| ("Patient", id)))
    }

    /// The principal, by way of a signed token and the registry's word.
    pub fn principal(&self) -> Asker {
        self.principal_with(APP)
    }

    /// The same with another app.
    pub fn principal_with(&self, app: &str) -> Asker {
        let user = UserId::parse("user").unwrap();
        let client = ClientId::parse(app).unwrap();
        let claims = AccessTokenClaims {
            issuer: ISSUER.into(),
            subject: if self.service.is_some() { Subject::Client(client.clone()) } else { user.clone().into() },
            audience: BASE.into(),
            client_id: client.clone(),
            expires_at: NOW / 1000 + 300,
            issued_at: NOW / 1000,
            token_id: TokenId::parse("token").unwrap(),
            scope: self.scope(),
            grant: GrantId::parse("grant").unwrap(),
            patient: self.launch.and_then(LogicalId::parse),
            confirmation: None,
        };
        let keys = VerificationKeys::of([&*KEY]);
        let trust = AccessTokenTrust { keys: &keys, issuer: ISSUER, fhir_base: BASE };
        let token = VerifiedToken::verify(&claims.sign(&KEY).unwrap(), &trust, NOW / 1000).unwrap();
        let fhir_user = self.entry().and_then(|(name, id)| LocalReference::parse(&format!("{name}/{id}")));
        let user = PrincipalUser {
            id: user,
            roles: self.roles().into_iter().collect(),
            fhir_user,
            patients: self.patients.iter().filter_map(|id| LogicalId::parse(id)).collect(),
            represents: self.represents().iter().map(|line| Representation::parse(line).unwrap()).collect(),
        };
        let broken = |patient: &&str| BrokenGlass { patient: LogicalId::parse(patient).unwrap(), until: NOW / 1000 + 60 };
        let registered_for = self.service.map_or(&[][..], |service| service.purposes);
        let purposes = PurposeFacts {
            client: registered_for.iter().map(|purpose| PurposeOfUse::parse(purpose).unwrap()).collect(),
            may_break_glass: !self.glass.is_empty(),
            broken_glass: self.glass.iter().map(broken).collect(),
        };
        let facts = TokenFacts {
            token_id: token.token_id().clone(),
            active: true,
            epoch: 0,
            client: Some(client),
            user: Some(user).filter(|_| self.service.is_none()),
            purposes,
            registered: self.service.map(|_| ScopeSet::parse("system/*.cruds").unwrap().compiled()),
            clearance: self.service.map_or(Clearance::FULL, |service| match service.clearance {
                0 => Clearance::FULL,
                number => clearance(SERVICE_CLEARANCES[number]),
            }),
        };
        let labels = LabelPolicy {
            clearances: Clearances { clinician: clearance(CLEARANCES[self.clearance]), ..Clearances::default() },
            elements: redaction::compiled(self.hidden),
            ..LabelPolicy::default()
        };
        let implicit = IMPLICIT[self.implicit];
        let principal = Principal::establish(&token, &Possession::NOTHING, TokenStatus::from_registry(facts), NOW / 1000)
            .unwrap()
            .cleared(labels)
            .asking(Circumstances { address: None, now: NOW, base_url: BASE.into(), implicit, membership: Default::default() })
            .stating(self.stated.map(|purpose| PurposeOfUse::parse(purpose).unwrap()));
        Asker { principal, rules: rules::compiled(&self.rules) }
    }

    /// The lines of the registry about whom the person represents within limits.
    fn represents(&self) -> Option<String> {
        let (read_only, excluded) = self.limits?;
        Some(format!("{} 0 - {} {excluded}", self.patients.get(1)?, if read_only { "ro" } else { "rw" }))
    }

    /// The roles.
    pub fn roles(&self) -> Vec<Role> {
        let own = match self.patients.as_slice() {
            [] => None,
            [_] => Some(Role::Patient),
            _ => Some(Role::Representative),
        };
        let also = self.own.map(|_| Role::Patient);
        own.into_iter().chain(also).chain(self.practitioner.map(|_| Role::Clinician)).collect()
    }
}

/// Sees and imports everything.
pub fn operator() -> Asker {
    let operations = [OperatorOperation::LoadResources, OperatorOperation::ReadResources];
    Asker { principal: Principal::command_line_operator(Operator::new("test", operations)), rules: Arc::default() }
}

/// A patient with an app that no consent names, with every letter: nobody keeps patients from their own.
pub fn patient_with_another_app(id: &str) -> Asker {
    let own = PATIENTS.into_iter().find(|patient| *patient == id).unwrap();
    let scopes = vec![Scope { context: Context::Patient, resource_type: None, letters: "cruds", criteria: None }];
    Person { scopes, ..Person::patient(own) }.principal_with("another-app")
}

/// A client that acts for itself and may do everything.
pub fn service_for_all() -> Person {
    let scopes = vec![Scope { context: Context::System, resource_type: None, letters: "cruds", criteria: None }];
    Person { scopes, service: Some(Service { clearance: 0, purposes: &[] }), ..Person::default() }
}

/// Each of the criteria with each type for which they can be asked.
pub static QUALIFIABLE: LazyLock<Vec<(&'static str, &'static Criteria)>> =
    LazyLock::new(|| CRITERIA.iter().flat_map(|criteria| criteria.types.iter().map(move |name| (*name, criteria))).collect());

/// Random people: patients, representatives, clinicians, some who are several of these, and clients that act for themselves.
pub fn people() -> impl Strategy<Value = Person> {
    let patient = || select(&["p0", "p0", "p0", "p1", "p1", "p2", "p3"][..]);
    let one = || patient().prop_map(|patient| vec![patient]);
    let two = || subsequence(PATIENTS.to_vec(), 2);
    let practitioner = || select(&["d0", "d0", "d1", "d2"][..]).prop_map(Some);
    let own = (one(), scopes(Context::Patient)).prop_map(|(patients, scopes)| Person {
        launch: Some(patients[0]),
        patients,
        scopes,
        ..Person::default()
    });
    let representative = (two(), scopes(Context::User), any::<bool>()).prop_map(|(patients, scopes, is_one)| Person {
        own: is_one.then_some(patients[0]),
        patients,
        scopes,
        ..Person::default()
    });
    let for_one = (two(), scopes(Context::Patient)).prop_map(|(patients, scopes)| Person {
        launch: Some(patients[1]),
        patients,
        scopes,
        ..Person::default()
    });
    let panel = (practitioner(), scopes(Context::User)).prop_map(|(practitioner, scopes)| Person {
        practitioner,
        scopes,
        ..Person::default()
    });
    let launched = (practitioner(), patient(), scopes(Context::Patient)).prop_map(|(practitioner, launch, scopes)| Person {
        launch: Some(launch),
        practitioner,
        scopes,
        ..Person::default()
    });
    let launch = prop::option::weighted(0.9, select(&PATIENTS[..]));
    let both = (scopes(Context::Patient), scopes(Context::User)).prop_map(|(patient, user)| [patient, user].concat());
    let mixed = (prop_oneof![one(), two()], prop::option::weighted(0.7, select(&["d0", "d1"][..])), launch, both).prop_map(
        |(patients, practitioner, launch, scopes)| Person { launch, practitioner, patients, scopes, ..Person::default() },
    );
    let people = prop_oneof![3 => own, 2 => representative, 2 => for_one, 4 => panel, 2 => launched, 5 => mixed];
    let people = (people, 0..CLEARANCES.len(), decided()).prop_map(|(person, clearance, decided)| {
        let glass = if person.practitioner.is_some() { decided.glass } else { Vec::new() };
        // Most of what is stated is what somebody of that kind may state.
        let sensible = match (decided.stated, person.practitioner.is_some()) {
            (Some("HPAYMT" | "BTG"), true) => Some("COC"),
            (Some("HPAYMT" | "TREAT" | "COC"), false) => Some("FAMRQT"),
            (other, _) => other,
        };
        let stated = if decided.implicit > 0 { decided.stated } else { sensible };
        let stated = if glass.is_empty() { stated } else { Some("BTG") };
        Person {
            clearance,
            patients: person.patients,
            practitioner: person.practitioner,
            launch: person.launch,
            scopes: person.scopes,
            own: person.own,
            glass,
            stated,
            ..decided
        }
    });
    prop_oneof![6 => people, 1 => services()]
}

/// What clients that act for themselves were registered for; nothing: operations.
static REGISTERED_FOR: [&[&str]; 3] = [&[], &["TREAT"], &["HPAYMT", "COC"]];

/// Random clients that act for themselves.
fn services() -> impl Strategy<Value = Person> {
    let purposes = select(&REGISTERED_FOR[..]);
    let service = (prop_oneof![2 => Just(0), 1 => 1..SERVICE_CLEARANCES.len()], purposes);
    let hidden = prop_oneof![7 => Just(0), 3 => 1..redaction::LISTS.len()];
    let rules = prop_oneof![6 => Just(Vec::new()), 4 => rules::rules()];
    let implicit = prop_oneof![8 => Just(0), 2 => 0..IMPLICIT.len()];
    let stated = prop::option::weighted(0.2, select(&["TREAT", "COC", "HPAYMT", "BTG"][..]));
    (service, scopes(Context::System), hidden, rules, implicit, stated).prop_map(
        |((clearance, purposes), scopes, hidden, rules, implicit, stated)| Person {
            service: Some(Service { clearance, purposes }),
            // Most of what is stated is what it was registered for.
            stated: stated.filter(|stated| *stated == "BTG" || purposes.contains(stated)),
            scopes,
            hidden,
            rules,
            implicit,
            ..Person::default()
        },
    )
}

/// Mostly nothing beside scopes and roles; sometimes a purpose, an emergency, limits, hidden elements, rules, or consents that must permit.
fn decided() -> impl Strategy<Value = Person> {
    let stated = prop::option::weighted(0.25, select(&purposes::STATED[..]));
    let glass = prop_oneof![8 => Just(Vec::new()), 2 => subsequence(PATIENTS.to_vec(), 1..=2)];
    let limits = prop::option::weighted(0.5, (any::<bool>(), select(&["-", "Observation", "Encounter,Patient"][..])));
    let hidden = prop_oneof![7 => Just(0), 3 => 1..redaction::LISTS.len()];
    let rules = prop_oneof![6 => Just(Vec::new()), 4 => rules::rules()];
    let implicit = prop_oneof![8 => Just(0), 2 => 0..IMPLICIT.len()];
    let known = prop::bool::weighted(0.3);
    let all = (stated, glass, limits, hidden, rules, implicit, known);
    all.prop_map(|(stated, glass, limits, hidden, rules, implicit, known)| Person {
        stated,
        glass,
        limits,
        hidden,
        rules,
        implicit,
        known,
        ..Person::default()
    })
}

fn scopes(context: Context) -> impl Strategy<Value = Vec<Scope>> {
    let letters = || select(&["rs", "rs", "r", "s", "cruds", "cruds", "cruds", "ru", "cu", "d"][..]);
    let named = (select(&KINDS[..]), letters()).prop_map(move |(kind, letters)| Scope {
        context,
        resource_type: Some(kind.name),
        letters,
        criteria: None,
    });
    let everything = move |letters| vec![Scope { context, resource_type: None, letters, criteria: None }];
    let any = letters().prop_map(move |letters| Scope { context, resource_type: None, letters, criteria: None });
    let qualified = (select(QUALIFIABLE.as_slice()), letters()).prop_map(move |((name, criteria), letters)| Scope {
        context,
        resource_type: Some(name),
        letters,
        criteria: Some(criteria),
    });
    // Named types as a whole, others in part only, and sometimes one in both.
    let in_part =
        (prop::collection::vec(named.clone(), 0..10), prop::collection::vec(qualified, 1..6)).prop_map(|(whole, part)| {
            let is_named = |scope: &Scope| part.iter().any(|other| other.resource_type == scope.resource_type);
            let rest =
                whole.iter().enumerate().filter(|(number, scope)| number % 4 == 0 || !is_named(scope)).map(|(_, scope)| *scope);
            rest.chain(part.iter().copied()).collect::<Vec<_>>()
        });
    prop_oneof![
        3 => in_part,
        2 => Just(everything("rs")),
        5 => Just(everything("cruds")),
        1 => prop::collection::vec(prop_oneof![6 => named.clone(), 1 => any], 1..5),
        3 => prop::collection::vec(named, 8..18),
    ]
}
