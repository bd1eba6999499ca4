//! Every path that the server knows, as a closed list. The authorization matrix (`specs/authorization-matrix.txt`) walks [`FIXED`].
//!
//! A path is compared byte for byte: no case folding, no percent-decoding, no dot segments, no slash too many. Two spellings of one path would be two
//! ways in for whoever filters requests before us.

pub use crate::account_route::{AccountRoute, HistoryForm};
pub use crate::client_route::ClientRoute;
pub use crate::developers_route::{DevelopersRoute, SandboxAction};
pub use crate::federation_route::FederationRoute;

/// Where a request goes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Route {
    /// `/`: what runs here.
    Start,
    /// `/docs`: tasks, from a first token to the proof of the audit.
    Docs,
    /// `/language`: keeps which language a person chose.
    Language,
    /// `/static/...`: style sheet and mark.
    Static(String),
    /// `/health`: the process answers.
    Health,
    /// `/health/ready`: it can serve.
    Ready,
    /// `/.well-known/openid-configuration`
    OpenIdConfiguration,
    /// `/.well-known/oauth-authorization-server`
    OAuthMetadata,
    /// `/fhir/.well-known/smart-configuration`
    SmartConfiguration,
    /// `/oauth/jwks`
    Jwks,
    /// `/oauth/authorize`
    Authorize,
    /// `/oauth/token`
    Token,
    /// `/oauth/revoke`
    Revoke,
    /// `/oauth/introspect`
    Introspect,
    /// `/oauth/userinfo`: who an app's user is.
    UserInfo,
    /// `/oauth/par`: authorization requests that are pushed.
    PushedRequest,
    /// `/oauth/launch`: an EHR has a launch made.
    Launch,
    /// `/ehr`: a clinician's patients, and the apps that open from a chart.
    Chart,
    /// `/break-glass`: a clinician opens a record in an emergency.
    BreakGlass,
    /// `/security`: what security officers review and decide.
    Security,
    /// `/user-access-brands.json`
    Brands,
    /// `/login`
    Login,
    /// `/logout`
    Logout,
    /// `/consent`
    Consent,
    /// `/me`: the signed-in person's page.
    Person,
    /// `/me/revoke`: takes an app's access back.
    PersonRevoke,
    /// The own access history, to keep.
    History(HistoryForm),
    /// Pages and forms about how people sign in.
    Account(AccountRoute),
    /// `/admin/policy/explain`: why somebody could or could not see a record, as JSON.
    Explain,
    /// Clients as JSON.
    Clients(ClientRoute),
    /// Signing in with an account elsewhere.
    Federation(FederationRoute),
    /// The developer's pages.
    Developers(DevelopersRoute),
    /// `/fhir/...`: the raw path after `/fhir`, with its slash, still percent-encoded; empty for `/fhir` itself.
    Fhir(String),
    /// `/app-state/...`: what apps keep for themselves; the raw path after it, as for [`Self::Fhir`].
    AppState(String),
    /// Nothing is here.
    Unknown,
}

