//! What a person may see of some data: a second, tiny evaluator that walks JSON.
//!
//! Written from DESIGN.md section 3 and the text of the decision about compartment membership, not from the code: it calls nothing of the product.
//! In words: a record is visible in a context whose scopes open its type for the letter, inside the context's boundary:
//!
//! - a record that is about patients: one of them is inside;
//! - an Organization, Practitioner, PractitionerRole, Location, Medication, or Device without a patient: a record that is about patients, is not deleted, is of a type that the context opens too
//!   and lies inside refers to it (a Device with a patient is a record about that patient);
//! - a Provenance: a local target lies inside, is no Provenance and of a type that the context opens, and no local target does not;
//! - nothing else.
//!
//! Whoever's app may know who the person is reads, and does not find, the one record that stands for the person.
//!
//! A scope with criteria opens those records only whose own content fulfils them; a deletion has no content.
//!
//! Purposes without leave open nothing, breaking the glass opens one record and nothing else, and rules of the operator add relationships and take away types, labels and
//! records. What lists of elements hide is left out, where every context that shows a version hides it; a reference that is left out shows nothing.
//!
//! Of all these, somebody who is a clinician sees only what has no label above the own clearance, and what is hidden so shows nothing else. A version has its
//! labels and those of all versions before it.
//!
//! A client that acts for itself sees every record, of nobody's, too, that scopes, its clearance, rules and consents leave it; of a Provenance no target may be hidden
//! from it.
//!
//! Consents keep from everybody what [`consents`] says, and what they keep shows nothing else.
//!
//! An earlier version is visible where the current one is, and it was about somebody inside; of a Provenance, where it had the same targets.

use std::collections::BTreeSet;

use serde_json::Value;

use super::consents;
use super::data::{BASE, KINDS, Links, Name, Record, Version};
use super::elements::Labelled;
use super::labels::{Labels, labelled, level};
use super::people::{CLEARANCES, Context, Criteria, Person, SERVICE_CLEARANCES, Scope};
use super::redaction;
use super::redaction::Element;
use super::rules::{Relation, Rule};

/// Elements that say whom a record is about; Patient and Provenance are treated apart.
const ABOUT: [(&str, &[&str]); 10] = [
    ("Consent", &["patient"]),
    ("Observation", &["subject"]),
    ("Condition", &["subject"]),
    ("Encounter", &["subject"]),
    ("CareTeam", &["subject"]),
    ("Coverage", &["beneficiary", "subscriber"]),
    ("ExplanationOfBenefit", &["patient"]),
    ("Appointment", &["participant.actor"]),
    ("MedicationRequest", &["subject"]),
    ("Device", &["patient"]),
];
const SHARED: [&str; 6] = ["Organization", "Practitioner", "PractitionerRole", "Location", "Medication", "Device"];

/// A context of a token: what its scopes open, and whose records.
struct Opened<'a> {
    scopes: Vec<&'a Scope>,
    /// Only these patients; `None`: not limited by name.
    named: Option<BTreeSet<&'a str>>,
    /// Only patients to whom this practitioner has a relationship; `None`: not limited by that.
    carer: Option<(Relation, &'a str)>,
    cleared: Cleared,
    /// What somebody who acts for another may not.
    limits: Option<(bool, &'static str)>,
    /// The rule of the operator that opens it.
    permit: Option<&'a Rule>,
    /// The one record that it reaches, whomever that is about.
    alone: Option<(&'a str, &'a str)>,
}

/// Up to which labels a context shows records.
#[derive(Clone, Copy)]
enum Cleared {
    /// All.
    Everything,
    /// What clinicians see.
    AsClinician,
    /// What whoever broke the glass sees: every sensitivity, and nothing very restricted.
    InEmergency,
    /// What a client sees that acts for itself, whom nothing else bounds.
    AsService,
}

impl Opened<'_> {
    /// Whether all records are inside, those of nobody, too.
    fn is_whole(&self) -> bool {
        matches!(self.cleared, Cleared::AsService)
    }
}

/// One person's eyes for one letter.
pub struct View<'a> {
    records: &'a [Record],
    opened: Vec<Opened<'a>>,
    letter: char,
    person: &'a Person,
}

impl<'a> View<'a> {
    /// What the person may read (`r`) or search (`s`).
    pub fn new(records: &'a [Record], person: &'a Person, letter: char) -> Self {
        Self { records, opened: opened(person, letter).unwrap_or_default(), letter, person }
    }

