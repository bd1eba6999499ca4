//! The logical audit record: what happened, to what, by whom, and how it was decided.
//!
//! It carries identifiers and never clinical content. It is rendered as AuditEvent resources on demand (`event.rs`).

use std::collections::HashSet;

use serde::{Deserialize, Serialize};

use crate::sought::Presence;

/// Names one record; 128 random bits, 32 hexadecimal digits.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct RecordId(pub String);

/// One logical record.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Record {
    /// Its id.
    pub id: RecordId,
    /// When the request was received, milliseconds since the epoch, UTC.
    pub recorded: i64,
    /// What kind of event.
    pub event: Event,
    /// Who asked.
    pub agent: Agent,
    /// How it ended.
    pub outcome: Outcome,
    /// The HTTP status of the answer; 0 where the event was no request.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub status: u16,
    /// The decision's id, where one was made.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub decision: Option<String>,
    /// The rules that decided: `name=permit` or `name=deny`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub rules: Vec<String>,
    /// The interactions inside (one for most requests, one per entry of a batch or import).
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub operations: Vec<OperationEntry>,
    /// For an entry of a batch or transaction: the record of the request that it stood in.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub request: Option<RecordId>,
    /// For people and machines: the reason of a refusal, the subject of a configuration change. No clinical content, no secret.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub detail: Option<String>,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde calls it with a reference")]
fn is_zero(status: &u16) -> bool {
    *status == 0
}

/// The kind of event.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Event {
    /// A FHIR RESTful interaction.
    Rest,
    /// Somebody broke the glass for a patient, or tried to.
    BreakGlass,
    /// What somebody opened by breaking the glass was closed before its time.
    BreakGlassEnd,
    /// A person tried to sign in.
    Login,
    /// A person signed out.
    Logout,
    /// A person allowed or refused an app, or agreed to a Consent about the own record.
    Consent,
    /// A token was asked for.
    Token,
    /// An app pushed or began an authorization request that came ahead of its browser.
    AuthorizationRequest,
    /// The state of a token was asked for.
    Introspection,
    /// An app asked who its user is.
    UserInfo,
    /// A grant or token was revoked.
    Revocation,
    /// A person changed how they sign in: password, second factor, passkey, sessions.
    Credential,
    /// Data was imported from files.
    Import,
    /// Users, clients, keys or settings were changed or listed by an operator.
    Administration,
    /// The server started.
    Start,
    /// The server stopped.
    Stop,
    /// A request that was refused before it was known what it asks.
    Refused,
    /// A page of the web interface was shown that is not static.
    Page,
}

/// Who asked.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Agent {
    /// The OAuth client.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub client: Option<String>,
    /// The user's id.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub user: Option<String>,
    /// The user as a FHIR resource, `Type/id`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fhir_user: Option<String>,
    /// The access token's `jti`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub token: Option<String>,
    /// Why data was asked for: a code of v3-ActReason.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub purpose: Option<String>,
    /// The peer's network address.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub address: Option<String>,
}

/// How it ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Outcome {
    /// As asked (AuditEvent.outcome 0).
    Success,
    /// The request was wrong: 4xx that is no denial (4).
    Rejected,
    /// Denied by authentication or authorization, or an internal error (8).
    Denied,
    /// The server failed (8; 12 where the service was unavailable).
    Failed,
}

/// One interaction inside a record.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct OperationEntry {
    /// The restful interaction code: `read`, `vread`, `search-type`, `history-instance`, `create`, `update`, `delete`, `capabilities`.
    pub interaction: String,
    /// The resource type.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub resource_type: Option<String>,
    /// The resource's id, where one is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub id: Option<String>,
    /// The version that was read or made.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version: Option<String>,
    /// The patients in whose compartments the released or written records lie: for a change those of the version before and of the one after, for an
    /// attempt that was refused those of the resource that is there.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub patients: Vec<String>,
    /// Patients whom the request itself names, in a search, an id or the content that it wants stored, beyond `patients`: logical ids as they were
    /// sent, whether or not anybody has them. At most [`OperationEntry::MAXIMUM_NAMED`].
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub named: Vec<String>,
    /// Of the patients of an update those who had no part in the version before: for them it made something new.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub joined: Vec<String>,
    /// The parameters of a search as sent, or method and path of a request that was not understood, bounded to [`OperationEntry::MAXIMUM_QUERY`] bytes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub query: Option<String>,
    /// The codes of the security labels of the records that were released, read or made, all together.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub labels: Vec<String>,
    /// How many records were released.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub returned: Option<u32>,
    /// Of how many of these something was left out.
    #[serde(default, skip_serializing_if = "is_none")]
    pub redacted: u32,
    /// Where a request by id found nothing: whether there is something that it may not see.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub presence: Option<Presence>,
    /// What the consents of patients decided, where the decision rests on them: of each patient at most one permit and one denial.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub consents: Vec<ConsentDecision>,
}

