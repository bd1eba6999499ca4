//! Random requests from the grammar that the server accepts.

use proptest::prelude::*;
use proptest::sample::{select, subsequence};

use super::data::{self, KINDS, Kind, id};

/// A request that reads.
#[derive(Clone, Debug, PartialEq)]
pub enum Request {
    /// `GET [type]/[id]`
    Read(Kind, u8),
    /// `GET [type]/[id]/_history/v[number]`
    VersionRead(Kind, u8, u8),
    /// `GET [type]/[id]/_history`, all pages.
    History {
        /// The type.
        kind: Kind,
        /// The number in the id.
        slot: u8,
        /// Versions per page.
        count: u32,
        /// `_since`, as hours before now.
        since: Option<i64>,
    },
    /// `GET [type]?...`, all pages.
    Search {
        /// The type.
        resource_type: &'static str,
        /// Names and values.
        parameters: Vec<(String, String)>,
    },
}

impl Request {
    /// A search, from `Type?name=value&name=value`; nothing is decoded.
    pub fn search(text: &str) -> Self {
        let (name, query) = text.split_once('?').unwrap_or((text, ""));
        let resource_type = KINDS.iter().find(|kind| kind.name == name).unwrap().name;
        let pairs = query.split('&').filter(|pair| !pair.is_empty()).map(|pair| pair.split_once('=').unwrap());
        Self::Search { resource_type, parameters: pairs.map(|(name, value)| (name.to_owned(), value.to_owned())).collect() }
    }

    /// The type and the letter that it needs.
    pub fn needs(&self) -> (&'static str, char) {
        match self {
            Self::Read(kind, _) | Self::VersionRead(kind, ..) | Self::History { kind, .. } => (kind.name, 'r'),
            Self::Search { resource_type, .. } => (resource_type, 's'),
        }
    }

    /// The path below the base, with the query of a search apart.
    pub fn path(&self) -> (String, Vec<(String, String)>) {
        match self {
            Self::Read(kind, slot) => (format!("{}/{}", kind.name, id(*kind, *slot)), Vec::new()),
            Self::VersionRead(kind, slot, number) => (format!("{}/{}/_history/v{number}", kind.name, id(*kind, *slot)), Vec::new()),
            Self::History { kind, slot, count, .. } => {
                (format!("{}/{}/_history", kind.name, id(*kind, *slot)), vec![("_count".to_owned(), count.to_string())])
            }
            Self::Search { resource_type, parameters } => ((*resource_type).to_owned(), parameters.clone()),
        }
    }
}

/// What can be asked of one type.
struct Grammar {
    criteria: &'static [&'static str],
    sorts: &'static [&'static str],
    includes: &'static [&'static str],
    reverse_includes: &'static [&'static str],
    elements: &'static str,
}