    /// Whether a request about this type is decided at all, which does not depend on data.
    pub fn permits(&self, resource_type: &str) -> bool {
        self.opened.iter().any(|opened| self.opens(opened, resource_type))
    }

    /// The same eyes for another letter, of those contexts only that open something for this one.
    pub fn beside(mut self, letter: char) -> Self {
        let any = |opened: &Opened<'_>| {
            opened.permit.is_none()
                && opened.scopes.iter().any(|scope| scope.resource_type.is_none() && scope.letters.contains(self.letter))
        };
        let opening: Vec<bool> =
            self.opened.iter().map(|opened| any(opened) || KINDS.iter().any(|kind| self.opens(opened, kind.name))).collect();
        let mut opening = opening.into_iter();
        self.opened.retain(|_| opening.next() == Some(true));
        self.letter = letter;
        self
    }

    /// Whether something of a type is hidden that the person could change: then nothing of the type is changed.
    pub fn hides_of(&self, resource_type: &str) -> bool {
        let opening = self.opened.iter().filter(|opened| self.opens(opened, resource_type));
        opening.into_iter().any(|opened| self.hidden(opened).any(|element| element.name == resource_type))
    }

    /// Whether nothing of a type is kept from a client that acts for itself.
    pub fn is_everything(&self, resource_type: &str) -> bool {
        let is_open = |scope: &Scope| {
            scope.resource_type.is_none_or(|name| name == resource_type)
                && scope.letters.contains(self.letter)
                && scope.criteria.is_none()
        };
        self.person.service.is_some_and(|service| service.clearance == 0)
            && self.person.scopes.iter().any(is_open)
            && !self.denying().any(|rule| rule.takes_some(resource_type))
    }

    /// Whether the current version of a record is visible.
    pub fn sees(&self, record: &Record) -> bool {
        self.opened.iter().any(|opened| self.shows(opened, record))
    }

    /// Whether content of this type lies wholly inside one context: there are patients, and none is outside.
    /// `stated` says whom it is about; `content` is `None` for what is deleted.
    pub fn holds(&self, stated: &Value, content: Option<&Value>, labels: &Labels) -> bool {
        let name = stated["resourceType"].as_str().unwrap();
        let patients = patients(stated);
        self.opened.iter().any(|opened| {
            self.admits(opened, name, content, labels)
                && self.clears(opened, labels)
                && consents::permit(self.records, (self.person, self.letter), (stated, content), labels)
                && (!patients.is_empty() || opened.is_whole())
                && patients.iter().all(|patient| self.is_someone_inside(opened, patient))
        })
    }

    /// The visible records with their visible versions.
    pub fn records(&self) -> Vec<Record> {
        let visible = self.records.iter().filter(|record| self.sees(record));
        visible.map(|record| Record { versions: self.versions(record), ..record.clone() }).collect()
    }

    fn versions(&self, record: &Record) -> Vec<Version> {
        (0..record.versions.len()).filter_map(|number| self.version(record, number)).collect()
    }

    /// A version of a visible record as it is shown; `None` where it is not.
    pub fn version(&self, record: &Record, number: usize) -> Option<Version> {
        let (stated, name) = (record.stated(number), record.resource_type.as_str());
        let content = record.versions[number].body.as_ref();
        let labels = Labels::of(record, number);
        if !consents::permit(self.records, (self.person, self.letter), (stated, content), &labels) {
            return None;
        }
        let shows = |opened: &&Opened<'_>| {
            self.admits(opened, name, content, &labels)
                && self.clears(opened, &labels)
                && match name {
                    _ if opened.alone.is_some() => opened.alone == Some((name, record.id.as_str())),
                    "Provenance" => stated["target"] == record.last_stated()["target"] && self.is_about_visible(opened, record),
                    _ if opened.is_whole() => true,
                    _ if is_shared(stated) => self.is_referred_to(opened, record),
                    _ => self.is_about_someone_inside(opened, stated),
                }
        };
        let showing: Vec<&Opened<'_>> = self.opened.iter().filter(shows).collect();
        let first = showing.first()?;
        // Of several ways the one that shows more counts.
        let by_all = |element: &&Element| showing.iter().all(|opened| self.hides(opened, element));
        let hidden: Vec<&Element> = self.hidden(first).filter(by_all).filter(|element| element.name == name).collect();
        let mut version = labelled(record, number);
        version.body.iter_mut().for_each(|body| redaction::without(body, &hidden));
        if let (Some(labelled), Some(body)) = (content.and_then(Labelled::of), version.body.as_mut()) {
            let own = labelled.labels();
            let said = (stated, content);
            let kept = || !consents::permit(self.records, (self.person, self.letter), said, &labels.clone().with(own.clone()));
            if showing.iter().all(|opened| !self.clears(opened, &own)) || kept() {
                labelled.leave_out(body);
            }
        }
        Some(version)
    }

    /// The elements of the operator's list that a context does not show.
    fn hidden(&self, opened: &Opened<'_>) -> impl Iterator<Item = &'static Element> {
        redaction::LISTS[self.person.hidden].iter().filter(move |element| self.hides(opened, element))
    }

    fn hides(&self, opened: &Opened<'_>, element: &Element) -> bool {
        !self.clears(opened, &Labels { level: level(element.label), sensitivities: BTreeSet::new() })
    }

    fn denying(&self) -> impl Iterator<Item = &Rule> {
        self.person.rules.iter().filter(|rule| rule.permits.is_none() && rule.applies(self.person, self.letter))
    }

    fn opens(&self, opened: &Opened<'_>, resource_type: &str) -> bool {
        let limited = opened.limits.is_some_and(|(read_only, types)| {
            types.split(',').any(|name| name == resource_type) || read_only && "cud".contains(self.letter)
        });
        opened
            .scopes
            .iter()
            .any(|scope| scope.resource_type.is_none_or(|name| name == resource_type) && scope.letters.contains(self.letter))
            && !limited
            && opened.permit.is_none_or(|permit| permit.gives(resource_type, self.letter))
            && !self.denying().any(|rule| rule.takes_type(resource_type))
    }

    /// Whether a context opens a record of this type with this content; `None`: it is deleted.
    fn admits(&self, opened: &Opened<'_>, resource_type: &str, content: Option<&Value>, labels: &Labels) -> bool {
        let of_type = |scope: &&&Scope| scope.resource_type.is_none_or(|name| name == resource_type);
        let opening = opened.scopes.iter().filter(of_type).filter(|scope| scope.letters.contains(self.letter));
        // What is not shown admits nothing.
        let hidden: Vec<&Element> = self.hidden(opened).filter(|element| element.name == resource_type).collect();
        let admit = |criteria: &Criteria, content: &Value| {
            if hidden.is_empty() {
                return criteria.open(content);
            }
            let mut shown = content.clone();
            redaction::without(&mut shown, &hidden);
            criteria.open(&shown)
        };
        let admits =
            |scope: &Scope| scope.criteria.is_none_or(|criteria| content.is_some_and(|content| admit(criteria, content)));
        opening.copied().any(admits)
            && self.opens(opened, resource_type)
            && opened.permit.is_none_or(|permit| permit.gives_record(content))
            && !self.denying().any(|rule| rule.takes_record(resource_type, content, labels))
    }

    /// Whether the clearance of a context reaches these labels.
    fn clears(&self, opened: &Opened<'_>, labels: &Labels) -> bool {
        let reaches = |(highest, sensitivities): (&str, &[&str])| {
            labels.level <= level(highest) && labels.sensitivities.iter().all(|code| sensitivities.contains(&code.as_str()))
        };
        let cleared = match opened.cleared {
            Cleared::Everything => true,
            Cleared::AsClinician => reaches(CLEARANCES[self.person.clearance]),
            Cleared::AsService => self.person.service.is_some_and(|service| reaches(SERVICE_CLEARANCES[service.clearance])),
            Cleared::InEmergency => labels.level <= level("R"),
        };
        cleared && !self.denying().any(|rule| rule.takes_labels(labels))
    }

    /// Whether the consents of those whom it is about let the person have the current version.
    fn consented(&self, record: &Record) -> bool {
        let said = (record.last_stated(), record.current());
        consents::permit(self.records, (self.person, self.letter), said, &Labels::last(record))
    }

    fn is_about_visible(&self, opened: &Opened<'_>, record: &Record) -> bool {
        let targets = references_at(record.last_stated(), "target");
        if opened.is_whole() {
            return targets.iter().all(|target| self.hides_nothing(opened, target));
        }
        !targets.is_empty() && targets.iter().all(|target| self.is_inside(opened, target))
    }

    /// Whether neither labels nor consents hide a record from whom nothing else bounds; what is not there is not hidden.
    fn hides_nothing(&self, opened: &Opened<'_>, (name, id): &Name) -> bool {
        let found = self.records.iter().find(|record| record.resource_type == *name && record.id == *id);
        found.is_none_or(|record| self.clears(opened, &Labels::last(record)) && self.consented(record))
    }

    fn shows(&self, opened: &Opened<'_>, record: &Record) -> bool {
        let name = record.resource_type.as_str();
        let labels = Labels::last(record);
        if !self.admits(opened, name, record.current(), &labels) || !self.clears(opened, &labels) || !self.consented(record) {
            return false;
        }
        if opened.alone.is_some() {
            return opened.alone == Some((name, record.id.as_str()));
        }
        if name == "Provenance" {
            return self.is_about_visible(opened, record);
        }
        if opened.is_whole() {
            return true;
        }
        if is_shared(record.last_stated()) {
            return self.is_referred_to(opened, record);
        }
        self.is_about_someone_inside(opened, record.last_stated())
    }

    fn is_referred_to(&self, opened: &Opened<'_>, record: &Record) -> bool {
        let own = (record.resource_type.clone(), record.id.clone());
        self.records.iter().any(|source| {
            source.links.shared.contains(&own)
                && is_clinical(&source.resource_type)
                && !self.hidden(opened).any(|element| element.refers && element.name == source.resource_type)
                && self.admits(opened, &source.resource_type, source.current(), &Labels::last(source))
                && self.clears(opened, &Labels::last(source))
                && self.consented(source)
                && self.is_about_someone_inside(opened, source.last_stated())
        })
    }

    /// Whether a record about patients exists, is of an opened type, and lies inside.
    fn is_inside(&self, opened: &Opened<'_>, (name, id): &Name) -> bool {
        let found = self.records.iter().find(|record| record.resource_type == *name && record.id == *id);
        is_clinical(name)
            && found.is_some_and(|record| {
                self.admits(opened, name, record.current(), &Labels::last(record))
                    && self.clears(opened, &Labels::last(record))
                    && self.consented(record)
                    && self.is_about_someone_inside(opened, record.last_stated())
            })
    }

    fn is_about_someone_inside(&self, opened: &Opened<'_>, body: &Value) -> bool {
        patients(body).iter().any(|patient| self.is_someone_inside(opened, patient))
    }

    /// Whether something of this patient could be written, whatever the patient's consents say.
    pub fn reaches(&self, patient: &str) -> bool {
        let opens = |opened: &Opened<'_>| KINDS.iter().any(|kind| self.opens(opened, kind.name));
        self.opened.iter().any(|opened| opens(opened) && self.is_someone_inside(opened, patient))
    }

    fn is_someone_inside(&self, opened: &Opened<'_>, patient: &str) -> bool {
        opened.named.as_ref().is_none_or(|named| named.contains(patient))
            && opened.carer.is_none_or(|carer| !reasons(self.records, carer, patient).is_empty())
    }
}

