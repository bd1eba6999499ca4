//! The principal: who asks, with what rights and in what context, as checked for this one request.
//!
//! A [`Principal`] comes from a verified token and the registry's word of this moment about it; neither alone suffices, and nothing
//! else makes one. It is never cached, cloned or read from outside. Whether there is no principal at all is the server's question.

use std::sync::Arc;

use portcullis_fhir::labels::{Classifier, Clearance, Clearances, LabelPolicy};
use portcullis_fhir::redaction::ElementRules;
use portcullis_fhir::reference::LocalReference;
use portcullis_fhir::types::{LogicalId, ResourceType};

use crate::access_token::{Subject, VerifiedToken};
use crate::confirmation::{ConfirmationError, Possession};
use crate::identifiers::{ClientId, GrantId, TokenId, UserId};
use crate::purposes::{PurposeFacts, Purposes};
use crate::representation::{Representation, acting_for};
use crate::scopes::CompiledScopes;
use crate::users::Roles;

mod circumstances;
mod imagined;
mod membership;
mod operator;

pub use circumstances::{Circumstances, ImplicitPolicy};
pub use imagined::Imagined;
pub use membership::{Membership, Part, Parts};
pub use operator::{Operator, OperatorOperation};

pub use crate::purposes::PurposeOfUse;

/// The user behind a request, as the registry knows the user at this moment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PrincipalUser {
    /// The user.
    pub id: UserId,
    /// The roles.
    pub roles: Roles,
    /// The FHIR resource that is this user.
    pub fhir_user: Option<LocalReference>,
    /// The patients for whom the user may act.
    pub patients: Vec<LogicalId>,
    /// For whom the user acts for a time, or within limits. What the registry read; once the principal stands, those that hold.
    pub represents: Vec<Representation>,
}

impl PrincipalUser {
    /// The user with those patients for whom the user may act at a time in seconds since the epoch.
    fn acting_at(mut self, now: i64) -> Self {
        self.represents.retain(|representation| representation.holds(now));
        self.patients = acting_for(&self.patients, &self.represents, now);
        self
    }
}

/// What the registry found out about one token, in one consistent read.
#[derive(Debug)]
pub struct TokenFacts {
    /// The token that was looked up.
    pub token_id: TokenId,
    /// Whether the token, its grant, its client and its user all still stand.
    pub active: bool,
    /// The highest epoch among patient, user, client, grant and rules that was read.
    pub epoch: u64,
    /// The client as registered; `None` where it is gone.
    pub client: Option<ClientId>,
    /// The user as registered; `None` where the user is gone.
    pub user: Option<PrincipalUser>,
    /// For which purposes those behind the token may use data.
    pub purposes: PurposeFacts,
    /// What the client may do on its own behalf, as registered at this moment, where the token descends from its registration; `None` for
    /// a token that a user granted.
    pub registered: Option<CompiledScopes>,
    /// Up to which labels records may go to the client, as registered at this moment, whoever uses it.
    pub clearance: Clearance,
}

/// The registry's word about a token, good for one request.
#[derive(Debug)]
pub struct TokenStatus(TokenFacts);

impl TokenStatus {
    /// Makes a status. Only a registry calls this, with what it just read; the repository's tidy test holds the list of call sites.
    pub fn from_registry(facts: TokenFacts) -> Self {
        Self(facts)
    }

    /// Whether a token stands at a time in seconds since the epoch, and for whom. That it stands lets nobody in: [`Principal::establish`] asks
    /// for more.
    pub(crate) fn standing(self, token: &VerifiedToken, now: i64) -> Result<Standing, EstablishError> {
        let Self(facts) = self;
        if facts.token_id != *token.token_id() {
            return Err(EstablishError::OtherToken);
        }
        if !facts.active {
            return Err(EstablishError::Inactive);
        }
        // The token may have been verified, and cached, long before.
        if now >= token.expires_at() {
            return Err(EstablishError::Expired);
        }
        let client = facts.client.filter(|client| client == token.client()).ok_or(EstablishError::UnknownClient)?;
        // A client that acts for itself has no user, and a user's token no registration: whatever is mixed is nobody.
        let (user, registered) = match (token.subject(), facts.user, facts.registered) {
            (Subject::User(id), Some(user), None) if user.id == *id => (Some(user), None),
            (Subject::Client(id), None, Some(registered)) if *id == client => (None, Some(registered)),
            _ => return Err(EstablishError::UnknownUser),
        };
        Ok(Standing { client, user, registered, purposes: facts.purposes, epoch: facts.epoch, clearance: facts.clearance })
    }
}