/// `#` becomes a digit.
fn grammar(name: &str) -> Grammar {
    match name {
        "Patient" => Grammar {
            criteria: &[
                "family=smith", "family:exact=Smith", "family:contains=th", "name=ok", "gender=female", "gender:not=female", "identifier=4548-4",
                "identifier=i|8867-4", "identifier=i|", "birthdate=lt1980", "general-practitioner=Practitioner/d#", "organization=g#",
                "organization:missing=true", "link=Patient/p#", "family:missing=false", "general-practitioner:Organization=g#",
            ],
            sorts: &["family", "-family", "gender", "birthdate", "identifier", "organization"],
            includes: &["Patient:general-practitioner", "Patient:organization", "Patient:link", "Patient:general-practitioner:Organization"],
            reverse_includes: &["Observation:subject", "Encounter:patient", "Patient:link", "Observation:focus", "Provenance:target", "Coverage:payor", "Appointment:actor", "Group:member", "CareTeam:participant"],
            elements: "name",
        },
        "Observation" => Grammar {
            criteria: &[
                "patient=p#", "subject=Patient/p#", "subject=https://localhost:8443/fhir/Patient/p#", "subject:Patient=p#", "subject=Group/k0",
                "patient=p0,p1,Patient/p2", "subject:missing=true", "code=4548-4", "code=http://loinc.org|8867-4", "code=http://loinc.org|", "code=|bare",
                "code:not=4548-4", "code:text=display", "code:text=both", "code:missing=true", "code=bare,4548-4", "code=absent", "status=final",
                "date=2026", "date=ge2026-03", "date=lt2026-03-05", "date=ne2026-03", "date=sa2026-01", "date=eb2026-05", "date=ap2026-04", "date=2026-03,2025-12-31",
                "date:missing=true", "value-quantity=5", "value-quantity=gt5|http://unitsofmeasure.org|mg", "value-quantity=le5.4||mg", "value-quantity=ne5",
                "value-quantity:missing=true", "performer=Practitioner/d#", "performer=Organization/g#", "performer=p#", "performer:missing=false", "focus=Patient/p#",
                "focus=Condition/c#", "encounter=e#", "encounter=Encounter/e#", "has-member=Observation/o#", "_profile=http://example.org/profile",
                "_profile:below=http://example.org", "subject=https://elsewhere.example/fhir/Patient/p#",
            ],
            sorts: &["date", "-date", "value-quantity", "-value-quantity", "code", "status,-date", "subject", "-performer", "encounter"],
            includes: &["Observation:subject", "Observation:patient", "Observation:performer", "Observation:performer:Practitioner", "Observation:focus", "Observation:focus:Patient", "Observation:encounter", "Observation:has-member", "Observation:subject:Group"],
            reverse_includes: &["Provenance:target", "Observation:has-member", "Condition:evidence-detail"],
            elements: "status,code",
        },
        "Condition" => Grammar {
            criteria: &["patient=p#", "subject:Patient=p#", "code=4548-4", "code:text=text", "onset-date=ge2026-03", "asserter=Practitioner/d#", "asserter=Patient/p#", "encounter=e#", "evidence-detail=Observation/o#", "asserter:missing=true"],
            sorts: &["onset-date", "-onset-date", "code", "asserter"],
            includes: &["Condition:subject", "Condition:asserter", "Condition:encounter", "Condition:evidence-detail"],
            reverse_includes: &["Encounter:diagnosis", "Condition:evidence-detail", "Provenance:target", "Observation:focus"],
            elements: "code",
        },
        "Encounter" => Grammar {
            criteria: &["patient=p#", "participant=Practitioner/d#", "practitioner=d#", "service-provider=g#", "class=AMB", "type=4548-4", "date=2026", "date=lt2026-05", "part-of=e#", "diagnosis=c#", "date:missing=true", "status=finished"],
            sorts: &["date", "-date", "type", "class", "service-provider"],
            includes: &["Encounter:subject", "Encounter:participant", "Encounter:service-provider", "Encounter:part-of", "Encounter:diagnosis"],
            reverse_includes: &["Observation:encounter", "Condition:encounter", "Encounter:part-of", "Provenance:target", "CareTeam:encounter", "Observation:focus"],
            elements: "class,period",
        },
        "CareTeam" => Grammar {
            criteria: &["patient=p#", "participant=Practitioner/d#", "participant=Patient/p#", "category=4548-4", "status=active", "encounter=e#", "date=2026"],
            sorts: &["date", "category", "participant"],
            includes: &["CareTeam:participant", "CareTeam:subject", "CareTeam:encounter", "CareTeam:participant:Patient"],
            reverse_includes: &["Observation:performer", "Provenance:target"],
            elements: "status",
        },
        "Coverage" => Grammar {
            criteria: &["patient=p#", "beneficiary=Patient/p#", "subscriber=Patient/p#", "payor=Organization/g#", "payor=Patient/p#", "policy-holder=p#", "type=8867-4", "class-value=smith", "class-value:exact=Smith", "subscriber:missing=true"],
            sorts: &["class-value", "-type", "beneficiary"],
            includes: &["Coverage:beneficiary", "Coverage:subscriber", "Coverage:payor", "Coverage:policy-holder", "Coverage:payor:Patient"],
            reverse_includes: &["ExplanationOfBenefit:coverage", "Provenance:target"],
            elements: "status",
        },
        "ExplanationOfBenefit" => Grammar {
            criteria: &["patient=p#", "provider=Practitioner/d#", "insurer=g#", "coverage=Coverage/v#", "care-team=Practitioner/d#", "created=ge2026-03", "payee=Patient/p#", "disposition=smith", "type=4548-4"],
            sorts: &["created", "-created", "disposition", "type", "provider"],
            includes: &["ExplanationOfBenefit:patient", "ExplanationOfBenefit:provider", "ExplanationOfBenefit:insurer", "ExplanationOfBenefit:coverage", "ExplanationOfBenefit:care-team", "ExplanationOfBenefit:payee"],
            reverse_includes: &["Provenance:target"],
            elements: "use",
        },
        "Appointment" => Grammar {
            criteria: &["patient=p#", "actor=Practitioner/d#", "actor=Patient/p#", "practitioner=d#", "appointment-type=4548-4", "status=booked"],
            sorts: &["appointment-type", "actor"],
            includes: &["Appointment:actor", "Appointment:patient", "Appointment:practitioner"],
            reverse_includes: &["Provenance:target"],
            elements: "status",
        },
        "Provenance" => Grammar {
            criteria: &["target=Observation/o#", "target=Patient/p#", "patient=p#", "agent=Practitioner/d#", "agent=Organization/g#", "target:missing=false", "recorded=2026-02-01", "target=Provenance/r#"],
            sorts: &["recorded", "-recorded", "target"],
            includes: &["Provenance:target", "Provenance:agent", "Provenance:patient", "Provenance:target:Observation", "Provenance:target:Organization"],
            reverse_includes: &["Provenance:target"],
            elements: "recorded",
        },
        "Organization" => Grammar {
            criteria: &["name=smith", "name:contains=on", "type=4548-4", "partof=Organization/g#", "partof:missing=true", "name:exact=Adams"],
            sorts: &["name", "-name", "type", "partof"],
            includes: &["Organization:partof"],
            reverse_includes: &["Organization:partof", "Encounter:service-provider", "Patient:organization", "Coverage:payor", "Provenance:agent", "Observation:performer", "Group:managing-entity"],
            elements: "name",
        },
        "Practitioner" => Grammar {
            criteria: &["family=smith", "name=adams", "family:missing=true", "name:contains=m"],
            sorts: &["family", "-name"],
            includes: &[],
            reverse_includes: &["Encounter:participant", "Observation:performer", "Provenance:agent", "CareTeam:participant", "Appointment:actor", "Encounter:practitioner", "Patient:general-practitioner"],
            elements: "name",
        },
        _ => Grammar {
            criteria: &["member=Patient/p#", "type=person"],
            sorts: &["type"],
            includes: &["Group:member", "Group:managing-entity"],
            reverse_includes: &["Observation:subject", "Observation:focus"],
            elements: "type",
        },
    }
}

