//! A person with a browser who gives the demo app access: login form, consent form, code, token. The browser is curl with a cookie jar.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail, ensure};
use serde_json::Value;

/// The example of RFC 7636, appendix B.
const VERIFIER: &str = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk";
const CHALLENGE: &str = "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM";

/// What the app asks for.
const SCOPES: &[&str] = &["launch/patient", "openid", "fhirUser", "patient/Patient.rs", "patient/Observation.rs"];
/// The role of a patient in `demo.json`.
const PATIENT: &str = "patient";

/// What a demo's `demo.json` says about its first patient and its app.
#[derive(Clone, Debug)]
pub struct Person {
    issuer: String,
    fhir_base: String,
    username: String,
    password: String,
    client: String,
    /// What the client authenticates with, where it is not public: `id:secret`.
    credentials: Option<String>,
    redirect_uri: String,
    /// The patient whom the person is, where it is one.
    pub patient: String,
    /// The certificate to trust.
    pub authority: PathBuf,
    jar: PathBuf,
}

/// One answer.
struct Reply {
    status: String,
    location: String,
    body: String,
}

impl Person {
    /// Reads the first patient from `demo.json`, with the demo app.
    pub fn read(directory: &Path) -> Result<Self> {
        Self::of_role(directory, PATIENT, "public")
    }

    /// Reads the first person with a role from `demo.json`, with a client of a kind.
    pub fn of_role(directory: &Path, role: &str, kind: &str) -> Result<Self> {
        let description: Value = serde_json::from_slice(&std::fs::read(directory.join("demo.json"))?)?;
        let text = |pointer: &str| -> Result<String> {
            Ok(description
                .pointer(pointer)
                .and_then(Value::as_str)
                .with_context(|| format!("demo.json has no {pointer}"))?
                .to_owned())
        };
        let all = |name: &str| description.get(name).and_then(Value::as_array).cloned().unwrap_or_default();
        let has_role = |user: &&Value| user.pointer("/roles/0").and_then(Value::as_str) == Some(role);
        let users = all("users");
        let user = users.iter().find(has_role).with_context(|| format!("demo.json has no {role}"))?;
        let clients = all("clients");
        let is_of_kind = |client: &&Value| client.get("kind").and_then(Value::as_str) == Some(kind);
        let client = clients.iter().find(is_of_kind).with_context(|| format!("demo.json has no {kind} client"))?;
        let member = |value: &Value, pointer: &str| value.pointer(pointer).and_then(Value::as_str).unwrap_or_default().to_owned();
        Ok(Self {
            issuer: text("/issuer")?,
            fhir_base: text("/fhir_base")?,
            username: member(user, "/username"),
            password: member(user, "/password"),
            patient: member(user, "/fhir_user").trim_start_matches("Patient/").to_owned(),
            client: member(client, "/client_id"),
            credentials: client
                .get("client_secret")
                .and_then(Value::as_str)
                .map(|secret| format!("{}:{secret}", member(client, "/client_id"))),
            redirect_uri: member(client, "/redirect_uris/0"),
            authority: directory.join(text("/ca_pem")?),
            jar: directory.join("bench-cookies"),
        })
    }

    /// Name and password.
    pub fn credentials(&self) -> [&str; 2] {
        [&self.username, &self.password]
    }

    /// Whether the server is meant to be on this port.
    pub fn is_at(&self, port: u16) -> bool {
        self.issuer.ends_with(&format!(":{port}"))
    }

    /// Whether the server answers.
    pub fn is_served(&self) -> bool {
        self.curl(&[], &format!("{}/metadata", self.fhir_base)).is_ok_and(|reply| reply.status == "200")
    }

    /// The whole flow: an access token for the person's own record.
    pub fn access_token(&self) -> Result<String> {
        self.access_token_for(SCOPES)
    }

    /// The whole flow, with everything ticked: an access token for these scopes.
    pub fn access_token_for(&self, scopes: &[&str]) -> Result<String> {
        let _ = std::fs::remove_file(&self.jar);
        let encode = |text: &str| text.bytes().map(encoded).collect::<String>();
        let query: Vec<String> = [
            ("response_type", "code"),
            ("client_id", &self.client),
            ("redirect_uri", &self.redirect_uri),
            ("scope", &scopes.join(" ")),
            ("state", "state-of-at-least-122-bits"),
            ("aud", &self.fhir_base),
            ("code_challenge", CHALLENGE),
            ("code_challenge_method", "S256"),
        ]
        .map(|(name, value)| format!("{name}={}", encode(value)))
        .to_vec();
        let path = format!("/oauth/authorize?{}", query.join("&"));
        let login = self.curl(&[], &format!("{}{path}", self.issuer))?;
        let csrf = hidden(&login.body, "csrf")?;
        let fields = [("csrf", csrf.as_str()), ("return_to", &path), ("username", &self.username), ("password", &self.password)];
        let signed_in = self.post("/login", &fields)?;
        ensure!(signed_in.status == "303", "sign-in answered {}", signed_in.status);
        let consent = self.curl(&[], &self.absolute(&signed_in.location))?;
        let (csrf, request) = (hidden(&consent.body, "csrf")?, hidden(&consent.body, "request")?);
        let mut fields = vec![("csrf", csrf.as_str()), ("request", request.as_str()), ("decision", "allow")];
        fields.extend(scopes.iter().map(|scope| ("scope", *scope)));
        let back = self.post("/consent", &fields)?;
        let code = back.location.split(['?', '&']).find_map(|pair| pair.strip_prefix("code="));
        let code = code.with_context(|| format!("consent answered {} {}", back.status, back.location))?;
        let mut fields = vec![
            ("grant_type", "authorization_code"),
            ("code", code),
            ("redirect_uri", self.redirect_uri.as_str()),
            ("code_verifier", VERIFIER),
        ];
        let token = match &self.credentials {
            Some(credentials) => self.post_as(&["--user", credentials], "/oauth/token", &fields)?,
            None => {
                fields.push(("client_id", &self.client));
                self.post("/oauth/token", &fields)?
            }
        };
        let token: Value = serde_json::from_str(&token.body).context("the token endpoint sent no JSON")?;
        Ok(token.get("access_token").and_then(Value::as_str).with_context(|| format!("no access token: {token}"))?.to_owned())
    }