/// A token that stands, with what the registry knows of those behind it.
#[derive(Debug)]
pub(crate) struct Standing {
    /// The client.
    client: ClientId,
    /// The user, where one granted the token.
    pub(crate) user: Option<PrincipalUser>,
    /// What the client may do on its own behalf.
    registered: Option<CompiledScopes>,
    /// For which purposes they may use data.
    pub(crate) purposes: PurposeFacts,
    /// The epoch at which this was read.
    epoch: u64,
    /// Up to which labels records may go to the client.
    clearance: Clearance,
}

/// Why a verified token makes no principal. For the log; the client learns only `invalid_token`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, thiserror::Error)]
pub enum EstablishError {
    /// The status is another token's: an error of ours, and a denial.
    #[error("the status belongs to another token")]
    OtherToken,
    /// The token, its grant, its client or its user was revoked.
    #[error("the token is not active")]
    Inactive,
    /// The token's time is over.
    #[error("the token has expired")]
    Expired,
    /// The client is gone or is not the one that the token was issued to.
    #[error("the client is unknown")]
    UnknownClient,
    /// The user is gone or is not the one who granted the token.
    #[error("the user is unknown")]
    UnknownUser,
    /// The request does not prove what the token is bound to.
    #[error(transparent)]
    Unconfirmed(#[from] ConfirmationError),
}

/// The context of the launch.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct LaunchContext {
    /// The patient in context. Without one, scopes of `patient/` allow nothing.
    pub patient: Option<LogicalId>,
}

/// Who asks: established for one request, consumed with it.
#[derive(Debug)]
pub struct Principal {
    client: ClientId,
    user: Option<PrincipalUser>,
    launch: LaunchContext,
    scopes: Arc<CompiledScopes>,
    purposes: Purposes,
    token_id: Option<TokenId>,
    grant: Option<GrantId>,
    epoch: u64,
    expires_at: i64,
    operator: Option<Operator>,
    registered: Option<CompiledScopes>,
    /// What the operator decided about labels and elements.
    labels: LabelPolicy,
    /// Up to which labels records may go to the client, whoever uses it.
    client_clearance: Clearance,
    /// When and where consents are asked.
    circumstances: Option<Circumstances>,
}

/// A principal of whom nobody has said yet what it is cleared for, and that can ask for nothing before somebody does.
#[derive(Debug)]
#[must_use]
pub struct Uncleared(Principal);

impl Uncleared {
    /// The principal under what the operator decided about labels.
    pub fn cleared(self, labels: impl Into<LabelPolicy>) -> Principal {
        self.0.cleared(labels)
    }
}

impl Principal {
    /// The principal of a token that verified, that this request proves to hold rightly, and that the registry says is active, at a time in
    /// seconds since the epoch.
    pub fn establish(
        token: &VerifiedToken,
        possession: &Possession<'_>,
        status: TokenStatus,
        now: i64,
    ) -> Result<Uncleared, EstablishError> {
        possession.confirms(token.confirmation(), token.hash())?;
        let Standing { client, user, registered, purposes, epoch, clearance } = status.standing(token, now)?;
        let purposes = match &user {
            Some(user) => Purposes::of_user(user.roles, purposes, now),
            None => Purposes::of_client(&purposes.client),
        };
        Ok(Uncleared(Self {
            client,
            user: user.map(|user| user.acting_at(now)),
            registered,
            launch: LaunchContext { patient: token.patient().cloned() },
            scopes: Arc::clone(token.scopes()),
            purposes,
            token_id: Some(token.token_id().clone()),
            grant: Some(token.grant().clone()),
            epoch,
            expires_at: token.expires_at(),
            operator: None,
            labels: LabelPolicy::least(),
            client_clearance: clearance,
            circumstances: None,
        }))
    }

