//! `portcullis clients`: adds, lists and removes OAuth clients.

use portcullis_server::admin::protocol::{ClientSummary, NewClient, NewClientKeys, Request, Response};
use serde_json::json;

use super::channel::{Channel, unexpected};
use super::place::{Place, runtime};
use crate::args::{ClientsAdd, ClientsRemove, Listing, Target};
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
    let keys = keys(&arguments)?;
    let secret = arguments.confidential || arguments.kind.as_deref() == Some("confidential-symmetric");
    let follows = match (&keys, secret) {
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
    terminal::print(&text)
}

/// The public keys that the arguments name.
fn keys(arguments: &ClientsAdd) -> Outcome<Option<NewClientKeys>> {
    if let Some(path) = &arguments.jwks {
        let text = std::fs::read_to_string(path)
            .map_err(|error| Failure::usage(format!("{} cannot be read: {error}", path.display())))?;
        return Ok(Some(NewClientKeys::Jwks(text)));
    }
    Ok(arguments.jwks_uri.clone().map(NewClientKeys::JwksUri))
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
    terminal::print(&text(&clients))
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
    }
    text
}

/// `clients remove`
pub fn remove(arguments: &ClientsRemove) -> Outcome {
    let Response::ClientRemoved = ask(&arguments.target, "clients remove", Request::RemoveClient { id: arguments.id.clone() })?
    else {
        return Err(unexpected());
    };
    terminal::print_line(&format!("Removed {} and everything that was granted to it.", arguments.id))
}