/// The records by which a practitioner has a relationship to a patient.
pub fn reasons<'a>(records: &'a [Record], (relation, carer): (Relation, &str), patient: &str) -> Vec<&'a Record> {
    let own = ("Practitioner".to_owned(), carer.to_owned());
    let is_role = |record: &&Record| {
        let current = record.current().filter(|_| record.resource_type == "PractitionerRole");
        current.is_some_and(|body| is_now(body) && references_at(body, "practitioner").contains(&own))
    };
    let roles = || records.iter().filter(is_role);
    let role_names = || roles().map(|role| (role.resource_type.clone(), role.id.clone()));
    let (types, actors): (&[&str], Vec<Name>) = match relation {
        Relation::Care => (&["Encounter", "CareTeam"], vec![own.clone()]),
        Relation::CareTeam => (&["CareTeam"], role_names().chain([own.clone()]).collect()),
        Relation::GeneralPractitioner => (&["Patient"], role_names().chain([own.clone()]).collect()),
        Relation::Organization => {
            let organizations = roles().flat_map(|role| references_at(role.last_stated(), "organization"));
            (&["Patient", "Encounter"], organizations.collect())
        }
    };
    let states = |record: &&Record| {
        types.contains(&record.resource_type.as_str())
            && record.links.care.iter().any(|(actor, other)| other == patient && actors.contains(actor))
    };
    records.iter().filter(states).collect()
}

