//! Random requests from the grammar that the server accepts.

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
            Self::VersionRead(kind, slot, number) => {
                (format!("{}/{}/_history/v{number}", kind.name, id(*kind, *slot)), Vec::new())
            }
            Self::History { kind, slot, count, .. } => {
                (format!("{}/{}/_history", kind.name, id(*kind, *slot)), vec![("_count".to_owned(), count.to_string())])
            }
            Self::Search { resource_type, parameters } => ((*resource_type).to_owned(), parameters.clone()),
        }
    }
}

/// Random requests.
pub fn requests() -> impl Strategy<Value = Request> {
    asking(true)
}

/// Random requests that lead through no references.
pub fn requests_without_chains() -> impl Strategy<Value = Request> {
    asking(false)
}

fn asking(chained: bool) -> impl Strategy<Value = Request> {
    let kind = || select(&KINDS[..]);
    let of = |name: &str| Just(data::kind(name));
    let single = || prop_oneof![1 => of("Observation"), 1 => of("Encounter"), 1 => of("Provenance"), 3 => kind()];
    let read = (single(), 0..10_u8).prop_map(|(kind, slot)| Request::Read(kind, slot));
    let version_read = (single(), 0..10_u8, 1..4_u8).prop_map(|(kind, slot, number)| Request::VersionRead(kind, slot, number));
    let history =
        (single(), 0..10_u8, prop_oneof![Just(1_u32), Just(2), Just(50), Just(0)], prop::option::weighted(0.2, 0..30_i64))
            .prop_map(|(kind, slot, count, since)| Request::History { kind, slot, count, since });
    let weighted = prop_oneof![3 => of("Observation"), 4 => kind()];
    let search = weighted.prop_flat_map(move |kind| search(kind, chained));
    prop_oneof![2 => read, 2 => version_read, 3 => history, 10 => search]
}

fn search(kind: Kind, chained: bool) -> impl Strategy<Value = Request> {
    let Grammar { criteria, sorts, includes, reverse_includes, elements } = grammar(kind.name);
    let through_references = if chained { chains(kind.name) } else { &[] };
    let criteria: Vec<&'static str> = criteria.iter().chain(&CRITERIA).chain(through_references).copied().collect();
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
    let iterated = if chained {
        prop_oneof![3 => Just(Vec::new()), 1 => (up_to(&ITERATED, 2), up_to(&REVERSE_ITERATED, 1)).prop_map(some)].boxed()
    } else {
        Just(Vec::new()).boxed()
    };
    (criteria, up_to(includes, 3), up_to(reverse_includes, 2), iterated, control).prop_map(
        move |(criteria, includes, reverse_includes, iterated, (sort, count, total, shape))| {
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
            Request::Search { resource_type: kind.name, parameters }
        },
    )
}
