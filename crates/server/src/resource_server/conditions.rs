//! Conditions: a search, decided and released like any other, says what a conditional interaction comes to.
//!
//! <https://hl7.org/fhir/R4/http.html#cond-update>. Only what the principal may see is found: what is hidden is absent here, too. All that the interaction may
//! come to must be allowed before anything is looked up, so that no refusal depends on what is stored. What was found must still be so when the write
//! takes effect: a [`Guard`] makes sure of it, and where others have changed it meanwhile the request is refused (409).

use http::StatusCode;
use portcullis_fhir::interaction::{self, ConditionalPatch, ConditionalUpdate, Create, Delete, Interaction, Patch, Update};
use portcullis_fhir::outcome::{Issue, IssueType};
use portcullis_fhir::search::SearchQuery;
use portcullis_fhir::types::LogicalId;
use portcullis_mutants::off;
use portcullis_oauth::principal::Principal;
use portcullis_oauth::scopes::Letter;
use portcullis_policy::{Operation, PermittedOperation, Released, SearchPage, StoredVersion, denial};
use portcullis_store::StoreError;
use portcullis_store::together::Guard;

use super::account::Account;
use super::patching;
use super::refusal::Refusal;
use crate::context::Server;

/// What an interaction comes to.
#[derive(Debug)]
pub enum Resolved {
    /// This, which has no condition.
    Plain(Interaction),
    /// This, as long as the guard holds.
    Guarded(Box<Interaction>, Guard),
    /// Nothing is to be done, as long as the guard holds.
    Settled(Settled, Guard),
}

/// Why nothing is to be done.
#[derive(Debug)]
pub enum Settled {
    /// What would be created is there.
    Exists(Released<SearchPage>),
    /// What would be deleted is not there.
    NothingToDelete,
}

impl Settled {
    /// The version that is there.
    pub fn version(&self) -> Option<&StoredVersion> {
        match self {
            Self::Exists(page) => page.content().matches.first(),
            Self::NothingToDelete => None,
        }
    }
}

/// Looks up what the condition of an interaction finds, where it has one.
pub async fn resolve(
    server: &Server,
    principal: &Principal,
    account: &mut Account,
    interaction: Interaction,
) -> Result<Resolved, Refusal> {
    let found = match &interaction {
        Interaction::Create(Create { condition: Some(condition), .. }) => {
            let found = look_up(server, principal, account, (condition, &[Letter::Search, Letter::Create])).await;
            found.map_err(in_header)?
        }
        Interaction::ConditionalUpdate(update) => {
            let letters = &[Letter::Search, Letter::Update, Letter::Create];
            look_up(server, principal, account, (&update.condition, letters)).await?
        }
        Interaction::ConditionalDelete(delete) => {
            look_up(server, principal, account, (&delete.condition, &[Letter::Search, Letter::Delete])).await?
        }
        Interaction::ConditionalPatch(patch) => {
            look_up(server, principal, account, (&patch.condition, &[Letter::Search, Letter::Read, Letter::Update])).await?
        }
        _ => return plain(server, principal, account, interaction).await.map(Resolved::Plain),
    };
    let guard = found.guard;
    let one = found.page.content().matches.first().map(|version| version.id.clone());
    Ok(match (interaction, one) {
        (Interaction::Create(_), Some(_)) => Resolved::Settled(Settled::Exists(found.page), guard),
        (Interaction::ConditionalUpdate(update), one) => Resolved::Guarded(Box::new(led_to(update, one)?), guard),
        (Interaction::ConditionalDelete(_), None) => Resolved::Settled(Settled::NothingToDelete, guard),
        (Interaction::ConditionalDelete(delete), Some(id)) => {
            let (resource_type, if_match) = (delete.condition.resource_type, delete.if_match);
            Resolved::Guarded(Box::new(Interaction::Delete(Delete { resource_type, id, if_match })), guard)
        }
        (Interaction::ConditionalPatch(patch), one) => {
            let id = one.ok_or(Refusal::Store(StoreError::NotFound))?;
            let ConditionalPatch { condition, document, if_match } = patch;
            let patch = Patch { resource_type: condition.resource_type, id, document, if_match };
            Resolved::Guarded(Box::new(patching::updated(server, principal, account, patch).await?), guard)
        }
        (interaction, _) => Resolved::Guarded(Box::new(interaction), guard),
    })
}

