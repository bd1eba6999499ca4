//! Every path that the server knows, as a closed list. The authorization matrix (`specs/authorization-matrix.txt`) walks it.

/// Where a request goes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Route {
    /// `/`: what runs here.
    Start,
    /// `/docs`: tasks, from a first token to the proof of the audit.
    Docs,
    /// `/static/...`: style sheet and mark.
    Static(String),
    /// `/health`: the process answers.
    Health,
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
    /// `/fhir/...`: the raw path after `/fhir`, without the leading slash, still percent-encoded.
    Fhir(String),
    /// Nothing is here.
    Unknown,
}

impl Route {
    /// The route of a raw request path.
    pub fn of(path: &str) -> Self {
        match path {
            "/" => Self::Start,
            "/docs" => Self::Docs,
            "/health" => Self::Health,
            "/.well-known/openid-configuration" => Self::OpenIdConfiguration,
            "/.well-known/oauth-authorization-server" => Self::OAuthMetadata,
            "/fhir/.well-known/smart-configuration" => Self::SmartConfiguration,
            "/oauth/jwks" => Self::Jwks,
            "/oauth/authorize" => Self::Authorize,
            "/oauth/token" => Self::Token,
            "/oauth/revoke" => Self::Revoke,
            "/login" => Self::Login,
            "/logout" => Self::Logout,
            "/consent" => Self::Consent,
            "/me" => Self::Person,
            "/me/revoke" => Self::PersonRevoke,
            "/fhir" => Self::Fhir(String::new()),
            _ => match (path.strip_prefix("/fhir/"), path.strip_prefix("/static/")) {
                (Some(rest), _) => Self::Fhir(rest.to_owned()),
                (None, Some(file)) => Self::Static(file.to_owned()),
                (None, None) => Self::Unknown,
            },
        }
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
}
