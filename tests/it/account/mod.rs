//! How people get into their accounts: second factors, passkeys, sessions, links, locks.

mod browser;
mod developers;
mod enumeration;
mod history;
pub mod links;
mod own_consents;
pub mod passkeys;
mod recovery;
mod required_assurance;
mod required_by_role;
mod second_factor;
mod secrets_at_rest;
mod sessions;
mod step_up;
mod two_people;

use std::collections::BTreeMap;

use portcullis_audit::record::{Event, Outcome};
use portcullis_oauth::totp::TotpSecret;
use portcullis_testkit::Reply;
use portcullis_testkit::app::hidden;
use portcullis_testkit::server::PASSWORD;

use crate::fhir::World;

/// A browser that keeps cookies.
pub struct Visitor<'a> {
    pub world: &'a World,
    pub jar: BTreeMap<String, String>,
    pub agent: &'static str,
}

impl<'a> Visitor<'a> {
    pub fn new(world: &'a World) -> Self {
        Self { world, jar: BTreeMap::new(), agent: "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0" }
    }

    pub fn cookies(&self) -> String {
        self.jar.iter().map(|(name, value)| format!("{name}={value}")).collect::<Vec<_>>().join("; ")
    }

    fn keep(&mut self, reply: &Reply) {
        for set in reply.headers.get_all("set-cookie") {
            let (name, rest) = set.to_str().unwrap().split_once('=').unwrap();
            let value = rest.split(';').next().unwrap();
            if rest.contains("Max-Age=0") {
                self.jar.remove(name);
            } else {
                self.jar.insert(name.to_owned(), value.to_owned());
            }
        }
    }

    pub async fn get(&mut self, path: &str) -> Reply {
        // Refusals are recorded one by one up to a limit per second.
        let request = self.world.server.client.get(path).header("cookie", &self.cookies()).header("user-agent", self.agent);
        let reply = request.send().await;
        self.keep(&reply);
        reply
    }

    pub async fn post(&mut self, path: &str, fields: &[(&str, &str)]) -> Reply {
        let request = self.world.server.client.post(path).header("cookie", &self.cookies()).header("user-agent", self.agent);
        let reply = request.form(fields).send().await;
        self.keep(&reply);
        reply
    }

    /// Sends name and password from the sign-in page.
    pub async fn password(&mut self, username: &str, return_to: &str) -> Reply {
        let page = self.get(&format!("/login?return_to={return_to}")).await;
        let csrf = hidden(&page, "csrf");
        let fields = [("csrf", csrf.as_str()), ("return_to", return_to), ("username", username), ("password", PASSWORD)];
        self.post("/login", &fields).await
    }

    /// Signs in somebody who has no second factor.
    pub async fn sign_in(&mut self, username: &str) -> Reply {
        let reply = self.password(username, "/me").await;
        assert_eq!(reply.status, 303, "{}", reply.text());
        reply
    }

    /// Types a code into a second-factor page.
    pub async fn second(&mut self, page: &Reply, code: &str) -> Reply {
        let field = |name| in_form(page, "/login/second", name);
        let (csrf, pending, return_to) = (field("csrf"), field("pending"), field("return_to"));
        self.post("/login/second", &[("csrf", &csrf), ("pending", &pending), ("return_to", &return_to), ("code", code)]).await
    }

    /// Adds an authenticator app: its secret, and the recovery codes if any are shown.
    pub async fn add_authenticator(&mut self) -> (TotpSecret, Vec<String>) {
        let page = self.get("/me/authenticator").await;
        assert_eq!(page.status, 200, "{} {}", page.header("location"), page.text());
        let secret = TotpSecret::from_base32(&hidden(&page, "secret")).unwrap();
        let code = self.world.code(&secret);
        let added = self.authenticator_form(&page, &code).await;
        (secret, codes(&added))
    }

    pub async fn authenticator_form(&mut self, page: &Reply, code: &str) -> Reply {
        let field = |name| in_form(page, "/me/authenticator", name);
        let (csrf, secret, proof) = (field("csrf"), field("secret"), field("proof"));
        self.post("/me/authenticator", &[("csrf", &csrf), ("secret", &secret), ("proof", &proof), ("code", code)]).await
    }

    /// The form token of the own page.
    pub async fn own_csrf(&mut self) -> String {
        let page = self.get("/me").await;
        assert_eq!(page.status, 200, "{}", page.header("location"));
        hidden(&page, "csrf")
    }
}

impl World {
    /// The code that an authenticator app shows now.
    pub fn code(&self, secret: &TotpSecret) -> String {
        secret.code(self.server.server.clock.now_seconds() / 30)
    }

    /// The last record of this kind: how it ended and what it says.
    pub fn last(&self, event: Event) -> (Outcome, String) {
        // What waits in the outbox stands behind what is in the ledger: tests let a second pass where that matters.
        let of_kind = self.server.records().into_iter().filter(|record| record.event == event);
        let record = of_kind.max_by_key(|record| record.recorded).unwrap();
        (record.outcome, record.detail.unwrap_or_default())
    }
}

/// The value of a hidden field of the form that posts to this path.
pub fn in_form(page: &Reply, action: &str, name: &str) -> String {
    let text = page.text();
    let form = text.split(&format!("action=\"{action}\"")).nth(1).unwrap_or_else(|| panic!("no form {action}: {text}"));
    let tag = form.split("</form>").next().unwrap().split(&format!("name=\"{name}\" value=\"")).nth(1);
    let value = tag.unwrap_or_else(|| panic!("no field {name}: {text}")).split('"').next().unwrap();
    value.replace("&#38;", "&")
}

/// The recovery codes on a page.
pub fn codes(page: &Reply) -> Vec<String> {
    let text = page.text();
    text.split("<li><code>").skip(1).map(|rest| rest.split('<').next().unwrap().to_owned()).collect()
}