/// An interaction without a condition; of a patch the update that it comes to.
async fn plain(
    server: &Server,
    principal: &Principal,
    account: &mut Account,
    interaction: Interaction,
) -> Result<Interaction, Refusal> {
    match interaction {
        Interaction::Patch(patch) => patching::updated(server, principal, account, patch).await,
        interaction => Ok(interaction),
    }
}

/// A condition, and what it found.
#[derive(Debug)]
pub struct LookedUp {
    /// At most one match.
    pub page: Released<SearchPage>,
    /// The same search, which must find the same again.
    pub guard: Guard,
}

/// Executes a condition under permits of its own, after all letters that the interaction may come to were found open. Several matches are a refusal (412).
pub async fn look_up(
    server: &Server,
    principal: &Principal,
    account: &mut Account,
    (condition, letters): (&SearchQuery, &[Letter]),
) -> Result<LookedUp, Refusal> {
    let parts: Vec<_> = letters.iter().map(|letter| (condition.resource_type, *letter)).collect();
    if let Some(denial) = denial(server.basis(), principal, &parts).filter(|_| !off!("condition-letters")) {
        return Err(account.denied(denial));
    }
    let operation = || Operation::Search(condition.clone());
    let (_, PermittedOperation::Search(again)) = account.decide(server, principal, operation())? else {
        return Err(Refusal::Internal("a condition was permitted as something else"));
    };
    let (permit, PermittedOperation::Search(search)) = account.decide(server, principal, operation())? else {
        return Err(Refusal::Internal("a condition was permitted as something else"));
    };
    let page = permit.release(server.store.search(search, &principal.binding()).await?)?;
    let mut found: Vec<LogicalId> = page.content().matches.iter().map(|version| version.id.clone()).collect();
    if found.len() > 1 {
        let message = "The condition finds several resources. Make it narrower, or name the resource by its id.";
        return Err(refusal(StatusCode::PRECONDITION_FAILED, IssueType::MultipleMatches, message));
    }
    found.sort_unstable();
    Ok(LookedUp { page, guard: Guard { search: again, found, also_after: false } })
}

/// What a conditional update comes to (<https://hl7.org/fhir/R4/http.html#cond-update>).
fn led_to(update: ConditionalUpdate, found: Option<LogicalId>) -> Result<Interaction, Refusal> {
    let ConditionalUpdate { resource, if_match, .. } = update;
    let message = match (found, resource.id()) {
        (Some(id), sent) if sent.is_none_or(|sent| *sent == id) => {
            return Ok(Interaction::Update(Update { id, resource, if_match }));
        }
        (None, None) if if_match.is_none() => return Ok(Interaction::Create(Create { resource, condition: None })),
        (None, None) => {
            let message = "If-Match names a version, and the condition finds no resource.";
            return Err(refusal(StatusCode::PRECONDITION_FAILED, IssueType::Conflict, message));
        }
        (Some(_), _) => "The condition finds a resource with another id than the one in the body.",
        (None, Some(_)) => "The condition finds nothing, and the server chooses the ids of new resources. Leave the id out.",
    };
    Err(refusal(StatusCode::BAD_REQUEST, IssueType::Value, message))
}

/// The same refusal, whose place is the header of a conditional create.
fn in_header(refusal: Refusal) -> Refusal {
    let Refusal::Parse(mut refusal) = refusal else { return refusal };
    refusal.issues.iter_mut().for_each(|issue| issue.expression = Some("http.If-None-Exist".to_owned()));
    Refusal::Parse(refusal)
}

/// A refusal whose place is the condition.
pub fn refusal(status: StatusCode, code: IssueType, message: &str) -> Refusal {
    Refusal::Parse(interaction::Refusal::new(status.as_u16(), Issue::error(code, message).at("http")))
}

/// What is said where others have changed what a condition finds.
pub fn outdated() -> Refusal {
    let message = "What the condition finds was changed at the same moment. Send the request again.";
    refusal(StatusCode::CONFLICT, IssueType::Conflict, message)
}