/// The contexts of a token; `None` where one of them cannot be established, which refuses everything.
fn opened(person: &Person, letter: char) -> Option<Vec<Opened<'_>>> {
    let of = |context| person.scopes.iter().filter(|scope| scope.context == context).collect::<Vec<_>>();
    let (patient, user) = (of(Context::Patient), of(Context::User));
    if !person.has_leave() {
        return None;
    }
    if person.purpose() == "BTG" {
        if person.glass.is_empty() {
            return None;
        }
        let reads = "rs".contains(letter);
        let one = |scopes, named: BTreeSet<_>| Opened {
            scopes,
            named: Some(named),
            carer: None,
            cleared: Cleared::InEmergency,
            limits: None,
            permit: None,
            alone: None,
        };
        let launched = person.launch.filter(|launch| person.glass.contains(launch));
        let mut opened: Vec<Opened<'_>> = launched.into_iter().map(|launch| one(patient.clone(), [launch].into())).collect();
        opened.push(one(user, person.glass.iter().copied().collect()));
        return Some(if reads { opened } else { Vec::new() });
    }
    if person.service.is_some() {
        let system = person.scopes.iter().collect();
        let cleared = Cleared::AsService;
        return Some(vec![Opened { scopes: system, named: None, carer: None, cleared, limits: None, permit: None, alone: None }]);
    }
    let mut opened = Vec::new();
    let carer = person.practitioner.filter(|_| person.treats());
    // Whoever represents somebody without limits opens that record as the others.
    let limits_of = |patient: &str| {
        let limits = person.limits.filter(|limits| *limits != (false, "-"));
        limits.filter(|_| person.patients.get(1).is_some_and(|represented| *represented == patient))
    };
    if !patient.is_empty() {
        let launch = person.launch?;
        let acts_for = person.acts_for(launch);
        let carer = if acts_for { None } else { Some((Relation::Care, carer?)) };
        let cleared = if acts_for { Cleared::Everything } else { Cleared::AsClinician };
        let limits = limits_of(launch).filter(|_| acts_for);
        let named = Some([launch].into());
        opened.push(Opened { scopes: patient, named, carer, cleared, limits, permit: None, alone: None });
    }
    if !user.is_empty() {
        let acting: Vec<&str> = person.patients.iter().copied().filter(|patient| person.acts_for(patient)).collect();
        if acting.is_empty() && carer.is_none() {
            return None;
        }
        let own = |named: BTreeSet<_>, limits| Opened {
            scopes: user.clone(),
            named: Some(named),
            carer: None,
            cleared: Cleared::Everything,
            limits,
            permit: None,
            alone: None,
        };
        let (limited, whole): (BTreeSet<&str>, BTreeSet<&str>) =
            acting.into_iter().partition(|patient| limits_of(patient).is_some());
        opened.extend(Some(whole).filter(|whole| !whole.is_empty()).map(|whole| own(whole, None)));
        opened.extend(Some(limited).filter(|limited| !limited.is_empty()).map(|limited| own(limited, person.limits)));
        if let Some(practitioner) = carer {
            opened.push(Opened {
                scopes: user.clone(),
                named: None,
                carer: Some((Relation::Care, practitioner)),
                cleared: Cleared::AsClinician,
                limits: None,
                permit: None,
                alone: None,
            });
        }
    }
    for rule in person.rules.iter().filter(|rule| rule.applies(person, letter)) {
        let (Some(relation), Some(practitioner)) = (rule.permits, person.practitioner) else { continue };
        opened.push(Opened {
            scopes: user.clone(),
            named: None,
            carer: Some((relation, practitioner)),
            cleared: Cleared::AsClinician,
            limits: None,
            permit: Some(rule),
            alone: None,
        });
    }
    opened.extend(own_entry(person));
    Some(opened)
}

