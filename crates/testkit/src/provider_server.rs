//! An identity provider on loopback that does what a test says, wrong things above all. What a right one does is tested with a real one.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};

use portcullis_jose::{Algorithm, Jwks, Secret, SigningKey, digest, sign};
use portcullis_oauth::federation::{Provider, ProviderAuthentication};
use rustls_pki_types::{CertificateDer, PrivateKeyDer};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;

/// What this server is called at the provider.
pub const CLIENT_ID: &str = "portcullis";
/// Its secret there.
pub const CLIENT_SECRET: &str = "a secret & more";

/// The provider; its task ends with the runtime of the test.
#[derive(Clone)]
pub struct ProviderServer {
    /// Its certificate.
    pub certificate: CertificateDer<'static>,
    port: u16,
    state: Arc<Mutex<State>>,
}

struct State {
    keys: Vec<Arc<SigningKey>>,
    codes: HashMap<String, Issued>,
    overrides: HashMap<String, String>,
    calls: Vec<String>,
}

struct Issued {
    id_token: String,
    challenge: String,
    redirect_uri: String,
}

/// An authentication request as it arrived at the provider.
#[derive(Clone, Debug)]
pub struct Arrived {
    /// Its parameters.
    pub parameters: HashMap<String, String>,
}

impl Arrived {
    /// A parameter.
    pub fn get(&self, name: &str) -> &str {
        self.parameters.get(name).map(String::as_str).unwrap_or_default()
    }
}

impl ProviderServer {
    /// Starts it on a free port.
    pub async fn start() -> Self {
        let issued = rcgen::generate_simple_self_signed(vec!["localhost".to_owned()]).unwrap();
        let certificate = issued.cert.der().clone();
        let key = PrivateKeyDer::try_from(issued.signing_key.serialize_der()).unwrap();
        let crypto = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let config = rustls::ServerConfig::builder_with_provider(crypto).with_safe_default_protocol_versions().unwrap();
        let config = config.with_no_client_auth().with_single_cert(vec![certificate.clone()], key).unwrap();
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let keys = vec![Arc::new(SigningKey::generate(Algorithm::Es256).unwrap())];
        let state = State { keys, codes: HashMap::new(), overrides: HashMap::new(), calls: Vec::new() };
        let server = Self { certificate, port, state: Arc::new(Mutex::new(state)) };
        tokio::spawn(server.clone().serve(listener, TlsAcceptor::from(Arc::new(config))));
        server
    }

    /// Its issuer.
    pub fn issuer(&self) -> String {
        format!("https://localhost:{}", self.port)
    }

    /// `host:port`, as an operator exempts it.
    pub fn authority(&self) -> String {
        format!("localhost:{}", self.port)
    }

    /// This provider as an operator configures it.
    pub fn configured(&self) -> Provider {
        Provider {
            id: "elsewhere".into(),
            name: "Elsewhere".into(),
            issuer: self.issuer(),
            client_id: CLIENT_ID.into(),
            authentication: ProviderAuthentication::Secret(Secret::new(CLIENT_SECRET.into())),
            scopes: vec!["profile".into()],
            trusted_amr: vec!["mfa".into()],
            trusted_acr: Vec::new(),
            fhir_user_claim: Some("fhirUser".into()),
        }
    }

    /// A request that a browser brings.
    pub fn arrived(&self, location: &str) -> Arrived {
        let url = url::Url::parse(location).unwrap();
        assert_eq!(&url[..url::Position::AfterPath], format!("{}/auth", self.issuer()));
        Arrived { parameters: url.query_pairs().into_owned().collect() }
    }

    /// The claims of an honest id_token for this request at this time.
    pub fn claims(&self, arrived: &Arrived, subject: &str, now: i64) -> Value {
        json!({"iss": self.issuer(), "aud": CLIENT_ID, "sub": subject, "exp": now + 300, "iat": now, "auth_time": now, "nonce": arrived.get("nonce")})
    }

    /// Signs with the newest key.
    pub fn sign(&self, claims: &Value) -> String {
        let key = self.state.lock().unwrap().keys.last().unwrap().clone();
        sign(&key, "JWT", claims).unwrap()
    }

    /// Answers a request with a code for this id_token: the path and query that the browser goes back to.
    pub fn answer(&self, arrived: &Arrived, id_token: String) -> String {
        let mut state = self.state.lock().unwrap();
        let code = format!("code-{}", state.codes.len());
        let issued = Issued {
            id_token,
            challenge: arrived.get("code_challenge").into(),
            redirect_uri: arrived.get("redirect_uri").into(),
        };
        state.codes.insert(code.clone(), issued);
        let callback = url::Url::parse(arrived.get("redirect_uri")).unwrap().path().to_owned();
        let mut query = url::form_urlencoded::Serializer::new(String::new());
        query.append_pair("code", &code).append_pair("state", arrived.get("state")).append_pair("iss", &self.issuer());
        format!("{callback}?{}", query.finish())
    }

