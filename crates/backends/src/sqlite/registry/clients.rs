//! Clients, and the origins of their pages.

use portcullis_oauth::clients::{Client, ClientKind, ClientSecretHash, GrantType, KeySource};
use portcullis_oauth::identifiers::{ClientId, GrantId, UserId};
use portcullis_oauth::redirect_uri::RedirectUri;
use portcullis_oauth::scopes::ScopeSet;
use portcullis_store::StoreError;
use rusqlite::{Connection, Row, params};

use super::registrations;
use super::statements::{all as rows, column, conflict, execute, exists, list, one, optional, parsed, unreadable};

/// Everything about clients, before a WHERE or ORDER BY.
const SELECT: &str = "SELECT client.*, client_key.registration, client_key.jwks, client_key.jwks_uri \
                      FROM client LEFT JOIN client_key ON client_key.client = client.id";

/// Adds a client whose id is free.
pub fn add(connection: &Connection, client: &Client) -> Result<(), StoreError> {
    if is_known(connection, &client.id)? {
        return Err(conflict("the client id is taken"));
    }
    write(connection, client)
}

/// Replaces all of a client but its id and the time of its registration.
pub fn replace(connection: &Connection, client: &Client) -> Result<(), StoreError> {
    if !is_known(connection, &client.id)? {
        return Err(conflict("the client is unknown"));
    }
    write(connection, client)
}

/// Removes a client and its origins.
pub fn remove(connection: &Connection, id: &ClientId) -> Result<(), StoreError> {
    match execute(connection, "DELETE FROM client WHERE id = ?1", [id.as_str()])? {
        0 => Err(conflict("the client is unknown")),
        _ => registrations::end(connection, id),
    }
}

/// Whether there is such a client.
pub fn is_known(connection: &Connection, id: &ClientId) -> Result<bool, StoreError> {
    exists(connection, "SELECT 1 FROM client WHERE id = ?1", [id.as_str()])
}

/// A client.
pub fn by_id(connection: &Connection, id: &ClientId) -> Result<Option<Client>, StoreError> {
    one(connection, &format!("{SELECT} WHERE client.id = ?1"), [id.as_str()], client)
}

/// All clients, by id.
pub fn all(connection: &Connection) -> Result<Vec<Client>, StoreError> {
    rows(connection, &format!("{SELECT} ORDER BY client.id"), [], client)
}

/// The sandbox clients of a person, the oldest first.
pub fn of_owner(connection: &Connection, owner: &UserId) -> Result<Vec<Client>, StoreError> {
    let sql = format!("{SELECT} WHERE json_extract(client.properties, '$.owner') = ?1 ORDER BY client.created_at, client.id");
    rows(connection, &sql, [owner.as_str()], client)
}

/// Whether a client is a sandbox client of this person.
pub fn is_owned(connection: &Connection, id: &ClientId, owner: &UserId) -> Result<bool, StoreError> {
    let sql = "SELECT 1 FROM client WHERE id = ?1 AND json_extract(properties, '$.owner') = ?2";
    exists(connection, sql, [id.as_str(), owner.as_str()])
}

/// Whether a redirect URI of a client has this origin.
pub fn origin_registered(connection: &Connection, origin: &str) -> Result<bool, StoreError> {
    exists(connection, "SELECT 1 FROM client_origin WHERE origin = ?1", [origin])
}

fn write(connection: &Connection, client: &Client) -> Result<(), StoreError> {
    let secret_hash = match &client.kind {
        ClientKind::Public | ClientKind::ConfidentialAsymmetric { .. } => None,
        ClientKind::ConfidentialSymmetric { secret_hash } => Some(secret_hash.as_bytes().as_slice()),
    };
    let redirect_uris: Vec<&str> = client.redirect_uris.iter().map(RedirectUri::as_str).collect();
    let grant_types: Vec<&str> = client.grant_types.iter().map(|grant_type| grant_type.as_str()).collect();
    let properties = serde_json::to_string(&client.properties).map_err(|_| unreadable("properties"))?;
    let sql = "INSERT INTO client (id, name, kind, secret_hash, redirect_uris, scope, grant_types, created_at, properties) \
               VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9) ON CONFLICT (id) DO UPDATE SET name = excluded.name, kind = excluded.kind, \
               secret_hash = excluded.secret_hash, redirect_uris = excluded.redirect_uris, scope = excluded.scope, \
               grant_types = excluded.grant_types, properties = excluded.properties";
    let row = params![
        client.id.as_str(),
        client.name,
        client.kind.as_str(),
        secret_hash,
        redirect_uris.join("\n"),
        client.scope.to_string(),
        grant_types.join(" "),
        client.created_at,
        properties,
    ];
    execute(connection, sql, row)?;
    write_keys(connection, client)?;
    execute(connection, "DELETE FROM client_origin WHERE client = ?1", [client.id.as_str()])?;
    let sql = "INSERT INTO client_origin (origin, client) VALUES (?1, ?2) ON CONFLICT DO NOTHING";
    client.origins().try_for_each(|origin| execute(connection, sql, [origin, client.id.as_str()]).map(|_| ()))
}

fn write_keys(connection: &Connection, client: &Client) -> Result<(), StoreError> {
    let ClientKind::ConfidentialAsymmetric { registration, keys } = &client.kind else {
        return execute(connection, "DELETE FROM client_key WHERE client = ?1", [client.id.as_str()]).map(|_| ());
    };
    let (set, url) = match keys {
        KeySource::Value(set) => (Some(set), None),
        KeySource::Url(url) => (None, Some(url)),
    };
    let sql = "INSERT INTO client_key (client, registration, jwks, jwks_uri) VALUES (?1, ?2, ?3, ?4) ON CONFLICT (client) DO UPDATE \
               SET registration = excluded.registration, jwks = excluded.jwks, jwks_uri = excluded.jwks_uri";
    execute(connection, sql, params![client.id.as_str(), registration.as_str(), set, url]).map(|_| ())
}

fn client(row: &Row<'_>) -> Result<Client, StoreError> {
    let registration = optional(row, "registration", GrantId::parse)?;
    let kind = match (column::<Option<[u8; 32]>>(row, "secret_hash")?, registration) {
        (None, None) => ClientKind::Public,
        (Some(hash), None) => ClientKind::ConfidentialSymmetric { secret_hash: ClientSecretHash::from_bytes(hash) },
        (None, Some(registration)) => ClientKind::ConfidentialAsymmetric { registration, keys: keys(row)? },
        (Some(_), Some(_)) => return Err(unreadable("kind")),
    };
    if column::<String>(row, "kind")? != kind.as_str() {
        return Err(unreadable("kind"));
    }
    Ok(Client {
        id: parsed(row, "id", ClientId::parse)?,
        name: column(row, "name")?,
        kind,
        redirect_uris: list(row, "redirect_uris", '\n', |text| RedirectUri::parse(text).ok())?,
        scope: parsed(row, "scope", |text| ScopeSet::parse(text).ok())?,
        grant_types: list(row, "grant_types", ' ', GrantType::parse)?,
        created_at: column(row, "created_at")?,
        properties: parsed(row, "properties", |text| serde_json::from_str(text).ok())?,
    })
}

/// What was stored passed the checks of a registration; it is checked again when the keys are used.
fn keys(row: &Row<'_>) -> Result<KeySource, StoreError> {
    match (column::<Option<Box<str>>>(row, "jwks")?, column::<Option<Box<str>>>(row, "jwks_uri")?) {
        (Some(set), None) => Ok(KeySource::Value(set)),
        (None, Some(url)) => Ok(KeySource::Url(url)),
        _ => Err(unreadable("jwks")),
    }
}