/// Scopes that open nothing but reading, for the types that stand for people here.
static OWN: [Scope; 2] = [own_scope("Practitioner"), own_scope("Patient")];

const fn own_scope(name: &'static str) -> Scope {
    Scope { context: Context::User, resource_type: Some(name), letters: "r", criteria: None }
}

/// The record that stands for the person, where the app may know which that is.
fn own_entry(person: &Person) -> Option<Opened<'_>> {
    let (name, id) = person.entry().filter(|_| person.known)?;
    Some(Opened {
        scopes: OWN.iter().filter(|scope| scope.resource_type == Some(name)).collect(),
        named: None,
        carer: None,
        cleared: if name == "Patient" { Cleared::Everything } else { Cleared::AsClinician },
        limits: None,
        permit: None,
        alone: Some((name, id)),
    })
}

fn is_clinical(resource_type: &str) -> bool {
    resource_type == "Patient" || ABOUT.iter().any(|(name, _)| *name == resource_type)
}

/// What a resource lets others see, where its writer is believed.
pub fn links(body: &Value) -> Links {
    let is_shared = |(name, _): &Name| SHARED.contains(&name.as_str());
    let named: &[(&str, &str)] = match body["resourceType"].as_str().unwrap() {
        "Encounter" => &[("participant.individual", "Practitioner"), ("serviceProvider", "Organization")],
        "CareTeam" => &[("participant.member", "Practitioner")],
        "Patient" => &[("generalPractitioner", "Practitioner"), ("managingOrganization", "Organization")],
        _ => &[],
    };
    // A visit that did not take place, and a team that is not at work, are no care.
    let is_void = ["cancelled", "inactive"].iter().any(|status| body["status"] == *status);
    // Nor does a team let in before or after its time, or a member before or after theirs; of one team the members have the same.
    let is_team = body["resourceType"] == "CareTeam";
    let is_void = is_void || is_team && !(is_now(body) && body["participant"].as_array().into_iter().flatten().all(is_now));
    let named = if is_void { &[] } else { named };
    let patients = patients(body);
    let of_kind = |(element, kind): &(&str, &'static str)| {
        let kind = *kind;
        references_at(body, element).into_iter().filter(move |(name, _)| name.starts_with(kind))
    };
    let carers = named.iter().flat_map(of_kind);
    Links {
        shared: all_references(body).into_iter().filter(is_shared).collect(),
        care: carers.flat_map(|carer| patients.iter().map(move |patient| (carer.clone(), patient.clone()))).collect(),
    }
}