    /// The same under what the operator decided about labels.
    #[must_use]
    pub fn cleared(self, labels: impl Into<LabelPolicy>) -> Self {
        Self { labels: labels.into(), ..self }
    }

    /// The same under the circumstances of a request. Without them nobody but an operator is let in anywhere.
    #[must_use]
    pub fn asking(self, circumstances: Circumstances) -> Self {
        Self { circumstances: Some(circumstances), ..self }
    }

    /// The same for a request that states its purpose; as it is where that states none. Whether there is leave for it is decided with everything else.
    #[must_use]
    pub fn stating(self, stated: Option<PurposeOfUse>) -> Self {
        Self { purposes: self.purposes.stating(stated), ..self }
    }

    /// A signed-in person who chooses a patient for an app: may read and search Patient resources within the own rights, nothing else.
    pub fn choosing_patient(user: PrincipalUser, expires_at: i64) -> Uncleared {
        Self::of_page(user, "user/Patient.rs", expires_at)
    }

    /// A signed-in person on the own page: may search the audit trail within the own rights, nothing else.
    pub fn viewing_own_page(user: PrincipalUser, expires_at: i64) -> Uncleared {
        Self::of_page(user, "user/AuditEvent.rs", expires_at)
    }

    /// A signed-in person who opens an app with something in context: may read and search this one type within the own rights, nothing else.
    pub fn opening_app(user: PrincipalUser, resource_type: ResourceType, expires_at: i64) -> Uncleared {
        Self::of_page(user, &format!("user/{resource_type}.rs"), expires_at)
    }

    /// A signed-in person to whom a page names people and organisations: may read and search within the own rights. Directory records are visible where a record
    /// of a type in scope refers to them, so all types are.
    pub fn naming(user: PrincipalUser, expires_at: i64) -> Uncleared {
        Self::of_page(user, "user/*.rs", expires_at)
    }

    /// A signed-in clinician who is entitled to break the glass, gave a reason and a second factor, and says for whom: may find that Patient, nothing else.
    pub fn breaking_glass(user: PrincipalUser, expires_at: i64) -> Uncleared {
        let Uncleared(page) = Self::of_page(user, "user/Patient.s", expires_at);
        Uncleared(Self { purposes: Purposes::of_breaking_glass(), ..page })
    }

    fn of_page(user: PrincipalUser, scope: &str, expires_at: i64) -> Uncleared {
        let scopes = crate::scopes::ScopeSet::parse(scope).map_or_else(|_| CompiledScopes::none(), |set| set.compiled());
        Uncleared(Self {
            client: ClientId::reserved_browser(),
            purposes: Purposes::of_page(user.roles),
            user: Some(user),
            launch: LaunchContext::default(),
            scopes: Arc::new(scopes),
            token_id: None,
            grant: None,
            epoch: 0,
            expires_at,
            operator: None,
            registered: None,
            labels: LabelPolicy::least(),
            client_clearance: Clearance::FULL,
            circumstances: None,
        })
    }

    /// The principal of a person at this machine's command line, with exactly the operations that the command needs.
    ///
    /// It has no scopes and no user, so every rule about tokens denies it; what it may do is decided by [`Operator::may`] alone. Only
    /// the command line calls this; the repository's tidy test holds the list of call sites.
    pub fn command_line_operator(operator: Operator) -> Self {
        Self {
            client: Operator::client_id(),
            user: None,
            launch: LaunchContext::default(),
            scopes: Arc::new(CompiledScopes::none()),
            purposes: Purposes::of_client(&[]),
            token_id: None,
            grant: None,
            epoch: 0,
            expires_at: i64::MAX,
            operator: Some(operator),
            registered: None,
            labels: LabelPolicy::least(),
            client_clearance: Clearance::FULL,
            circumstances: None,
        }
    }

    /// The same with no patient in context: how the patient came there is switched off by now. Scopes of `patient/` then allow nothing.
    #[must_use]
    pub fn without_patient(self) -> Self {
        Self { launch: LaunchContext::default(), ..self }
    }

    /// The client; for an operator, the reserved one of the command line.
    pub fn client(&self) -> &ClientId {
        &self.client
    }

    /// The user, where there is one.
    pub fn user(&self) -> Option<&PrincipalUser> {
        self.user.as_ref()
    }

