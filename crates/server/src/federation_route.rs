//! The pages by which people sign in with an account elsewhere.

/// Where such a request goes.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum FederationRoute {
    /// `/login/federated`: goes to a provider.
    Begin,
    /// `/login/federated/callback/ID`: comes back from the provider of this id. Each has its own, so that no answer of one passes for another's
    /// (RFC 9700 section 4.4.2).
    Callback(String),
    /// `/me/federation`: the own accounts elsewhere.
    Own,
    /// `/me/federation/unlink`: separates one of them.
    Unlink,
}

impl FederationRoute {
    /// The beginning of all callbacks.
    pub const CALLBACK: &'static str = "/login/federated/callback/";

    /// The route of a path that is none of the fixed ones.
    pub fn of(path: &str) -> Option<Self> {
        let id = path.strip_prefix(Self::CALLBACK)?;
        portcullis_oauth::federation::Provider::is_id(id).then(|| Self::Callback(id.to_owned()))
    }

    /// Which methods it takes.
    pub fn methods(&self) -> &'static str {
        match self {
            Self::Begin | Self::Callback(_) | Self::Own => "GET, HEAD",
            Self::Unlink => "POST",
        }
    }
}
