//! Properties of the grammar: nothing panics or takes long, and a self link means what the query meant.

use proptest::prelude::*;

use super::tests::{BASE, NOW, parse_as};
use super::*;
use crate::{definitions, query};

/// Names and values that are near to what the grammar knows, so that many of them parse.
fn parameter() -> impl Strategy<Value = (String, String)> {
    let name = prop_oneof![
        proptest::sample::select(vec![
            "name",
            "name:exact",
            "name:contains",
            "gender",
            "gender:not",
            "identifier",
            "birthdate",
            "_id",
            "_lastUpdated",
            "_tag",
            "_profile:below",
            "general-practitioner",
            "general-practitioner:Practitioner",
            "organization",
            "gender:missing",
            "_count",
            "_sort",
            "_include",
            "_revinclude",
            "_total",
            "_elements",
            "_summary",
            "_cursor",
            "_format",
            "_has:A:b:c",
            "organization.name",
            "_include:iterate",
        ])
        .prop_map(str::to_owned),
        "\\PC{0,12}",
    ];
    let value = prop_oneof![
        proptest::sample::select(vec![
            "a",
            "a,b",
            "s|c",
            "|c",
            "s|",
            r"a\,b",
            "2024-05",
            "ap2020",
            "ge2024-01-01T00:00:00Z",
            "true",
            "10",
            "-name,_id",
            "Patient:organization",
            "Observation:subject",
            "Patient:*",
            "Observation:*",
            "accurate",
            "name,gender",
            "Practitioner/1",
            "urn:x:y",
            "json",
            "\u{e4}&=+%",
        ])
        .prop_map(str::to_owned),
        "\\PC{0,16}",
        "[a-z0-9,|\\\\$.-]{0,16}",
    ];
    (name, value)
}

proptest! {
    #[test]
    fn no_bytes_as_a_query_of_any_type_panic(
        resource_type in proptest::sample::select(ResourceType::all().collect::<Vec<_>>()),
        pairs in proptest::collection::vec((any::<proptest::sample::Index>(), "(:[a-zA-Z-]{0,8})?", proptest::collection::vec(any::<u8>(), 0..40)), 0..6),
        strict in any::<bool>(),
    ) {
        let parameters = definitions::search_parameters(resource_type);
        let mut text = Vec::new();
        for (index, modifier, value) in &pairs {
            text.extend_from_slice(index.get(parameters).code.as_bytes());
            text.extend_from_slice(modifier.as_bytes());
            text.push(b'=');
            text.extend_from_slice(value);
            text.push(b'&');
        }
        let handling = if strict { Handling::Strict } else { Handling::Lenient };
        let context = SearchContext { base_url: BASE, handling, now_ms: NOW };
        if let Ok(pairs) = query::parse(&text)
            && let Ok(query) = parse(resource_type, &pairs, &context)
        {
            let _ = (query.canonical(), query.self_link(BASE));
        }
    }

    #[test]
    fn no_query_string_panics(text in "\\PC*", bytes in proptest::collection::vec(any::<u8>(), 0..100)) {
        let _ = parse_as("Patient", &text, Handling::Lenient);
        let context = SearchContext { base_url: BASE, handling: Handling::Lenient, now_ms: NOW };
        if let Ok(pairs) = query::parse(&bytes) {
            let _ = parse(ResourceType::OBSERVATION, &pairs, &context);
        }
    }

    #[test]
    fn a_self_link_means_what_the_query_meant(pairs in proptest::collection::vec(parameter(), 0..4)) {
        let context = SearchContext { base_url: BASE, handling: Handling::Lenient, now_ms: NOW };
        if let Ok(query) = parse(ResourceType::PATIENT, &pairs, &context) {
            let link = query.self_link(BASE);
            let text = link.strip_prefix("https://fhir.example/r4/Patient").unwrap().trim_start_matches('?');
            let again = parse_as("Patient", text, Handling::Strict).unwrap();
            prop_assert_eq!(again.canonical(), query.canonical());
            prop_assert_eq!(again, SearchQuery { cursor: None, ignored: Vec::new(), ..query });
        }
    }
}