    /// The body of a resource, with a token.
    pub fn fetch(&self, path: &str, token: &str) -> Result<String> {
        let reply = self.curl(&["-H", &format!("Authorization: Bearer {token}")], &format!("{}/{path}", self.fhir_base))?;
        ensure!(reply.status == "200", "GET {path} answered {}: {}", reply.status, reply.body);
        Ok(reply.body)
    }

    fn absolute(&self, location: &str) -> String {
        if location.starts_with('/') { format!("{}{location}", self.issuer) } else { location.to_owned() }
    }

    fn post(&self, path: &str, fields: &[(&str, &str)]) -> Result<Reply> {
        self.post_as(&[], path, fields)
    }

    fn post_as(&self, authentication: &[&str], path: &str, fields: &[(&str, &str)]) -> Result<Reply> {
        let fields: Vec<String> = fields.iter().map(|(name, value)| format!("{name}={value}")).collect();
        let fields = fields.iter().flat_map(|field| ["--data-urlencode", field.as_str()]);
        let arguments: Vec<&str> = authentication.iter().copied().chain(fields).collect();
        self.curl(&arguments, &format!("{}{path}", self.issuer))
    }

    fn curl(&self, arguments: &[&str], url: &str) -> Result<Reply> {
        let output = Command::new("curl")
            .args(["--silent", "--show-error", "--max-time", "20", "--cacert"])
            .arg(&self.authority)
            .arg("--cookie")
            .arg(&self.jar)
            .arg("--cookie-jar")
            .arg(&self.jar)
            .args(["--write-out", "\n%{http_code} %header{location}"])
            .args(arguments)
            .arg(url)
            .stdin(Stdio::null())
            .output()
            .context("cannot start curl")?;
        if !output.status.success() {
            bail!("curl {url}: {}", String::from_utf8_lossy(&output.stderr).trim());
        }
        let text = String::from_utf8(output.stdout)?;
        let (body, last) = text.rsplit_once('\n').context("curl said nothing")?;
        let (status, location) = last.split_once(' ').unwrap_or((last, ""));
        Ok(Reply { status: status.to_owned(), location: location.to_owned(), body: body.to_owned() })
    }
}

fn encoded(byte: u8) -> String {
    if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) { char::from(byte).to_string() } else { format!("%{byte:02X}") }
}

/// The value of a hidden field.
fn hidden(page: &str, name: &str) -> Result<String> {
    let marker = format!("name=\"{name}\"");
    let tag = page.split('<').find(|tag| tag.starts_with("input") && tag.contains(&marker));
    let tag = tag.with_context(|| format!("the page has no field {name}: {page}"))?;
    let value = tag.split("value=\"").nth(1).and_then(|rest| rest.split('"').next()).unwrap_or_default();
    Ok(unescaped(value))
}

/// A text of HTML without its character references, as far as our pages use them.
fn unescaped(text: &str) -> String {
    let mut parts = text.split('&');
    let mut plain = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let (name, rest) = part.split_once(';').unwrap_or((part, ""));
        let digits = name.strip_prefix('#').unwrap_or_default();
        let code = match digits.strip_prefix(['x', 'X']) {
            Some(hexadecimal) => u32::from_str_radix(hexadecimal, 16).ok(),
            None => digits.parse().ok(),
        };
        let named = match name {
            "amp" => Some('&'),
            "lt" => Some('<'),
            "gt" => Some('>'),
            "quot" => Some('"'),
            _ => code.and_then(char::from_u32),
        };
        match named {
            Some(character) => plain.push(character),
            None => plain.push_str(&format!("&{name};")),
        }
        plain.push_str(rest);
    }
    plain
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hidden_fields_are_read_without_their_character_references() {
        let page =
            "<form><input type=\"hidden\" name=\"request\" value=\"p&#10;a=1&#38;b=&quot;2&amp;3\"><input name=\"x\" value=\"\">";
        assert_eq!(hidden(page, "request").unwrap(), "p\na=1&b=\"2&3");
        assert_eq!(hidden(page, "x").unwrap(), "");
        assert!(hidden(page, "y").is_err());
    }
}
