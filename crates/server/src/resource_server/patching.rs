//! PATCH: a change of what the principal reads becomes an update.
//!
//! <https://hl7.org/fhir/R4/http.html#patch>, RFC 6902. A patch can test what is stored, so it is evaluated on what a read by the same principal would show, and
//! needs the right to read beside the one to update. The update names the version that was read: whoever was faster is not overwritten.

use http::StatusCode;
use portcullis_fhir::interaction::{self, Interaction, Patch, Read, Update};
use portcullis_fhir::outcome::IssueType;
use portcullis_oauth::principal::Principal;
use portcullis_oauth::scopes::Letter;
use portcullis_policy::{Operation, denial};
use portcullis_store::StoreError;

use super::account::Account;
use super::conditions;
use super::pipeline::execute_and_release;
use super::refusal::Refusal;
use super::respond::Found;
use crate::context::Server;

/// Whether it is a patch of whatever version is current.
pub fn names_no_version(interaction: &Interaction) -> bool {
    match interaction {
        Interaction::Patch(patch) => patch.if_match.is_none(),
        Interaction::ConditionalPatch(patch) => patch.if_match.is_none(),
        _ => false,
    }
}

/// What is said to such a patch where somebody else was faster: it has named no version that it could have missed.
pub fn overtaken(refusal: Refusal) -> Refusal {
    match refusal {
        Refusal::Store(StoreError::VersionConflict) => {
            let message = "The resource was changed at the same moment. Send the patch again.";
            conditions::refusal(StatusCode::CONFLICT, IssueType::Conflict, message)
        }
        other => other,
    }
}

/// The update that a patch comes to.
pub async fn updated(
    server: &Server,
    principal: &Principal,
    account: &mut Account,
    patch: Patch,
) -> Result<Interaction, Refusal> {
    let Patch { resource_type, id, document, if_match } = patch;
    if let Some(denied) = denial(server.basis(), principal, &[(resource_type, Letter::Read), (resource_type, Letter::Update)]) {
        return Err(account.denied(denied));
    }
    let read = Operation::Read(Read { resource_type, id: id.clone() });
    let (permit, permitted) = account.decide(server, principal, read)?;
    let Found::Version(released) = execute_and_release(server, principal, &permit, permitted).await? else {
        return Err(Refusal::Internal("a read came back as something else"));
    };
    let current = released.content().as_ref().ok_or(Refusal::Store(StoreError::NotFound))?;
    let body = current.body.as_ref().ok_or(Refusal::Store(StoreError::Gone))?;
    if if_match.is_some_and(|version| version != current.version) {
        return Err(Refusal::Store(StoreError::VersionConflict));
    }
    let unprocessable = |issues| Refusal::Parse(interaction::Refusal { status: 422, allow: None, issues });
    let resource = server.large.run(body.len(), || document.apply(body).map_err(unprocessable)).await?;
    Ok(Interaction::Update(Update { id, resource, if_match: Some(current.version.clone()) }))
}
