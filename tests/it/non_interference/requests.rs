//! Random requests from the grammar that the server accepts.

use portcullis_fhir::definitions::{CompartmentType, compartment_parameters};
use portcullis_fhir::types::ResourceType;
use proptest::prelude::*;
use proptest::sample::{select, subsequence};

use super::chains::{ITERATED, REVERSE_ITERATED, chains};
use super::data::{self, KINDS, Kind, id};
use super::grammar::{CRITERIA, Grammar, SORTS, grammar};

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
    /// `GET [type]?...`, or in a compartment, all pages.
    Search {
        /// Whose compartment: the type and the number in the id.
        within: Option<(Kind, u8)>,
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
        Self::Search {
            within: None,
            resource_type,
            parameters: pairs.map(|(name, value)| (name.to_owned(), value.to_owned())).collect(),
        }
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
            Self::VersionRead(kind, slot, number) => {
                (format!("{}/{}/_history/v{number}", kind.name, id(*kind, *slot)), Vec::new())
            }
            Self::History { kind, slot, count, .. } => {
                (format!("{}/{}/_history", kind.name, id(*kind, *slot)), vec![("_count".to_owned(), count.to_string())])
            }
            Self::Search { within, resource_type, parameters } => {
                let compartment = within.map(|(kind, slot)| format!("{}/{}/", kind.name, id(kind, slot))).unwrap_or_default();
                (format!("{compartment}{resource_type}"), parameters.clone())
            }
        }
    }
}

/// Paths and queries of what is a search of several types: of the system, of a compartment, and everything.
pub fn several() -> impl Strategy<Value = (String, Vec<(String, String)>)> {
    let owner = || select(&OWNERS[..]).prop_flat_map(|name| (Just(data::kind(name)), 0..5_u8));
    let whole = |(kind, slot): (Kind, u8), end: &str| format!("{}/{}/{end}", kind.name, id(kind, slot));
    let focus = select(&["Patient", "Encounter"][..]).prop_flat_map(|name| (Just(data::kind(name)), 0..5_u8));
    let shared = prop::collection::vec(
        select(&["_tag=s|t", "_tag:missing=true", "_lastUpdated=ge2027-01-14T12:00:00Z", "_id=p0,o1,e0,d0,g1", "unknown=1"][..]),
        0..2,
    );
    let paged = prop_oneof![3 => (1..4_u32).prop_map(|count| format!("_count={count}")), 1 => Just("_count=50".to_owned()), 1 => Just("_summary=count".to_owned())];
    let total = select(&["_total=accurate", "_format=json"][..]);
    let types = prop::option::weighted(0.6, subsequence(KINDS.to_vec(), 1..5));
    let named = |types: Option<Vec<Kind>>| types.map(|types| types.iter().map(|kind| kind.name).collect::<Vec<_>>().join(","));
    let search = prop_oneof![1 => Just(String::new()), 1 => owner().prop_map(move |owner| whole(owner, "*"))];
    let search = (search, types.clone(), shared, paged.clone(), total).prop_map(move |(path, types, shared, paged, total)| {
        // A criterion would come twice, and a total of a count is no total.
        let shared = shared.into_iter().take(1).map(str::to_owned);
        (path, named(types).map(|types| format!("_type={types}")), shared.chain([paged, total.to_owned()]).collect::<Vec<_>>())
    });
    let dates = prop::option::of(select(&["start=2026-03", "end=2026-03", "_since=2027-01-14T12:00:00Z"][..]));
    let everything = (focus, types, dates, paged).prop_map(move |(focus, types, date, paged)| {
        let paged = paged.replace("_summary=count", "_count=2");
        let others = date.map(str::to_owned).into_iter().chain([paged]).collect::<Vec<_>>();
        (whole(focus, "$everything"), named(types).map(|types| format!("_type={types}")), others)
    });
    prop_oneof![2 => search, 1 => everything].prop_map(|(path, types, others)| {
        let pairs = types.into_iter().chain(others);
        let pair = |text: String| text.split_once('=').map(|(name, value)| (name.to_owned(), value.to_owned())).unwrap();
        (path, pairs.map(pair).collect())
    })
}

/// The types of the data that have compartments.
const OWNERS: [&str; 4] = ["Patient", "Encounter", "Practitioner", "Device"];

