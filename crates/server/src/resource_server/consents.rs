//! What a write of a Consent refuses (`portcullis_policy::rules::consent`): a consent that this server would keep and not obey.

use portcullis_fhir::interaction;
use portcullis_fhir::outcome::Issue;
use portcullis_fhir::resource::Resource;
use portcullis_fhir::types::ResourceType;
use portcullis_policy::rules::consent::{Context, check};

use super::refusal::Refusal;
use crate::context::Server;

/// What keeps a resource from being stored, where it is a Consent; nothing for other types.
pub fn issues(server: &Server, resource: &Resource) -> Vec<Issue> {
    if resource.resource_type() != ResourceType::CONSENT {
        return Vec::new();
    }
    check(resource, &Context { base_url: &server.settings.fhir_base, issuer: &server.settings.public_url })
}

/// Refuses a Consent that could not be obeyed.
pub fn acceptable(server: &Server, resource: &Resource) -> Result<(), Refusal> {
    let issues = issues(server, resource);
    if issues.is_empty() { Ok(()) } else { Err(Refusal::Parse(interaction::Refusal { status: 422, allow: None, issues })) }
}
