//! `portcullis clients ...`, as typed.

use std::path::PathBuf;

use clap::{Args, Subcommand};
use portcullis_oauth::clients::RegisteredClearance;

use super::{Listing, Target};

/// `clients ...`
#[derive(Debug, Subcommand)]
pub enum Clients {
    /// Register a client
    #[command(override_usage = "\
portcullis clients add [OPTIONS] --name <NAME> --scope <SCOPE>
           <--redirect-uri <URI>...|--jwks <FILE>|--jwks-uri <URL>>
           <--config <FILE>|--data-dir <DIR>>")]
    #[command(after_help = "\
Examples:
  portcullis clients add --name 'Growth chart' --data-dir DIR \\
    --redirect-uri https://app.example.org/callback \\
    --scope 'launch/patient openid fhirUser patient/Observation.rs'
  portcullis clients add --name 'Back office' --config FILE \\
    --confidential --redirect-uri https://... --scope ...
  portcullis clients add --name 'Night export' --config FILE \\
    --jwks public-keys.json --scope 'system/*.rs'")]
    Add(Box<ClientsAdd>),
    /// List the clients
    #[command(after_help = "\
Example:
  portcullis clients list --json --data-dir DIR")]
    List(Listing),
    /// Show everything that is registered about a client
    #[command(after_help = "\
Example:
  portcullis clients show growth-chart --json --data-dir DIR")]
    Show(ClientsShow),
    /// Change what is registered about a client
    #[command(after_help = "\
Examples:
  portcullis clients update growth-chart --data-dir DIR \\
    --scope 'launch/patient patient/Observation.rs' --verified
  portcullis clients update old-app --data-dir DIR --unset smart
  portcullis clients update back-office --data-dir DIR --new-secret

Lists (redirect URIs, origins, contacts) are replaced whole. Narrower scopes
count from the next refresh of a token; what was granted stays otherwise.
A client that registered itself is yours from then on: its own token changes
nothing any more.")]
    Update(Box<ClientsUpdate>),
    /// Make, list and take back tokens with which vendors register clients themselves
    #[command(after_help = "\
Examples:
  portcullis clients token add --name 'Growth Ltd' --config FILE
  portcullis clients token list --config FILE

They count where the configuration says: [clients] registration = \"token\"")]
    Token {
        /// What to do.
        #[command(subcommand)]
        command: ClientsToken,
    },
    /// Remove a client and everything that was granted to it
    #[command(after_help = "\
Example:
  portcullis clients remove growth-chart --data-dir DIR")]
    Remove(ClientsOne),
}

/// A clearance, checked before anything is sent.
fn clearance(text: &str) -> Result<String, String> {
    RegisteredClearance::parse(text).map(|clearance| clearance.to_string())
}

