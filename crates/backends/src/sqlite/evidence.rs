//! What decided about a record beside its rows, for explanations: the consents as release consults them, and what gave it its labels.

use portcullis_fhir::index;
use portcullis_fhir::interaction::Read;
use portcullis_fhir::json;
use portcullis_fhir::labels::body::{self, Concept};
use portcullis_fhir::labels::{Labels, Rules};
use portcullis_fhir::resource::Resource;
use portcullis_policy::explanation::{Assigned, Evidence, LabelReason};
use portcullis_policy::{Authorized, Constraint, StoredVersion};
use portcullis_store::StoreError;
use rusqlite::Connection;

use super::consents::sight::Sight;
use super::seal::Seal;
use super::{labelling, read};

/// The most codes that are named as reasons for labels: a stored Bundle may have thousands.
const MAXIMUM_REASONS: usize = 50;

/// What there is about a record that may be read, for somebody else's constraint; nothing where it is not there.
pub fn evidence(
    connection: &Connection,
    (seal, rules): (&Seal, &Rules),
    read: &Authorized<Read>,
    (asked, base_url): (&Constraint, &str),
) -> Result<Evidence, StoreError> {
    let found = read::current(connection, seal, read.constraint(), (read.operation().resource_type, &read.operation().id))?;
    let Some((_, version)) = found else { return Ok(Evidence::default()) };
    let consulted = Sight::of(connection, seal, asked)?.consult(connection, seal, &[&version])?;
    Ok(Evidence { consulted, labels: reasons(connection, rules, &version, base_url)? })
}

/// Why a version has labels, as it would be labelled today. What nothing explains comes from before.
fn reasons(
    connection: &Connection,
    rules: &Rules,
    version: &StoredVersion,
    base_url: &str,
) -> Result<Vec<LabelReason>, StoreError> {
    let mut reasons: Vec<LabelReason> = Vec::new();
    let mut add = |labels: Labels, why: Assigned| {
        let reason = LabelReason { labels, why };
        if !labels.is_empty() && !reasons.contains(&reason) && reasons.len() < MAXIMUM_REASONS {
            reasons.push(reason);
        }
    };
    let mut explained = version.security.claimed;
    if let Some(mut value) = version.body.as_deref().and_then(|body| json::parse(body).ok()) {
        let content = body::take(&mut value, base_url);
        explained = explained | content.claimed;
        for Concept { system, code } in content.concepts.iter().chain(&content.unrecognised) {
            let labels = rules.labels(system, code);
            explained = explained | labels;
            add(labels, Assigned::Code { system: system.clone(), code: code.clone() });
        }
        if content.unrecognised.iter().any(|Concept { system, code }| rules.labels(system, code).is_empty()) {
            explained = explained | Labels::UNKNOWN;
            add(Labels::UNKNOWN, Assigned::NotUnderstood);
        }
        if let Ok(resource) = Resource::from_value(value) {
            for reference in index::references(&resource, base_url) {
                let of_one = (version.resource_type, std::slice::from_ref(&reference));
                let labels = labelling::hints(connection, of_one, |_| Ok(true))?;
                explained = explained | labels;
                add(labels, Assigned::Reference(reference));
            }
        }
        add(version.security.claimed | content.claimed, Assigned::Writer);
    }
    add(version.security.labels.without(explained), Assigned::Earlier);
    Ok(reasons)
}
