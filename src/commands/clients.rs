//! `portcullis clients`: adds, lists, shows, changes and removes OAuth clients.

use std::path::Path;

use portcullis_oauth::clients::CertificateSubject;
use portcullis_server::admin::protocol::{ClientSummary, NewClient, NewClientKeys, Request, Response};
use portcullis_server::admin::{ClientDetails, ClientRequest, InitialToken};
use portcullis_server::authorization_server::developers::refusals::SandboxRefusal;
use serde_json::{Map, Value, json};

use super::channel::{Channel, unexpected};
use super::place::{Place, runtime};
use crate::args::{ClientMembers, ClientsAdd, ClientsOne, ClientsShow, ClientsToken, ClientsUpdate, Listing, Target};
use crate::failure::{Failure, Outcome};
use crate::terminal::{self, print_json};

/// How far the details of a client or user stand from the left, in characters.
pub const DETAIL_INDENT: usize = 4;

/// Asks the service one question.
pub fn ask(target: &Target, command: &str, request: Request) -> Outcome<Response> {
    let place = Place::of(target)?;
    runtime()?.block_on(async {
        let mut channel = Channel::open(&place, command).await?;
        let answer = channel.call(request).await;
        channel.close().await?;
        answer
    })
}

/// `clients add`
pub fn add(arguments: ClientsAdd) -> Outcome {
    let keys = keys(arguments.jwks.as_deref(), arguments.jwks_uri.as_deref())?;
    let secret = arguments.confidential || arguments.kind.as_deref() == Some("confidential-symmetric");
    let properties = members(&arguments.members);
    let named = CertificateSubject::MEMBERS.iter().any(|name| properties.contains_key(*name));
    if named && secret {
        return Err(Failure::usage("A client authenticates by a secret or by its certificate, not by both"));
    }
    let follows = match (&keys, secret) {
        _ if named => "confidential-asymmetric",
        (Some(_), _) => "confidential-asymmetric",
        (None, true) => "confidential-symmetric",
        (None, false) => "public",
    };
    if let Some(kind) = arguments.kind.as_deref().filter(|kind| *kind != follows) {
        return Err(Failure::usage(format!("A {kind} client does not fit the other options"))
            .advise("Public keys (--jwks or --jwks-uri) belong to a confidential-asymmetric client, and to no other."));
    }
    let client = NewClient {
        id: arguments.id,
        name: arguments.name,
        confidential: secret,
        keys,
        redirect_uris: arguments.redirect_uri,
        scope: arguments.scope,
        properties,
    };
    let Response::ClientAdded { id, secret } = ask(&arguments.target, "clients add", Request::AddClient(client))? else {
        return Err(unexpected());
    };
    if arguments.json {
        return print_json(&json!({ "client_id": id, "client_secret": secret.map(|secret| secret.0) }));
    }
    let mut text = format!("Client id      {id}\n");
    if let Some(secret) = secret {
        text.push_str(&format!(
            "Client secret  {}\n\nThe secret is shown this once: put it where the client reads its secrets.\n",
            secret.0
        ));
    }
    text.push('\n');
    text.push_str(&terminal::wrapped(
        &format!(
            "Put it into the app, with the FHIR address of this server. `portcullis clients show {id}` shows what is registered."
        ),
        0,
    ));
    terminal::print(&text)
}

/// The public keys that the arguments name.
fn keys(file: Option<&Path>, url: Option<&str>) -> Outcome<Option<NewClientKeys>> {
    if let Some(path) = file {
        let text = std::fs::read_to_string(path)
            .map_err(|error| Failure::usage(format!("{} cannot be read: {error}", path.display())))?;
        return Ok(Some(NewClientKeys::Jwks(text)));
    }
    Ok(url.map(|url| NewClientKeys::JwksUri(url.to_owned())))
}

