//! What a provider says of itself (OpenID Connect Discovery 1.0 section 3), as far as it is needed.

use portcullis_jose::json::parse_object;
use serde_json::Value;
use url::Url;

/// The longest endpoint, in bytes.
const MAXIMUM_URL: usize = 2048;

/// A provider's discovery document. Its issuer is compared by whoever asked for it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProviderMetadata {
    /// `issuer`.
    pub issuer: String,
    /// Where the browser goes.
    pub authorization_endpoint: Url,
    /// Where codes are exchanged.
    pub token_endpoint: String,
    /// Its keys.
    pub jwks_uri: String,
    /// Whether its answers name it (RFC 9207).
    pub names_itself: bool,
    /// Whether its token endpoint takes a secret in the form and not in a header.
    pub secret_in_form: bool,
}

impl ProviderMetadata {
    /// Where the document of an issuer is (section 4): a slash at the end of the issuer does not count.
    pub fn url(issuer: &str) -> String {
        format!("{}/.well-known/openid-configuration", issuer.strip_suffix('/').unwrap_or(issuer))
    }

    /// Reads a document; `None` where it is none, or has endpoints that are no https URLs.
    pub fn parse(bytes: &[u8]) -> Option<Self> {
        let document = parse_object(bytes).ok()?;
        let text = |name: &str| document.get(name).and_then(Value::as_str);
        let endpoint = |name: &str| {
            let url = Url::parse(text(name).filter(|text| text.len() <= MAXIMUM_URL)?).ok()?;
            let plain = url.scheme() == "https" && url.has_host() && url.username().is_empty() && url.password().is_none();
            (plain && url.fragment().is_none()).then_some(url)
        };
        let methods = document.get("token_endpoint_auth_methods_supported").and_then(Value::as_array);
        let offers = |name: &str| methods.is_some_and(|methods| methods.iter().any(|method| method.as_str() == Some(name)));
        Some(Self {
            issuer: text("issuer")?.to_owned(),
            authorization_endpoint: endpoint("authorization_endpoint")?,
            token_endpoint: endpoint("token_endpoint")?.into(),
            jwks_uri: endpoint("jwks_uri")?.into(),
            names_itself: document.get("authorization_response_iss_parameter_supported").and_then(Value::as_bool) == Some(true),
            // Where nothing is said, it is a header (section 3).
            secret_in_form: offers("client_secret_post") && !offers("client_secret_basic"),
        })
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn document() -> Value {
        json!({
            "issuer": "https://login.example",
            "authorization_endpoint": "https://login.example/auth?tenant=1",
            "token_endpoint": "https://login.example/token",
            "jwks_uri": "https://login.example/jwks",
            "authorization_response_iss_parameter_supported": true,
        })
    }

    fn read(document: &Value) -> Option<ProviderMetadata> {
        ProviderMetadata::parse(document.to_string().as_bytes())
    }

    #[test]
    fn a_document_without_https_endpoints_is_refused() {
        assert!(read(&document()).unwrap().names_itself);
        for name in ["issuer", "authorization_endpoint", "token_endpoint", "jwks_uri"] {
            for value in [Value::Null, json!(1)] {
                let mut other = document();
                other[name] = value;
                assert_eq!(read(&other), None, "{name}");
            }
        }
        for url in [
            "http://login.example/auth",
            "javascript:alert(1)",
            "https://u:p@login.example/",
            "https://login.example/#f",
            "/auth",
            "",
        ] {
            let mut other = document();
            other["authorization_endpoint"] = json!(url);
            assert_eq!(read(&other), None, "{url}");
        }
        for text in ["", "[]", "{", r#"{"issuer":"a","issuer":"b"}"#] {
            assert_eq!(ProviderMetadata::parse(text.as_bytes()), None, "{text}");
        }
    }

    #[test]
    fn a_secret_goes_into_the_form_only_where_no_header_is_taken() {
        for (methods, form) in [
            (json!(["client_secret_post"]), true),
            (json!(["client_secret_basic", "client_secret_post"]), false),
            (json!(["private_key_jwt"]), false),
            (Value::Null, false),
        ] {
            let mut other = document();
            other["token_endpoint_auth_methods_supported"] = methods;
            assert_eq!(read(&other).unwrap().secret_in_form, form);
        }
        assert_eq!(ProviderMetadata::url("https://a.example/x/"), "https://a.example/x/.well-known/openid-configuration");
    }
}