/// Whether a type has a place in the compartments of another.
fn has_place(owner: Kind, name: &str) -> bool {
    let compartment = ResourceType::parse(owner.name).and_then(CompartmentType::of).unwrap();
    owner.name == name || !compartment_parameters(compartment, ResourceType::parse(name).unwrap()).is_empty()
}

/// Random requests.
pub fn requests() -> impl Strategy<Value = Request> {
    let kind = || select(&KINDS[..]);
    let of = |name: &str| Just(data::kind(name));
    let single = || prop_oneof![1 => of("Observation"), 1 => of("Encounter"), 1 => of("Provenance"), 3 => kind()];
    let read = (single(), 0..10_u8).prop_map(|(kind, slot)| Request::Read(kind, slot));
    let version_read = (single(), 0..10_u8, 1..4_u8).prop_map(|(kind, slot, number)| Request::VersionRead(kind, slot, number));
    let history =
        (single(), 0..10_u8, prop_oneof![Just(1_u32), Just(2), Just(50), Just(0)], prop::option::weighted(0.2, 0..30_i64))
            .prop_map(|(kind, slot, count, since)| Request::History { kind, slot, count, since });
    let weighted = prop_oneof![3 => of("Observation"), 4 => kind()];
    let search = weighted.prop_flat_map(search);
    prop_oneof![2 => read, 2 => version_read, 3 => history, 10 => search]
}

fn search(kind: Kind) -> impl Strategy<Value = Request> {
    let Grammar { criteria, sorts, includes, reverse_includes, elements } = grammar(kind.name);
    let criteria: Vec<&'static str> = criteria.iter().chain(&CRITERIA).chain(chains(kind.name)).copied().collect();
    let sorts: Vec<&'static str> = sorts.iter().chain(&SORTS).copied().collect();
    let up_to = |list: &'static [&'static str], most: usize| subsequence(list.to_vec(), 0..=most.min(list.len()));
    let criteria =
        prop_oneof![4 => subsequence(criteria.clone(), 0), 4 => subsequence(criteria.clone(), 1), 1 => subsequence(criteria, 2)];
    let criteria = (criteria, prop_oneof![2 => Just(0_u8), 2 => 0..4_u8]).prop_map(move |(criteria, digit)| {
        let filled = |text: &str| text.replace('#', &digit.to_string()).replace('@', &kind.letter.to_string());
        criteria.into_iter().map(filled).collect::<Vec<_>>()
    });
    let control = (
        prop::option::weighted(0.4, select(sorts)),
        prop::option::weighted(0.6, prop_oneof![4 => 1..3_u32, 1 => Just(0_u32), 1 => Just(100)]),
        prop::option::weighted(0.4, select(&["accurate", "estimate", "none"][..])),
        prop::option::weighted(
            0.15,
            select(vec!["_summary=true".to_owned(), "_summary=count".to_owned(), format!("_elements={elements}")]),
        ),
    );
    let some = |lists: (Vec<&'static str>, Vec<&'static str>)| {
        let forward = lists.0.into_iter().map(|include| ("_include:iterate", include));
        forward.chain(lists.1.into_iter().map(|include| ("_revinclude:iterate", include))).collect::<Vec<_>>()
    };
    let iterated = prop_oneof![
        6 => Just(Vec::new()),
        2 => (up_to(&ITERATED, 2), up_to(&REVERSE_ITERATED, 1)).prop_map(some),
        1 => select(&[("_include", "*"), ("_revinclude", "*")][..]).prop_map(|wildcard| vec![wildcard]),
    ];
    let owner = select(&OWNERS[..]).prop_flat_map(|name| (Just(data::kind(name)), 0..5_u8));
    let within =
        prop::option::weighted(0.15, owner).prop_map(move |within| within.filter(|(owner, _)| has_place(*owner, kind.name)));
    (criteria, up_to(includes, 3), up_to(reverse_includes, 2), (iterated, within), control).prop_map(
        move |(criteria, includes, reverse_includes, (iterated, within), (sort, count, total, shape))| {
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
            parameters.extend(iterated.into_iter().map(|(name, include)| named(name, include.to_owned())));
            parameters.extend(sort.map(|sort| named("_sort", sort.to_owned())));
            parameters.extend(count.map(|count| named("_count", count.to_string())));
            parameters.extend(total.map(|total| named("_total", total.to_owned())));
            Request::Search { within, resource_type: kind.name, parameters }
        },
    )
}