    /// The roles of the user; none where there is no user.
    pub fn roles(&self) -> Roles {
        self.user.as_ref().map_or(Roles::NONE, |user| user.roles)
    }

    /// The context of the launch.
    pub fn launch(&self) -> &LaunchContext {
        &self.launch
    }

    /// What the scopes allow.
    pub fn scopes(&self) -> &Arc<CompiledScopes> {
        &self.scopes
    }

    /// Why data is asked for. Whether there is leave for that is a rule of its own.
    pub fn purpose_of_use(&self) -> PurposeOfUse {
        self.purposes.of_use()
    }

    /// The purpose with the leave that there is for it.
    pub fn purposes(&self) -> &Purposes {
        &self.purposes
    }

    /// The token; none for an operator.
    pub fn token_id(&self) -> Option<&TokenId> {
        self.token_id.as_ref()
    }

    /// The grant; none for an operator.
    pub fn grant(&self) -> Option<&GrantId> {
        self.grant.as_ref()
    }

    /// The epoch at which the token's status was read.
    pub fn epoch(&self) -> u64 {
        self.epoch
    }

    /// The end of the token's validity, in seconds since the epoch.
    pub fn expires_at(&self) -> i64 {
        self.expires_at
    }

    /// What page bookmarks are bound to: the same person, client, grant, patient and purpose.
    pub fn binding(&self) -> Vec<u8> {
        let text = |part: Option<&str>| part.unwrap_or_default().to_owned();
        let parts = [
            self.client.as_str().to_owned(),
            text(self.user.as_ref().map(|user| user.id.as_str())),
            text(self.grant.as_ref().map(GrantId::as_str)),
            text(self.launch.patient.as_ref().map(LogicalId::as_str)),
            self.purpose_of_use().code().to_owned(),
        ];
        parts.join("\n").into_bytes()
    }

    /// What the client may do on its own behalf, as registered at this moment; none where it acts for a user or an operator acts.
    pub fn registered(&self) -> Option<&CompiledScopes> {
        self.registered.as_ref()
    }

    /// Up to which labels each kind of principal sees records. Rules ask for the kind by which they let somebody in.
    pub fn clearances(&self) -> Clearances {
        self.labels.clearances(self.purpose_of_use(), self.client_clearance)
    }

    /// Elements that are shown only to those who are cleared for their labels.
    pub fn elements(&self) -> &Arc<ElementRules> {
        &self.labels.elements
    }

    /// How labels say that this server assigned them.
    pub fn classifier(&self) -> Option<&Classifier> {
        self.labels.classifier.as_ref()
    }

    /// Under what circumstances consents are asked.
    pub fn circumstances(&self) -> Option<&Circumstances> {
        self.circumstances.as_ref()
    }