/// What the consents of one patient decided about an interaction.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ConsentDecision {
    /// Whose consents: a logical id.
    pub patient: String,
    /// What they decided.
    pub effect: ConsentEffect,
    /// Whether the patient asked for the own record.
    #[serde(default, skip_serializing_if = "is_false")]
    pub own: bool,
    /// The Consents that decided, at most [`ConsentDecision::MAXIMUM_CONSENTS`]. None where the policy did, or where those that did cannot be read.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub consents: Vec<ConsentVersion>,
    /// At least so many more decided, which are not named.
    #[serde(default, skip_serializing_if = "is_none")]
    pub more: u32,
    /// Where no Consent says anything about (some of) it: the implicit policy of the operator, which decided.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub policy: Option<String>,
}

impl ConsentDecision {
    /// The most Consents that a decision names.
    pub const MAXIMUM_CONSENTS: usize = 8;
}

/// What consents decided.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ConsentEffect {
    /// The request may have what it got.
    Permit,
    /// It may not have something.
    Deny,
}

/// A version of a Consent.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ConsentVersion {
    /// The logical id.
    pub id: String,
    /// The version id.
    pub version: String,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde calls it with a reference")]
fn is_false(flag: &bool) -> bool {
    !*flag
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde calls it with a reference")]
fn is_none(count: &u32) -> bool {
    *count == 0
}

impl OperationEntry {
    /// The longest query that a record keeps, in bytes; a longer one is cut and ends in `…`.
    pub const MAXIMUM_QUERY: usize = 2048;

    /// The most patients that a record names because the request did: as many as one search can name, so that nobody is hidden behind others.
    pub const MAXIMUM_NAMED: usize = 500;

    /// Notes patients whom the request names, each once.
    pub fn name(&mut self, patients: impl IntoIterator<Item = String>) {
        let mut seen: HashSet<String> = self.named.iter().cloned().collect();
        let fresh = patients.into_iter().filter(|patient| seen.insert(patient.clone()));
        let place = Self::MAXIMUM_NAMED.saturating_sub(self.named.len());
        self.named.extend(fresh.take(place));
    }

    /// A query as a record keeps it: whole, or cut at a character and ended by `…`.
    pub fn bounded_query(query: &str) -> String {
        if query.len() <= Self::MAXIMUM_QUERY {
            return query.to_owned();
        }
        let end = query.floor_char_boundary(Self::MAXIMUM_QUERY - '…'.len_utf8());
        format!("{}…", query.get(..end).unwrap_or_default())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_queries_are_cut_at_a_character_and_marked() {
        let longest = "é".repeat(OperationEntry::MAXIMUM_QUERY / 2);
        assert_eq!(OperationEntry::bounded_query(&longest), longest);
        let cut = OperationEntry::bounded_query(&format!("x{longest}"));
        assert!(cut.len() <= OperationEntry::MAXIMUM_QUERY && cut.ends_with("é…"), "{}", cut.len());
    }

    #[test]
    fn patients_whom_a_request_names_are_kept_once_each_up_to_a_bound() {
        let mut operation = OperationEntry::default();
        operation.name(["b", "a", "b"].map(str::to_owned));
        operation.name(["a", "c"].map(str::to_owned));
        assert_eq!(operation.named, ["b", "a", "c"]);
        operation.name((0..1000).map(|number| number.to_string()));
        assert_eq!(operation.named.len(), OperationEntry::MAXIMUM_NAMED);
    }

    #[test]
    fn records_are_read_back_as_they_were_written() {
        let text = r#"{"id":"a","recorded":1,"event":"refused","agent":{},"outcome":"denied"}"#;
        let record: Record = serde_json::from_str(text).unwrap();
        assert_eq!((record.event, record.outcome, record.status), (Event::Refused, Outcome::Denied, 0));
        assert_eq!(serde_json::to_string(&record).unwrap(), text);
    }
}
