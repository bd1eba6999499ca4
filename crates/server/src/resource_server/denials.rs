//! How a denial looks, as far as the operator chooses: "the response style on denial is controlled by policy and context"
//! (<https://hl7.org/fhir/R4/security.html#AccessDenied>; Security and Privacy Module, "error, zero data, or data without the forbidden parts").
//!
//! Whatever is chosen, hidden and absent records answer alike, and what is searched or included beyond the rights depends on the token alone. Records and outcome in the
//! audit trail are those of a denial in every style.

use portcullis_fhir::search::SearchQuery;
use portcullis_fhir::types::ResourceType;
use portcullis_oauth::principal::Principal;
use portcullis_oauth::scopes::Letter;
use portcullis_policy::decision::DenialReason;
use portcullis_policy::{Denial, Operation, denial};

use super::refusal::Refusal;
use crate::context::Server;

/// The choices.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Denials {
    /// What a record answers that is hidden or absent.
    pub hidden: Hidden,
    /// What a search comes to that the scopes or the user's roles do not open.
    pub search: BeyondSearch,
    /// What a search comes to that asks to include what they do not open.
    pub include: BeyondInclude,
    /// Whether a refusal says what would be needed.
    pub advice: bool,
}

/// What a record answers that is hidden or absent.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Hidden {
    /// 404
    #[default]
    NotFound,
    /// 403, as if it were there and forbidden.
    Forbidden,
}

/// What a search beyond the rights comes to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum BeyondSearch {
    /// 403
    #[default]
    Refuse,
    /// An empty Bundle.
    Empty,
}

/// What a search comes to that asks to include what is beyond the rights.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum BeyondInclude {
    /// The matches, without what is not open.
    #[default]
    LeaveOut,
    /// 403
    Refuse,
    /// An empty Bundle.
    Empty,
}

impl Default for Denials {
    fn default() -> Self {
        Self { hidden: Hidden::default(), search: BeyondSearch::default(), include: BeyondInclude::default(), advice: true }
    }
}

impl Denials {
    /// The denial of what a search asks to include, where the operator wants one and nothing of what an include asks for is open; the first such include counts.
    pub fn of_includes(self, server: &Server, principal: &Principal, operation: &Operation) -> Option<Denial> {
        let Operation::Search(query) = operation else { return None };
        if self.include == BeyondInclude::LeaveOut {
            return None;
        }
        included(query).into_iter().find_map(|types| {
            let refused = |resource_type: &ResourceType| denial(server.basis(), principal, &[(*resource_type, Letter::Search)]);
            let mut denials = types.iter().map(refused);
            let first = denials.next().flatten();
            // One type that is open is enough: the rest is left out.
            first.filter(|_| denials.all(|denial| denial.is_some()))
        })
    }

    /// Whether a search that ends so is answered as one that finds nothing; `by_include`: for what it asks to include.
    pub fn are_empty(self, refusal: &Refusal, by_include: bool) -> bool {
        let Refusal::Denied(denial) = refusal else { return false };
        let beyond = matches!(denial.reason, DenialReason::MissingScope(..) | DenialReason::UserNotEntitled);
        beyond && if by_include { self.include == BeyondInclude::Empty } else { self.search == BeyondSearch::Empty }
    }
}

/// The types that each include may bring.
fn included(query: &SearchQuery) -> Vec<Vec<ResourceType>> {
    let targets = query.includes.iter().map(|include| match include.target {
        Some(target) => vec![target],
        None => include.parameter.targets.clone(),
    });
    targets.chain(query.reverse_includes.iter().map(|include| vec![include.source])).collect()
}