/// What can be registered about a client beside its name, its addresses, its scopes and its credentials.
#[derive(Debug, Default, Args)]
pub struct ClientMembers {
    /// An origin of its pages beside those of its redirect URIs; may be repeated
    #[arg(long, value_name = "ORIGIN")]
    pub origin: Vec<String>,
    /// authorization_code, refresh_token or client_credentials; may be repeated; otherwise it follows from the scopes
    #[arg(long, value_name = "TYPE", value_parser = ["authorization_code", "refresh_token", "client_credentials"])]
    pub grant_type: Vec<String>,
    /// web or native: a public client on a person's device may be sent back to by a scheme of its own, as com.example.app:/callback (RFC 8252)
    #[arg(long, value_name = "TYPE", value_parser = ["web", "native"])]
    pub application_type: Option<String>,
    /// Let a client of SMART 1.0 leave PKCE out (a risk: a stolen code is enough)
    #[arg(long, value_name = "VERSION", value_parser = ["1.0"])]
    pub smart: Option<String>,
    /// You verified who made it; the consent screen says so
    #[arg(long, value_name = "true|false", num_args = 0..=1, require_equals = true, default_missing_value = "true")]
    pub verified: Option<bool>,
    /// It protects resources, and may ask for the state of any token
    #[arg(long, value_name = "true|false", num_args = 0..=1, require_equals = true, default_missing_value = "true")]
    pub resource_server: Option<bool>,
    /// Its own tokens may manage clients
    #[arg(long, value_name = "true|false", num_args = 0..=1, require_equals = true, default_missing_value = "true")]
    pub administrator: Option<bool>,
    /// Its own tokens may ask why anybody could or could not see a record
    #[arg(long, value_name = "true|false", num_args = 0..=1, require_equals = true, default_missing_value = "true")]
    pub explains_decisions: Option<bool>,
    /// It is an EHR, and may make launches for other clients
    #[arg(long, value_name = "true|false", num_args = 0..=1, require_equals = true, default_missing_value = "true")]
    pub launcher: Option<bool>,
    /// A code of app state that it may query, modify or administer; may be repeated
    #[arg(long, value_name = "ACCESS=SYSTEM|CODE")]
    pub app_state: Vec<String>,
    /// Up to which security labels records may go to it, whoever uses it: N, R or V, then sensitivities, or * for all
    #[arg(long, value_name = "R,HIV,PSY", value_parser = clearance)]
    pub clearance: Option<String>,
    /// Its authorization requests must be pushed (RFC 9126)
    #[arg(long, value_name = "true|false", num_args = 0..=1, require_equals = true, default_missing_value = "true")]
    pub require_pushed_authorization_requests: Option<bool>,
    /// Its authorization requests must be signed (RFC 9101)
    #[arg(long, value_name = "true|false", num_args = 0..=1, require_equals = true, default_missing_value = "true")]
    pub require_signed_request_object: Option<bool>,
    /// Its token requests must come with a DPoP proof (RFC 9449)
    #[arg(long, value_name = "true|false", num_args = 0..=1, require_equals = true, default_missing_value = "true")]
    pub dpop_bound_access_tokens: Option<bool>,
    /// Its access tokens are bound to its certificate (RFC 8705)
    #[arg(long, value_name = "true|false", num_args = 0..=1, require_equals = true, default_missing_value = "true")]
    pub tls_client_certificate_bound_access_tokens: Option<bool>,
    /// It authenticates by the certificate that is the x5c of one of its keys, and by nothing else (RFC 8705)
    #[arg(long, value_name = "true|false", num_args = 0..=1, require_equals = true, default_missing_value = "true")]
    pub self_signed_tls_client_auth: Option<bool>,
    /// How strongly people must have signed in to let it in
    #[arg(long, value_name = "ACR", value_parser = ["http://idmanagement.gov/ns/assurance/aal/1", "http://idmanagement.gov/ns/assurance/aal/2", "phr"])]
    pub acr: Option<String>,
    /// What it asks for where its request has no acr_values; may be repeated, the preferred one first
    #[arg(long, value_name = "ACR")]
    pub default_acr_value: Vec<String>,
    /// It authenticates by a certificate with this subject (RFC 4514), of one of mutual_tls.client_authorities (RFC 8705)
    #[arg(long, value_name = "DN", group = "certificate_name")]
    pub tls_client_auth_subject_dn: Option<String>,
    /// The same by a DNS name in the certificate
    #[arg(long, value_name = "NAME", group = "certificate_name")]
    pub tls_client_auth_san_dns: Option<String>,
    /// The same by a URI in the certificate
    #[arg(long, value_name = "URI", group = "certificate_name")]
    pub tls_client_auth_san_uri: Option<String>,
    /// The same by an IP address in the certificate
    #[arg(long, value_name = "ADDRESS", group = "certificate_name")]
    pub tls_client_auth_san_ip: Option<String>,
    /// The same by a mail address in the certificate
    #[arg(long, value_name = "ADDRESS", group = "certificate_name")]
    pub tls_client_auth_san_email: Option<String>,
    /// How answers to its introspection requests are signed, where it asks for a JWT
    #[arg(long, value_name = "ALG", value_parser = ["RS256", "ES256"])]
    pub introspection_signed_response_alg: Option<String>,
    /// Its logo
    #[arg(long, value_name = "URL")]
    pub logo_uri: Option<String>,
    /// Its home page
    #[arg(long, value_name = "URL")]
    pub client_uri: Option<String>,
    /// What it does with data
    #[arg(long, value_name = "URL")]
    pub policy_uri: Option<String>,
    /// Its terms of service
    #[arg(long, value_name = "URL")]
    pub tos_uri: Option<String>,
    /// Where an EHR opens it; may be repeated
    #[arg(long, value_name = "URL")]
    pub launch_url: Vec<String>,
    /// A purpose of use (v3-ActReason) for which it may ask for data, such as TREAT; may be repeated, the usual one first; otherwise those of
    /// whoever it acts for
    #[arg(long, value_name = "CODE")]
    pub purpose: Vec<String>,
    /// A mail address of the people who make it; may be repeated
    #[arg(long, value_name = "ADDRESS")]
    pub contact: Vec<String>,
}

