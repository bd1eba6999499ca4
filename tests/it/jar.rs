//! A browser that keeps cookies and follows nothing.

use std::collections::BTreeMap;

use portcullis_testkit::{Client, Reply};

/// Cookies of one server.
#[derive(Clone)]
pub struct Jar<'a> {
    /// The server.
    pub client: &'a Client,
    /// The cookies by name.
    pub cookies: BTreeMap<String, String>,
}

impl<'a> Jar<'a> {
    /// An empty one.
    pub fn new(client: &'a Client) -> Self {
        Self { client, cookies: BTreeMap::new() }
    }

    fn header(&self) -> String {
        self.cookies.iter().map(|(name, value)| format!("{name}={value}")).collect::<Vec<_>>().join("; ")
    }

    fn keep(&mut self, reply: &Reply) {
        for header in reply.headers.get_all("set-cookie") {
            let text = header.to_str().unwrap();
            let (name, value) = text.split(';').next().unwrap().split_once('=').unwrap();
            if text.contains("Max-Age=0") || value.is_empty() {
                self.cookies.remove(name);
            } else {
                self.cookies.insert(name.to_owned(), value.to_owned());
            }
        }
    }

    /// GET
    pub async fn get(&mut self, path: &str) -> Reply {
        let reply = self.client.get(path).header("cookie", &self.header()).send().await;
        self.keep(&reply);
        reply
    }

    /// POST of a form
    pub async fn post(&mut self, path: &str, fields: &[(&str, &str)]) -> Reply {
        let reply = self.client.post(path).header("cookie", &self.header()).form(fields).send().await;
        self.keep(&reply);
        reply
    }

    /// Signs in with a password; the reply is that to the form.
    pub async fn sign_in(&mut self, username: &str, password: &str) -> Reply {
        let page = self.get("/login?return_to=/me").await;
        let csrf = portcullis_testkit::app::hidden(&page, "csrf");
        self.post("/login", &[("csrf", csrf.as_str()), ("return_to", "/me"), ("username", username), ("password", password)])
            .await
    }

    /// Whether a session's cookie is there.
    pub fn is_signed_in(&self) -> bool {
        self.cookies.contains_key("__Host-portcullis-session")
    }
}