/// The members that were given, by their names in the metadata of clients.
fn members(given: &ClientMembers) -> Map<String, Value> {
    let mut members = Map::new();
    for (name, list) in [
        ("origins", &given.origin),
        ("grant_types", &given.grant_type),
        ("launch_urls", &given.launch_url),
        ("contacts", &given.contact),
        ("purposes", &given.purpose),
        ("app_state", &given.app_state),
        ("default_acr_values", &given.default_acr_value),
    ] {
        if !list.is_empty() {
            members.insert(name.into(), json!(list));
        }
    }
    for (name, flag) in [
        ("verified", given.verified),
        ("resource_server", given.resource_server),
        ("administrator", given.administrator),
        ("explains_decisions", given.explains_decisions),
        ("launcher", given.launcher),
        ("require_pushed_authorization_requests", given.require_pushed_authorization_requests),
        ("require_signed_request_object", given.require_signed_request_object),
        ("dpop_bound_access_tokens", given.dpop_bound_access_tokens),
        ("tls_client_certificate_bound_access_tokens", given.tls_client_certificate_bound_access_tokens),
        ("self_signed_tls_client_auth", given.self_signed_tls_client_auth),
    ] {
        if let Some(flag) = flag {
            members.insert(name.into(), flag.into());
        }
    }
    for (name, text) in [
        ("application_type", &given.application_type),
        ("smart", &given.smart),
        ("required_acr", &given.acr),
        ("clearance", &given.clearance),
        ("tls_client_auth_subject_dn", &given.tls_client_auth_subject_dn),
        ("tls_client_auth_san_dns", &given.tls_client_auth_san_dns),
        ("tls_client_auth_san_uri", &given.tls_client_auth_san_uri),
        ("tls_client_auth_san_ip", &given.tls_client_auth_san_ip),
        ("tls_client_auth_san_email", &given.tls_client_auth_san_email),
        ("introspection_signed_response_alg", &given.introspection_signed_response_alg),
        ("logo_uri", &given.logo_uri),
        ("client_uri", &given.client_uri),
        ("policy_uri", &given.policy_uri),
        ("tos_uri", &given.tos_uri),
    ] {
        if let Some(text) = text {
            members.insert(name.into(), text.as_str().into());
        }
    }
    members
}

/// `clients show`
pub fn show(arguments: &ClientsShow) -> Outcome {
    let request = Request::Client(ClientRequest::Show { id: arguments.id.clone() });
    let Response::Client(details) = ask(&arguments.target, "clients show", request)? else { return Err(unexpected()) };
    tell(&details, arguments.json, "")
}

/// `clients update`
pub fn update(arguments: ClientsUpdate) -> Outcome {
    let mut changes = members(&arguments.members);
    for (name, text) in [("client_name", &arguments.name), ("scope", &arguments.scope)] {
        if let Some(text) = text {
            changes.insert(name.into(), text.as_str().into());
        }
    }
    if !arguments.redirect_uri.is_empty() {
        changes.insert("redirect_uris".into(), json!(arguments.redirect_uri));
    }
    if let Some(kind) = &arguments.kind {
        let method = if kind == "public" { "none" } else { "client_secret_basic" };
        changes.insert("token_endpoint_auth_method".into(), method.into());
    }
    match keys(arguments.jwks.as_deref(), arguments.jwks_uri.as_deref())? {
        None => {}
        Some(NewClientKeys::JwksUri(url)) => drop(changes.insert("jwks_uri".into(), url.into())),
        Some(NewClientKeys::Jwks(text)) => {
            let set = serde_json::from_str(&text).map_err(|error| Failure::usage(format!("The JWK Set is not JSON: {error}")))?;
            changes.insert("jwks".into(), set);
        }
    }
    if changes.contains_key("jwks") || changes.contains_key("jwks_uri") {
        changes.insert("token_endpoint_auth_method".into(), "private_key_jwt".into());
    }
    changes.extend(arguments.unset.into_iter().map(|name| (name, Value::Null)));
    if changes.is_empty() && !arguments.new_secret {
        return Err(Failure::usage("Nothing is to be changed").advise("`portcullis clients update --help` lists what can be."));
    }
    let request = Request::Client(ClientRequest::Update { id: arguments.id, changes, new_secret: arguments.new_secret });
    let Response::Client(details) = ask(&arguments.target, "clients update", request)? else { return Err(unexpected()) };
    tell(&details, arguments.json, "Changed. Above is what is registered now.")
}

/// Everything about a client: a line for each member, then what is a risk, then a secret that is told once, then what was done.
fn tell(details: &ClientDetails, json: bool, done: &str) -> Outcome {
    let secret = details.secret.as_ref().map(|secret| secret.0.as_str());
    if json {
        let mut members = details.metadata.clone();
        members.insert("risks".into(), json!(details.risks));
        if !details.refusals.is_empty() {
            members.insert("refusals".into(), json!(details.refusals));
        }
        if let Some(secret) = secret {
            members.insert("client_secret".into(), secret.into());
        }
        return print_json(&members);
    }
    let shown = |value: &Value| match value {
        Value::String(text) => text.clone(),
        Value::Array(items) if items.iter().all(Value::is_string) => {
            items.iter().filter_map(Value::as_str).collect::<Vec<_>>().join(" ")
        }
        other => other.to_string(),
    };
    let mut text = String::new();
    for (name, value) in &details.metadata {
        let value = match value.as_i64().filter(|_| name.ends_with("_at")) {
            Some(seconds) => terminal::minute(seconds),
            None => shown(value),
        };
        text.push_str(&format!("{name}\n{}", terminal::wrapped(&value, DETAIL_INDENT)));
    }
    text.push_str(&risks(&details.risks));
    text.push_str(&refusals(details));
    if let Some(secret) = secret {
        text.push_str(&format!(
            "client_secret\n    {secret}\n\nThe secret is shown this once: put it where the client reads its secrets.\n"
        ));
    }
    if !done.is_empty() {
        text.push_str(&format!("\n{done}\n"));
    }
    terminal::print(&text)
}