/// Criteria and sorts of every type.
const CRITERIA: [&str; 7] =
    ["_id=@#", "_id=@0,@1,@2,absent", "_lastUpdated=ge2027-01-14T12:00:00Z", "_lastUpdated=lt2027-01-14T16:00:00Z", "_tag=s|t", "_tag=t", "_tag:missing=true"];
const SORTS: [&str; 4] = ["_id", "-_id", "_lastUpdated", "-_lastUpdated"];

/// Random requests.
pub fn requests() -> impl Strategy<Value = Request> {
    let kind = || select(&KINDS[..]);
    let of = |name: &str| Just(data::kind(name));
    let single = || prop_oneof![1 => of("Observation"), 1 => of("Encounter"), 1 => of("Provenance"), 3 => kind()];
    let read = (single(), 0..10_u8).prop_map(|(kind, slot)| Request::Read(kind, slot));
    let version_read = (single(), 0..10_u8, 1..4_u8).prop_map(|(kind, slot, number)| Request::VersionRead(kind, slot, number));
    let history = (single(), 0..10_u8, prop_oneof![Just(1_u32), Just(2), Just(50), Just(0)], prop::option::weighted(0.2, 0..30_i64))
        .prop_map(|(kind, slot, count, since)| Request::History { kind, slot, count, since });
    let weighted = prop_oneof![3 => of("Observation"), 4 => kind()];
    let search = weighted.prop_flat_map(search);
    prop_oneof![2 => read, 2 => version_read, 3 => history, 10 => search]
}

fn search(kind: Kind) -> impl Strategy<Value = Request> {
    let Grammar { criteria, sorts, includes, reverse_includes, elements } = grammar(kind.name);
    let criteria: Vec<&'static str> = criteria.iter().chain(&CRITERIA).copied().collect();
    let sorts: Vec<&'static str> = sorts.iter().chain(&SORTS).copied().collect();
    let up_to = |list: &'static [&'static str], most: usize| subsequence(list.to_vec(), 0..=most.min(list.len()));
    let criteria = prop_oneof![4 => subsequence(criteria.clone(), 0), 4 => subsequence(criteria.clone(), 1), 1 => subsequence(criteria, 2)];
    let criteria = (criteria, prop_oneof![2 => Just(0_u8), 2 => 0..4_u8]).prop_map(move |(criteria, digit)| {
        let filled = |text: &str| text.replace('#', &digit.to_string()).replace('@', &kind.letter.to_string());
        criteria.into_iter().map(filled).collect::<Vec<_>>()
    });
    let control = (
        prop::option::weighted(0.4, select(sorts)),
        prop::option::weighted(0.6, prop_oneof![4 => 1..3_u32, 1 => Just(0_u32), 1 => Just(100)]),
        prop::option::weighted(0.4, select(&["accurate", "estimate", "none"][..])),
        prop::option::weighted(0.15, select(vec!["_summary=true".to_owned(), "_summary=count".to_owned(), format!("_elements={elements}")])),
    );
    (criteria, up_to(includes, 3), up_to(reverse_includes, 2), control).prop_map(
        move |(criteria, includes, reverse_includes, (sort, count, total, shape))| {
            // Only the total is asked for, and no total: a contradiction that the parser refuses.
            let counts_only = count == Some(0) || shape.as_deref() == Some("_summary=count");
            let total = total.filter(|total| !(counts_only && *total == "none"));
            let named = |name: &str, value: String| (name.to_owned(), value);
            let mut parameters: Vec<(String, String)> = Vec::new();
            for pair in criteria.iter().chain(&shape) {
                let (name, value) = pair.split_once('=').unwrap();
                parameters.push(named(name, value.to_owned()));
            }
            parameters.extend(includes.into_iter().map(|include| named("_include", include.to_owned())));
            parameters.extend(reverse_includes.into_iter().map(|include| named("_revinclude", include.to_owned())));
            parameters.extend(sort.map(|sort| named("_sort", sort.to_owned())));
            parameters.extend(count.map(|count| named("_count", count.to_string())));
            parameters.extend(total.map(|total| named("_total", total.to_owned())));
            Request::Search { resource_type: kind.name, parameters }
        },
    )
}
