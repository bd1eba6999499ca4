//! A provider as the operator configured it.

use portcullis_jose::{Secret, SigningKey};

/// How this server authenticates at a provider's token endpoint.
#[derive(Debug)]
pub enum ProviderAuthentication {
    /// `client_secret_basic`, or `client_secret_post` where the provider offers nothing but that.
    Secret(Secret<String>),
    /// `private_key_jwt` (OpenID Connect Core section 9).
    PrivateKey(Box<SigningKey>),
}

/// A provider.
#[derive(Debug)]
pub struct Provider {
    /// Its name in paths: lower-case letters, digits and hyphens.
    pub id: String,
    /// The name that people see.
    pub name: String,
    /// Its issuer, byte for byte.
    pub issuer: String,
    /// What this server is called there.
    pub client_id: String,
    /// How this server authenticates there.
    pub authentication: ProviderAuthentication,
    /// What is asked for beside `openid`.
    pub scopes: Vec<String>,
    /// Values of `amr` that count as a second factor.
    pub trusted_amr: Vec<String>,
    /// Values of `acr` that count as a second factor.
    pub trusted_acr: Vec<String>,
    /// The claim that names the person's FHIR resource here, where the provider is trusted with that.
    pub fhir_user_claim: Option<String>,
}

impl Provider {
    /// The longest id, in bytes.
    pub const MAXIMUM_ID: usize = 32;

    /// Whether a text can be an id.
    pub fn is_id(text: &str) -> bool {
        let letters = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
        (1..=Self::MAXIMUM_ID).contains(&text.len()) && text.bytes().all(letters)
    }

    /// Whether what the provider says of a sign-in counts as a second factor.
    pub fn vouches_for_two_factors(&self, amr: &[String], acr: Option<&str>) -> bool {
        amr.iter().any(|value| self.trusted_amr.contains(value))
            || acr.is_some_and(|acr| self.trusted_acr.iter().any(|one| one == acr))
    }
}