/// The last refusals of a sandbox client, with what its developer is told to change.
fn refusals(details: &ClientDetails) -> String {
    if details.refusals.is_empty() {
        return String::new();
    }
    let of = |refusal: &SandboxRefusal| {
        let SandboxRefusal { at, times, endpoint, code, wrong, remedy } = refusal;
        let when = terminal::minute(*at);
        terminal::wrapped(&format!("{when}, {times} x {endpoint}: {code}: {wrong}. {remedy}"), DETAIL_INDENT)
    };
    format!("last refusals\n{}", details.refusals.iter().map(of).collect::<String>())
}

/// What is a risk, a line each.
fn risks(risks: &[String]) -> String {
    risks.iter().map(|risk| terminal::wrapped(&format!("Risk: {risk}"), DETAIL_INDENT)).collect()
}

/// The risks of the clients of a server, a line each: for `config check`.
pub fn all_risks(target: &Target) -> Outcome<Vec<String>> {
    let Response::Clients(clients) = ask(target, "config check", Request::ListClients)? else { return Err(unexpected()) };
    let of = |client: &ClientSummary| -> Vec<String> {
        client.risks.iter().map(|risk| format!("client {}: {risk}", client.id)).collect()
    };
    Ok(clients.iter().flat_map(of).collect())
}

/// `clients list`
pub fn list(listing: &Listing) -> Outcome {
    let Response::Clients(clients) = ask(&listing.target, "clients list", Request::ListClients)? else {
        return Err(unexpected());
    };
    if listing.json {
        return print_json(&clients);
    }
    if clients.is_empty() {
        return terminal::print_line("There are no clients. `portcullis clients add` registers one.");
    }
    terminal::print(&format!("{}\n`portcullis clients show ID` shows everything about one of them.\n", text(&clients)))
}

/// One line for each client, and below it what is too long for a column.
fn text(clients: &[ClientSummary]) -> String {
    let rows: Vec<Vec<String>> =
        clients.iter().map(|client| vec![client.id.clone(), client.kind.clone(), client.name.clone()]).collect();
    let table = terminal::table(&["Client id", "Kind", "Name"], &rows);
    let mut lines = table.lines();
    let mut text = format!("{}\n", lines.next().unwrap_or_default());
    for (line, client) in lines.zip(clients) {
        text.push_str(&format!("{line}\n"));
        text.push_str(&terminal::wrapped(&client.redirect_uris.join(" "), DETAIL_INDENT));
        text.push_str(&terminal::wrapped(&client.scope, DETAIL_INDENT));
        text.push_str(&risks(&client.risks));
    }
    text
}

/// `clients token ...`
pub fn token(command: ClientsToken) -> Outcome {
    let tokens = |target: &Target, request| match ask(target, "clients token", Request::Client(request))? {
        Response::InitialTokens(tokens) => Ok(tokens),
        _ => Err(unexpected()),
    };
    match command {
        ClientsToken::Add { name, uses, days, target, json } => {
            let made = tokens(&target, ClientRequest::AddToken { name, uses, days })?;
            if json {
                return print_json(&made);
            }
            let text = |made: &InitialToken| {
                let token = made.token.as_ref().map_or("", |token| token.0.as_str());
                let ends = terminal::minute(made.expires_at);
                let said = "The token is shown this once. Give it to them over a channel that you trust: with it they register at /oauth/register.";
                format!("Token id  {}\nToken     {token}\nEnds      {ends}\n\n{}", made.id, terminal::wrapped(said, 0))
            };
            terminal::print(&made.iter().map(text).collect::<String>())
        }
        ClientsToken::List(listing) => {
            let found = tokens(&listing.target, ClientRequest::ListTokens)?;
            if listing.json {
                return print_json(&found);
            }
            if found.is_empty() {
                return terminal::print_line("There are no tokens. `portcullis clients token add` makes one.");
            }
            let row = |token: &InitialToken| {
                vec![token.id.clone(), token.uses_left.to_string(), terminal::minute(token.expires_at), token.name.clone()]
            };
            let rows: Vec<Vec<String>> = found.iter().map(row).collect();
            terminal::print(&terminal::table(&["Token id", "Uses left", "Ends", "For"], &rows))
        }
        ClientsToken::Remove(one) => {
            tokens(&one.target, ClientRequest::RemoveToken { id: one.id.clone() })?;
            terminal::print_line(&format!("Removed {}. Clients that were registered with it stay.", one.id))
        }
    }
}

/// `clients remove`
pub fn remove(arguments: &ClientsOne) -> Outcome {
    let Response::ClientRemoved = ask(&arguments.target, "clients remove", Request::RemoveClient { id: arguments.id.clone() })?
    else {
        return Err(unexpected());
    };
    terminal::print_line(&format!("Removed {} and everything that was granted to it.", arguments.id))
}