/// Every path that has no part that varies.
pub const FIXED: &[(&str, Route)] = &[
    ("/", Route::Start),
    ("/docs", Route::Docs),
    (crate::ui::LANGUAGE_PATH, Route::Language),
    ("/health", Route::Health),
    ("/health/ready", Route::Ready),
    ("/.well-known/openid-configuration", Route::OpenIdConfiguration),
    ("/.well-known/oauth-authorization-server", Route::OAuthMetadata),
    ("/fhir/.well-known/smart-configuration", Route::SmartConfiguration),
    ("/oauth/jwks", Route::Jwks),
    ("/oauth/authorize", Route::Authorize),
    ("/oauth/token", Route::Token),
    ("/oauth/revoke", Route::Revoke),
    ("/oauth/introspect", Route::Introspect),
    ("/oauth/userinfo", Route::UserInfo),
    ("/oauth/par", Route::PushedRequest),
    ("/oauth/launch", Route::Launch),
    ("/ehr", Route::Chart),
    ("/break-glass", Route::BreakGlass),
    ("/security", Route::Security),
    (crate::brand::PATH, Route::Brands),
    ("/login", Route::Login),
    ("/logout", Route::Logout),
    ("/consent", Route::Consent),
    ("/login/second", Route::Account(AccountRoute::SecondFactor)),
    ("/login/passkey", Route::Account(AccountRoute::PasskeySignIn)),
    ("/login/forgotten", Route::Account(AccountRoute::Forgotten)),
    ("/set-password", Route::Account(AccountRoute::SetPassword)),
    ("/me/password", Route::Account(AccountRoute::Password)),
    ("/me/authenticator", Route::Account(AccountRoute::Authenticator)),
    ("/me/authenticator/remove", Route::Account(AccountRoute::AuthenticatorRemove)),
    ("/me/recovery-codes", Route::Account(AccountRoute::RecoveryCodes)),
    ("/me/passkey", Route::Account(AccountRoute::Passkey)),
    ("/me/passkey/remove", Route::Account(AccountRoute::PasskeyRemove)),
    ("/me/sessions/end", Route::Account(AccountRoute::SessionsEnd)),
    ("/me/mail", Route::Account(AccountRoute::Mail)),
    ("/me/consents", Route::Account(AccountRoute::Consents)),
    ("/login/federated", Route::Federation(FederationRoute::Begin)),
    ("/me/federation", Route::Federation(FederationRoute::Own)),
    ("/me/federation/unlink", Route::Federation(FederationRoute::Unlink)),
    ("/admin/clients", Route::Clients(ClientRoute::All)),
    ("/admin/policy/explain", Route::Explain),
    ("/oauth/register", Route::Clients(ClientRoute::Register)),
    ("/developers", Route::Developers(DevelopersRoute::Start)),
    ("/developers/new", Route::Developers(DevelopersRoute::New)),
    (DevelopersRoute::CALLBACK, Route::Developers(DevelopersRoute::Callback)),
    ("/me", Route::Person),
    ("/me/revoke", Route::PersonRevoke),
    ("/me/history.csv", Route::History(HistoryForm::Table)),
    ("/me/history.ndjson", Route::History(HistoryForm::Events)),
    ("/fhir", Route::Fhir(String::new())),
];

impl Route {
    /// The route of a raw request path.
    pub fn of(path: &str) -> Self {
        if let Some((_, route)) = FIXED.iter().find(|(fixed, _)| *fixed == path) {
            return route.clone();
        }
        if let Some(route) = ClientRoute::of(path) {
            return Self::Clients(route);
        }
        if let Some(route) = FederationRoute::of(path) {
            return Self::Federation(route);
        }
        if let Some(route) = DevelopersRoute::of(path) {
            return Self::Developers(route);
        }
        if let Some(rest) = path.strip_prefix(crate::resource_server::app_state::BASE).filter(|rest| rest.starts_with('/')) {
            return Self::AppState(rest.to_owned());
        }
        match (path.strip_prefix("/fhir").filter(|rest| rest.starts_with('/')), path.strip_prefix("/static/")) {
            (Some(rest), _) => Self::Fhir(rest.to_owned()),
            (None, Some(file)) => Self::Static(file.to_owned()),
            (None, None) => Self::Unknown,
        }
    }

    /// Whether this is the capability statement, which needs no token.
    pub fn is_metadata(&self) -> bool {
        matches!(self, Self::Fhir(path) if path == "/metadata")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_that_only_look_like_a_route_are_unknown() {
        for path in ["", "//", "/fhirx", "/oauth/token/", "/Login", "/static", "/fhir%2fPatient", "/.well-known/../fhir"] {
            assert_eq!(Route::of(path), Route::Unknown, "{path}");
        }
    }

    #[test]
    fn a_slash_too_many_stays_in_the_path_and_is_no_metadata() {
        assert_eq!(Route::of("/fhir//Patient/x"), Route::Fhir("//Patient/x".into()));
        assert!(Route::of("/fhir/metadata").is_metadata());
        for path in ["/fhir//metadata", "/fhir/metadata/", "/fhir/%6detadata", "//fhir/metadata", "/fhir/./metadata"] {
            assert!(!Route::of(path).is_metadata(), "{path}");
        }
    }
}