/// Whether what is said of something with a period is so in January 2027: no period of these worlds begins or ends in that year.
fn is_now(value: &Value) -> bool {
    let year = |end: &str| value["period"][end].as_str().map(|text| text[..4].parse::<u16>().unwrap());
    year("start").is_none_or(|start| start < 2027) && year("end").is_none_or(|end| end > 2026)
}

/// Whether a resource is of a shared type and nobody's.
fn is_shared(body: &Value) -> bool {
    SHARED.iter().any(|name| body["resourceType"] == *name) && patients(body).is_empty()
}

/// The patients whom a resource is about.
pub fn patients(body: &Value) -> Vec<String> {
    let name = body["resourceType"].as_str().unwrap();
    if name == "Patient" {
        return vec![body["id"].as_str().unwrap().to_owned()];
    }
    let elements: &[&str] = if name == "Provenance" {
        &["target"]
    } else {
        ABOUT.iter().find(|(about, _)| *about == name).map_or(&[], |(_, elements)| elements)
    };
    let targets = elements.iter().flat_map(|element| references_at(body, element));
    targets.filter(|(name, _)| name == "Patient").map(|(_, id)| id).collect()
}

/// The patients who are asked before anybody has a resource: those whom it is about, and where it is in nobody's record all whom it names.
pub fn concerned(body: &Value) -> Vec<String> {
    if body["resourceType"] != "Group" {
        return patients(body);
    }
    let named = all_references(body).into_iter().filter(|(name, _)| name == "Patient");
    named.map(|(_, id)| id).collect()
}

/// The types and ids on this server to which the references of an element lead.
pub fn references_at(body: &Value, element: &str) -> Vec<Name> {
    let mut values = vec![body];
    for member in element.split('.') {
        values = values.into_iter().map(|value| &value[member]).flat_map(items).collect();
    }
    values.into_iter().filter_map(|value| local(value["reference"].as_str()?)).collect()
}

fn items(value: &Value) -> Vec<&Value> {
    match value {
        Value::Null => Vec::new(),
        Value::Array(items) => items.iter().collect(),
        other => vec![other],
    }
}

fn all_references(value: &Value) -> BTreeSet<Name> {
    match value {
        Value::Array(items) => items.iter().flat_map(all_references).collect(),
        Value::Object(members) => {
            let own = members.get("reference").and_then(Value::as_str).and_then(local);
            members.values().flat_map(all_references).chain(own).collect()
        }
        _ => BTreeSet::new(),
    }
}

/// `Type/id`, also with a version or under our base.
fn local(reference: &str) -> Option<Name> {
    let relative = reference.strip_prefix(BASE).and_then(|rest| rest.strip_prefix('/')).unwrap_or(reference);
    match relative.split('/').collect::<Vec<_>>().as_slice() {
        [name, id] | [name, id, "_history", _] => Some(((*name).to_owned(), (*id).to_owned())),
        _ => None,
    }
}
