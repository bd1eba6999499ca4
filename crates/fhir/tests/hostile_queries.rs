//! Time that hostile queries take. Here and not in the crate, which is pure: no clock.

use std::time::{Duration, Instant};

use portcullis_fhir::search::{Handling, SearchContext, parse};
use portcullis_fhir::types::ResourceType;
use portcullis_fhir::{definitions, query};

/// Texts of the greatest length that a request may have, each of one sign that means something to the grammar.
#[test]
fn hostile_values_of_the_greatest_length_are_answered_soon() {
    portcullis_verifies::verifies!("FHIR-SEC-50");
    const SIGNS: [&str; 16] =
        [",", "|", "$", "\\", "\\,", ":", ".", "-", "/", "*", "a,", "a|b,", "1e9", "\u{301}", "#", "_history/"];
    let names = |resource_type: ResourceType| {
        let parameters = definitions::search_parameters(resource_type).iter().map(|parameter| parameter.code.to_owned());
        let control = ["_sort", "_include", "_revinclude", "_elements", "_count", "_cursor", "_format", "_total", "_summary"];
        let modified =
            ["code:not", "code:text", "subject:Patient", "subject:identifier", "value-string:contains", "_profile:above"];
        parameters.chain(control.into_iter().chain(modified).map(str::to_owned)).collect::<Vec<_>>()
    };
    let context =
        SearchContext { base_url: "https://localhost:8443/fhir", handling: Handling::Lenient, now_ms: 1_790_000_000_000 };
    let started = Instant::now();
    let mut answered = 0;
    for sign in SIGNS {
        let value = sign.repeat(query::MAXIMUM_LENGTH / sign.len());
        for name in names(ResourceType::OBSERVATION) {
            let pairs = [(name, value.clone())];
            if let Ok(query) = parse(ResourceType::OBSERVATION, &pairs, &context) {
                let _ = (query.canonical(), query.self_link("https://localhost:8443/fhir"));
            }
            answered += 1;
        }
        let name = [(value, "x".to_owned())];
        if let Ok(query) = parse(ResourceType::OBSERVATION, &name, &context) {
            assert!(query.ignored.iter().all(|ignored| ignored.parameter.len() < 1024), "{sign}");
        }
    }
    let each = started.elapsed() / answered;
    assert!(each < Duration::from_millis(100), "{each:?} for each of {answered}");
}