/// `clients add`
#[derive(Debug, Args)]
pub struct ClientsAdd {
    /// The name that people see
    #[arg(long)]
    pub name: String,
    /// The client id; chosen by the server where absent
    #[arg(long)]
    pub id: Option<String>,
    /// Where the browser may be sent back to; may be repeated
    #[arg(long, required_unless_present_any = ["jwks", "jwks_uri", "certificate_name"], value_name = "URI")]
    pub redirect_uri: Vec<String>,
    /// The scopes that it may ask for, separated by spaces
    #[arg(long)]
    pub scope: String,
    /// How it authenticates: public, confidential-symmetric or confidential-asymmetric; otherwise it follows from the options below
    #[arg(long, value_name = "KIND", value_parser = ["public", "confidential-symmetric", "confidential-asymmetric"])]
    pub kind: Option<String>,
    /// The JWK Set with the public keys that it signs with
    #[arg(long, value_name = "FILE", conflicts_with_all = ["jwks_uri", "confidential"])]
    pub jwks: Option<PathBuf>,
    /// The https address of that JWK Set
    #[arg(long, value_name = "URL", conflicts_with = "confidential")]
    pub jwks_uri: Option<String>,
    /// Give it a secret (printed once)
    #[arg(long)]
    pub confidential: bool,
    /// What else is registered.
    #[command(flatten)]
    pub members: ClientMembers,
    /// Which server.
    #[command(flatten)]
    pub target: Target,
    /// Print JSON
    #[arg(long)]
    pub json: bool,
}

/// `clients update`
#[derive(Debug, Args)]
pub struct ClientsUpdate {
    /// The client id
    pub id: String,
    /// The name that people see
    #[arg(long)]
    pub name: Option<String>,
    /// Where the browser may be sent back to; may be repeated
    #[arg(long, value_name = "URI")]
    pub redirect_uri: Vec<String>,
    /// The scopes that it may ask for, separated by spaces
    #[arg(long)]
    pub scope: Option<String>,
    /// How it authenticates from now on: public, or confidential-symmetric with a new secret
    #[arg(long, value_name = "KIND", value_parser = ["public", "confidential-symmetric"], conflicts_with_all = ["jwks", "jwks_uri"])]
    pub kind: Option<String>,
    /// The JWK Set with the public keys that it signs with
    #[arg(long, value_name = "FILE", conflicts_with = "jwks_uri")]
    pub jwks: Option<PathBuf>,
    /// The https address of that JWK Set
    #[arg(long, value_name = "URL")]
    pub jwks_uri: Option<String>,
    /// Give it another secret (printed once); the old one counts no more
    #[arg(long)]
    pub new_secret: bool,
    /// Take a member away, such as smart or logo_uri; may be repeated
    #[arg(long, value_name = "MEMBER")]
    pub unset: Vec<String>,
    /// What else is registered.
    #[command(flatten)]
    pub members: ClientMembers,
    /// Which server.
    #[command(flatten)]
    pub target: Target,
    /// Print JSON
    #[arg(long)]
    pub json: bool,
}

/// `clients token ...`
#[derive(Debug, Subcommand)]
pub enum ClientsToken {
    /// Make an initial access token (printed once)
    #[command(after_help = "\
Example:
  portcullis clients token add --name 'Growth Ltd' --uses 3 --config FILE")]
    Add {
        /// Whom it is for
        #[arg(long)]
        name: String,
        /// How many clients may be registered with it
        #[arg(long, value_name = "N", default_value_t = 1)]
        uses: u32,
        /// How many days it is good
        #[arg(long, value_name = "N", default_value_t = 7)]
        days: u32,
        /// Which server.
        #[command(flatten)]
        target: Target,
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
    /// List the tokens, without their values
    #[command(after_help = "\
Example:
  portcullis clients token list --config FILE")]
    List(Listing),
    /// Take a token back; clients that were registered with it stay
    #[command(after_help = "\
Example:
  portcullis clients token remove TOKEN_ID --config FILE")]
    Remove(ClientsTokenOne),
}

/// `clients token remove`
#[derive(Debug, Args)]
pub struct ClientsTokenOne {
    /// The token's id, as `clients token list` shows it
    #[arg(value_name = "TOKEN_ID")]
    pub id: String,
    /// Which server.
    #[command(flatten)]
    pub target: Target,
}

/// `clients remove`
#[derive(Debug, Args)]
pub struct ClientsOne {
    /// The client id
    pub id: String,
    /// Which server.
    #[command(flatten)]
    pub target: Target,
}

/// `clients show`
#[derive(Debug, Args)]
pub struct ClientsShow {
    /// The client id
    pub id: String,
    /// Which server.
    #[command(flatten)]
    pub target: Target,
    /// Print JSON
    #[arg(long)]
    pub json: bool,
}