    /// Another signing key; `published` says whether the old one stays.
    pub fn roll_keys(&self, published: bool) {
        let mut state = self.state.lock().unwrap();
        if !published {
            state.keys.clear();
        }
        state.keys.push(Arc::new(SigningKey::generate(Algorithm::Es256).unwrap()));
    }

    /// What is answered to requests of this path from now on: a whole HTTP answer.
    pub fn say(&self, path: &str, status: &str, headers: &str, body: &str) {
        let text = format!("HTTP/1.1 {status}\r\ncontent-length: {}\r\n{headers}\r\n{body}", body.len());
        self.state.lock().unwrap().overrides.insert(path.to_owned(), text);
    }

    /// The paths that were asked for.
    pub fn calls(&self) -> Vec<String> {
        self.state.lock().unwrap().calls.clone()
    }

    async fn serve(self, listener: TcpListener, acceptor: TlsAcceptor) {
        while let Ok((stream, _)) = listener.accept().await {
            let (server, acceptor) = (self.clone(), acceptor.clone());
            tokio::spawn(async move {
                let Ok(mut stream) = acceptor.accept(stream).await else { return };
                let mut request = Vec::new();
                let mut chunk = [0; 4096];
                while !whole(&request) {
                    match stream.read(&mut chunk).await {
                        Ok(length @ 1..) => request.extend_from_slice(&chunk[..length]),
                        _ => return,
                    }
                }
                let answer = server.reply(&String::from_utf8_lossy(&request));
                let _ = stream.write_all(answer.as_bytes()).await;
                let _ = stream.shutdown().await;
            });
        }
    }

    fn reply(&self, request: &str) -> String {
        let path = request.split(' ').nth(1).unwrap_or_default().to_owned();
        let mut state = self.state.lock().unwrap();
        state.calls.push(path.clone());
        if let Some(text) = state.overrides.get(&path) {
            return text.clone();
        }
        let issuer = self.issuer();
        let (status, body) = match path.as_str() {
            "/.well-known/openid-configuration" => (
                200,
                json!({
                    "issuer": issuer, "authorization_endpoint": format!("{issuer}/auth"), "token_endpoint": format!("{issuer}/token"),
                    "jwks_uri": format!("{issuer}/jwks"), "authorization_response_iss_parameter_supported": true,
                }),
            ),
            "/jwks" => (200, Jwks::of(state.keys.iter().map(|key| &**key)).to_json()),
            "/token" => state.token(request),
            _ => (404, json!({})),
        };
        let body = body.to_string();
        format!("HTTP/1.1 {status} x\r\ncontent-length: {}\r\ncache-control: max-age=600\r\n\r\n{body}", body.len())
    }
}

impl State {
    /// As a strict provider: each code once, with the verifier, the redirect URI and the credentials.
    fn token(&mut self, request: &str) -> (u16, Value) {
        let refused = |error: &str| (400, json!({"error": error}));
        let (head, body) = request.split_once("\r\n\r\n").unwrap_or_default();
        let form: HashMap<String, String> = url::form_urlencoded::parse(body.as_bytes()).into_owned().collect();
        // portcullis:a+secret+%26+more
        if !head.contains("authorization: Basic cG9ydGN1bGxpczphK3NlY3JldCslMjYrbW9yZQ==") {
            return refused("invalid_client");
        }
        let get = |name: &str| form.get(name).map(String::as_str).unwrap_or_default();
        let Some(issued) = self.codes.remove(get("code")) else { return refused("invalid_grant") };
        if digest::sha256_base64url(get("code_verifier")) != issued.challenge || get("redirect_uri") != issued.redirect_uri {
            return refused("invalid_grant");
        }
        (200, json!({"access_token": "opaque", "token_type": "Bearer", "id_token": issued.id_token}))
    }
}

fn whole(request: &[u8]) -> bool {
    let text = String::from_utf8_lossy(request);
    let Some((head, body)) = text.split_once("\r\n\r\n") else { return false };
    let length = head
        .lines()
        .find_map(|line| line.to_lowercase().strip_prefix("content-length:").map(|rest| rest.trim().parse().unwrap_or(0)));
    body.len() >= length.unwrap_or(0usize)
}