    /// The operator, if this is one.
    pub fn operator(&self) -> Option<&Operator> {
        self.operator.as_ref()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::access_token::tests::{NOW, verified, verified_client};
    use crate::scopes::{Letter, ScopeContext};
    use crate::users::Role;

    fn facts() -> TokenFacts {
        TokenFacts {
            token_id: TokenId::parse("t1").unwrap(),
            active: true,
            epoch: 7,
            client: ClientId::parse("demo-app"),
            user: Some(PrincipalUser {
                id: UserId::parse("u-ann").unwrap(),
                roles: Roles::NONE.with(Role::Patient),
                fhir_user: LocalReference::parse("Patient/p1"),
                patients: vec![LogicalId::parse("p1").unwrap()],
                represents: Vec::new(),
            }),
            purposes: PurposeFacts::default(),
            registered: None,
            clearance: Clearance::FULL,
        }
    }

    fn refusal(facts: TokenFacts, now: i64) -> EstablishError {
        Principal::establish(&verified(), &Possession::NOTHING, TokenStatus::from_registry(facts), now).unwrap_err()
    }

    #[test]
    fn a_revoked_token_makes_no_principal() {
        assert_eq!(refusal(TokenFacts { active: false, ..facts() }, NOW), EstablishError::Inactive);
    }

    #[test]
    fn the_status_of_another_token_makes_no_principal() {
        let other = TokenFacts { token_id: TokenId::parse("t2").unwrap(), ..facts() };
        assert_eq!(refusal(other, NOW), EstablishError::OtherToken);
    }

    #[test]
    fn a_token_that_expired_since_it_was_verified_makes_no_principal() {
        assert_eq!(refusal(facts(), NOW + 300), EstablishError::Expired);
        assert!(Principal::establish(&verified(), &Possession::NOTHING, TokenStatus::from_registry(facts()), NOW + 299).is_ok());
    }

    #[test]
    fn a_missing_or_different_client_or_user_makes_no_principal() {
        assert_eq!(refusal(TokenFacts { client: None, ..facts() }, NOW), EstablishError::UnknownClient);
        assert_eq!(refusal(TokenFacts { client: ClientId::parse("other"), ..facts() }, NOW), EstablishError::UnknownClient);
        assert_eq!(refusal(TokenFacts { user: None, ..facts() }, NOW), EstablishError::UnknownUser);
        let mut other = facts();
        other.user.as_mut().unwrap().id = UserId::parse("u-bob").unwrap();
        assert_eq!(refusal(other, NOW), EstablishError::UnknownUser);
    }

    #[test]
    fn a_users_token_with_a_registrations_rights_makes_no_principal() {
        let registered = Some(CompiledScopes::none());
        assert_eq!(refusal(TokenFacts { registered: registered.clone(), ..facts() }, NOW), EstablishError::UnknownUser);
        assert_eq!(refusal(TokenFacts { registered, user: None, ..facts() }, NOW), EstablishError::UnknownUser);
    }

    #[test]
    fn a_client_acts_for_itself_only_by_its_registration() {
        let client = |facts: TokenFacts| {
            Principal::establish(&verified_client(), &Possession::NOTHING, TokenStatus::from_registry(facts), NOW)
                .map(|principal| principal.cleared(LabelPolicy::least()))
        };
        let registered = crate::scopes::ScopeSet::parse("system/Patient.rs").unwrap().compiled();
        let own = TokenFacts { user: None, registered: Some(registered.clone()), ..facts() };
        assert_eq!(client(TokenFacts { registered: None, ..own }).unwrap_err(), EstablishError::UnknownUser);
        assert_eq!(client(facts()).unwrap_err(), EstablishError::UnknownUser, "a user of the same name as the client");
        let own = TokenFacts { user: None, registered: Some(registered.clone()), ..facts() };
        let principal = client(own).unwrap();
        assert!(principal.user().is_none() && principal.roles().is_empty() && principal.operator().is_none());
        assert_eq!(principal.registered(), Some(&registered));
    }

    #[test]
    fn a_principal_says_what_token_and_registry_said() {
        let principal =
            Principal::establish(&verified(), &Possession::NOTHING, TokenStatus::from_registry(facts()), NOW).unwrap();
        let principal = principal.cleared(LabelPolicy::least());
        assert_eq!(principal.client().as_str(), "demo-app");
        assert_eq!(principal.user(), facts().user.as_ref());
        assert!(principal.roles().contains(Role::Patient));
        assert_eq!(principal.launch().patient.as_ref().map(LogicalId::as_str), Some("p1"));
        assert!(principal.scopes().allows(ScopeContext::Patient, ResourceType::OBSERVATION, Letter::Read));
        assert_eq!(principal.purpose_of_use(), PurposeOfUse::PATIENT_REQUEST);
        assert_eq!(principal.token_id().map(TokenId::as_str), Some("t1"));
        assert_eq!(principal.grant().map(GrantId::as_str), Some("g1"));
        assert_eq!((principal.epoch(), principal.expires_at()), (7, NOW + 300));
        assert!(principal.operator().is_none());
    }

    #[test]
    fn an_operator_has_no_scope_no_user_and_only_the_named_operations() {
        let principal = Principal::command_line_operator(Operator::new("root", [OperatorOperation::LoadResources]));
        assert_eq!(**principal.scopes(), CompiledScopes::none());
        assert!(principal.user().is_none() && principal.token_id().is_none() && principal.roles().is_empty());
        let operator = principal.operator().unwrap();
        for operation in OperatorOperation::ALL {
            assert_eq!(operator.may(operation), operation == OperatorOperation::LoadResources, "{operation:?}");
        }
    }
}
