//! The principal: who asks, with what rights and in what context, as checked for this one request.
//!
//! A [`Principal`] comes from a verified token and the registry's word of this moment about it; neither alone suffices, and nothing
//! else makes one. It is never cached, cloned or read from outside. Whether there is no principal at all is the server's question.

use std::sync::Arc;

use portcullis_fhir::labels::Clearances;
use portcullis_fhir::reference::LocalReference;
use portcullis_fhir::types::{LogicalId, ResourceType};

use crate::access_token::{Subject, VerifiedToken};
use crate::confirmation::{ConfirmationError, Possession};
use crate::identifiers::{ClientId, GrantId, TokenId, UserId};
use crate::representation::{Representation, acting_for};
use crate::scopes::CompiledScopes;
use crate::users::Roles;

mod operator;

pub use operator::{Operator, OperatorOperation};

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

/// Why data is asked for (`http://terminology.hl7.org/CodeSystem/v3-ActReason`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum PurposeOfUse {
    /// `TREAT`: treatment.
    Treatment,
    /// `HPAYMT`: payment.
    Payment,
    /// `HOPERAT`: operations.
    Operations,
    /// `PATRQT`: the patient asked.
    PatientRequest,
    /// `FAMRQT`: the family asked.
    FamilyRequest,
}

impl PurposeOfUse {
    /// The code in v3-ActReason.
    pub fn code(self) -> &'static str {
        match self {
            Self::Treatment => "TREAT",
            Self::Payment => "HPAYMT",
            Self::Operations => "HOPERAT",
            Self::PatientRequest => "PATRQT",
            Self::FamilyRequest => "FAMRQT",
        }
    }

    /// The purpose with this code.
    pub fn parse(code: &str) -> Option<Self> {
        [Self::Treatment, Self::Payment, Self::Operations, Self::PatientRequest, Self::FamilyRequest]
            .into_iter()
            .find(|purpose| purpose.code() == code)
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
    /// The purpose that the grant was given for.
    pub purpose_of_use: Option<PurposeOfUse>,
    /// What the client may do on its own behalf, as registered at this moment, where the token descends from its registration; `None` for
    /// a token that a user granted.
    pub registered: Option<CompiledScopes>,
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
        Ok(Standing { client, user, registered, purpose_of_use: facts.purpose_of_use, epoch: facts.epoch })
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
    /// The purpose that the grant was given for.
    purpose_of_use: Option<PurposeOfUse>,
    /// The epoch at which this was read.
    epoch: u64,
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
    purpose_of_use: Option<PurposeOfUse>,
    token_id: Option<TokenId>,
    grant: Option<GrantId>,
    epoch: u64,
    expires_at: i64,
    operator: Option<Operator>,
    registered: Option<CompiledScopes>,
    /// Up to which labels each kind of principal sees records, as the operator decided.
    clearances: Clearances,
}

impl Principal {
    /// The principal of a token that verified, that this request proves to hold rightly, and that the registry says is active, at a time in
    /// seconds since the epoch.
    pub fn establish(
        token: &VerifiedToken,
        possession: &Possession<'_>,
        status: TokenStatus,
        now: i64,
    ) -> Result<Self, EstablishError> {
        possession.confirms(token.confirmation(), token.hash())?;
        let Standing { client, user, registered, purpose_of_use, epoch } = status.standing(token, now)?;
        Ok(Self {
            client,
            user: user.map(|user| user.acting_at(now)),
            registered,
            launch: LaunchContext { patient: token.patient().cloned() },
            scopes: Arc::clone(token.scopes()),
            purpose_of_use,
            token_id: Some(token.token_id().clone()),
            grant: Some(token.grant().clone()),
            epoch,
            expires_at: token.expires_at(),
            operator: None,
            clearances: Clearances::least(),
        })
    }

    /// The same under what the operator decided about labels. Without it labels hide as much as they can.
    #[must_use]
    pub fn cleared(self, clearances: Clearances) -> Self {
        Self { clearances, ..self }
    }

    /// A signed-in person who chooses a patient for an app: may read and search Patient resources within the own rights, nothing else.
    pub fn choosing_patient(user: PrincipalUser, expires_at: i64) -> Self {
        Self::of_page(user, "user/Patient.rs", expires_at)
    }

    /// A signed-in person on the own page: may search the audit trail within the own rights, nothing else.
    pub fn viewing_own_page(user: PrincipalUser, expires_at: i64) -> Self {
        Self::of_page(user, "user/AuditEvent.rs", expires_at)
    }

    /// A signed-in person who opens an app with something in context: may read and search this one type within the own rights, nothing else.
    pub fn opening_app(user: PrincipalUser, resource_type: ResourceType, expires_at: i64) -> Self {
        Self::of_page(user, &format!("user/{resource_type}.rs"), expires_at)
    }

    fn of_page(user: PrincipalUser, scope: &str, expires_at: i64) -> Self {
        let scopes = crate::scopes::ScopeSet::parse(scope).map_or_else(|_| CompiledScopes::none(), |set| set.compiled());
        Self {
            client: ClientId::reserved_browser(),
            user: Some(user),
            launch: LaunchContext::default(),
            scopes: Arc::new(scopes),
            purpose_of_use: None,
            token_id: None,
            grant: None,
            epoch: 0,
            expires_at,
            operator: None,
            registered: None,
            clearances: Clearances::least(),
        }
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
            purpose_of_use: Some(PurposeOfUse::Operations),
            token_id: None,
            grant: None,
            epoch: 0,
            expires_at: i64::MAX,
            operator: Some(operator),
            registered: None,
            clearances: Clearances::least(),
        }
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

    /// Why data is asked for.
    pub fn purpose_of_use(&self) -> Option<PurposeOfUse> {
        self.purpose_of_use
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

    /// What page bookmarks are bound to: the same person, client, grant and patient.
    pub fn binding(&self) -> Vec<u8> {
        let text = |part: Option<&str>| part.unwrap_or_default().to_owned();
        let parts = [
            self.client.as_str().to_owned(),
            text(self.user.as_ref().map(|user| user.id.as_str())),
            text(self.grant.as_ref().map(GrantId::as_str)),
            text(self.launch.patient.as_ref().map(LogicalId::as_str)),
        ];
        parts.join("\n").into_bytes()
    }

    /// What the client may do on its own behalf, as registered at this moment; none where it acts for a user or an operator acts.
    pub fn registered(&self) -> Option<&CompiledScopes> {
        self.registered.as_ref()
    }

    /// Up to which labels each kind of principal sees records. Rules ask for the kind by which they let somebody in.
    pub fn clearances(&self) -> Clearances {
        self.clearances
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
            purpose_of_use: Some(PurposeOfUse::PatientRequest),
            registered: None,
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
        assert_eq!(principal.client().as_str(), "demo-app");
        assert_eq!(principal.user(), facts().user.as_ref());
        assert!(principal.roles().contains(Role::Patient));
        assert_eq!(principal.launch().patient.as_ref().map(LogicalId::as_str), Some("p1"));
        assert!(principal.scopes().allows(ScopeContext::Patient, ResourceType::OBSERVATION, Letter::Read));
        assert_eq!(principal.purpose_of_use(), Some(PurposeOfUse::PatientRequest));
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

    #[test]
    fn purposes_read_back_by_code() {
        assert_eq!(PurposeOfUse::parse("BTG"), None);
        assert_eq!(PurposeOfUse::parse("treat"), None);
        assert_eq!(PurposeOfUse::parse("HPAYMT"), Some(PurposeOfUse::Payment));
    }
}
