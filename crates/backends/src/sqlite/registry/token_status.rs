//! What holds about a token at this moment: one statement over grant, client and user, so that all three are of the same state.
//!
//! Nothing is cached: a revocation counts for every request that is received after it was acknowledged.

use portcullis_fhir::labels::Clearance;
use portcullis_oauth::access_token::{Subject, VerifiedToken};
use portcullis_oauth::clients::{GrantType, RegisteredClearance};
use portcullis_oauth::identifiers::{ClientId, UserId};
use portcullis_oauth::principal::{PrincipalUser, TokenFacts, TokenStatus};
use portcullis_oauth::purposes::{BrokenGlass, PurposeFacts, PurposeOfUse, RegisteredPurpose, narrowed};
use portcullis_oauth::scopes::ScopeSet;
use portcullis_store::StoreError;
use rusqlite::{Connection, Row, params};

use super::statements::{column, list, one, optional, parsed, unreadable};
use super::{representations, users};

const SQL: &str = "SELECT grant_.revoked_at, grant_.epoch, \
                   client.id AS client, json_extract(client.properties, '$.purposes') AS purposes, \
                   json_extract(client.properties, '$.clearance') AS clearance, user.id AS user, user.roles, user.fhir_user, user.patients, \
                   (SELECT coalesce(group_concat(patient || ' ' || valid_from || ' ' || coalesce(valid_until, '-') || ' ' || letters || ' ' || \
                   excluded, char(10)), '') FROM representation WHERE representation.user = user.id) AS represents, \
                   EXISTS (SELECT 1 FROM entitlement WHERE entitlement.user = user.id AND entitlement.kind = 'break-glass' AND ended_at IS NULL \
                   AND user.recovered_by IS NULL) AS may_break_glass, \
                   (SELECT coalesce(group_concat(patient || ' ' || ends_at, char(10)), '') FROM broken_glass WHERE broken_glass.user = user.id AND ended_at IS NULL AND ends_at > ?2) AS broken_glass \
                   FROM grant_ LEFT JOIN client ON client.id = grant_.client LEFT JOIN user ON user.id = grant_.user AND user.locked_at IS NULL WHERE grant_.id = ?1";

/// A client's own token: its registration stands in the place of a grant, and a token that was given back ends alone.
const CLIENT_SQL: &str = "SELECT client.id AS client, json_extract(client.properties, '$.purposes') AS purposes, \
                          json_extract(client.properties, '$.clearance') AS clearance, client.scope, client.grant_types, \
                          (SELECT purposes FROM token_purpose WHERE token = ?2) AS asserted, \
                          EXISTS (SELECT 1 FROM revoked_token WHERE revoked_token.id = ?2) AS revoked \
                          FROM client_key JOIN client ON client.id = client_key.client WHERE client_key.registration = ?1";

/// Reads the status of a token at a time in seconds since the epoch.
pub fn read(connection: &Connection, token: &VerifiedToken, now: i64) -> Result<TokenStatus, StoreError> {
    let facts = match token.subject() {
        Subject::User(_) => one(connection, SQL, params![token.grant().as_str(), now], |row| facts(row, token))?,
        Subject::Client(_) => {
            let keys = [token.grant().as_str(), token.token_id().as_str()];
            one(connection, CLIENT_SQL, keys, |row| client_facts(row, token))?
        }
    };
    Ok(TokenStatus::from_registry(facts.unwrap_or_else(|| TokenFacts {
        token_id: token.token_id().clone(),
        active: false,
        epoch: 0,
        client: None,
        user: None,
        purposes: PurposeFacts::default(),
        registered: None,
        clearance: Clearance::FULL,
    })))
}

fn client_facts(row: &Row<'_>, token: &VerifiedToken) -> Result<TokenFacts, StoreError> {
    let client = parsed(row, "client", ClientId::parse)?;
    let grant_types: Vec<GrantType> = list(row, "grant_types", ' ', GrantType::parse)?;
    let may_act = grant_types.contains(&GrantType::ClientCredentials) && !column::<bool>(row, "revoked")?;
    Ok(TokenFacts {
        token_id: token.token_id().clone(),
        active: may_act && client == *token.client(),
        epoch: 1,
        client: Some(client),
        user: None,
        purposes: PurposeFacts { client: client_purposes(row)?, ..PurposeFacts::default() },
        registered: Some(parsed(row, "scope", |text| ScopeSet::parse(text).ok())?.compiled()),
        clearance: clearance(row)?,
    })
}

fn facts(row: &Row<'_>, token: &VerifiedToken) -> Result<TokenFacts, StoreError> {
    let client = optional(row, "client", ClientId::parse)?;
    let user = match optional(row, "user", UserId::parse)? {
        None => None,
        Some(id) => Some(PrincipalUser {
            id,
            roles: users::roles(row)?,
            fhir_user: users::fhir_user(row)?,
            patients: users::patients(row)?,
            represents: representations::of_row(row)?,
        }),
    };
    let standing = column::<Option<i64>>(row, "revoked_at")?.is_none();
    let same_client = client.as_ref() == Some(token.client());
    let same_user = user.as_ref().is_some_and(|user| Some(&user.id) == token.user());
    Ok(TokenFacts {
        token_id: token.token_id().clone(),
        active: standing && same_client && same_user,
        epoch: column::<i64>(row, "epoch")?.try_into().map_err(|_| unreadable("epoch"))?,
        client,
        purposes: PurposeFacts {
            client: purposes(row)?,
            may_break_glass: column(row, "may_break_glass")?,
            broken_glass: list(row, "broken_glass", '\n', BrokenGlass::parse)?,
        },
        user,
        registered: None,
        clearance: clearance(row)?,
    })
}

/// Up to which labels records may go to the client; everything where its registration says nothing.
fn clearance(row: &Row<'_>) -> Result<Clearance, StoreError> {
    let Some(text) = column::<Option<String>>(row, "clearance")? else { return Ok(Clearance::FULL) };
    RegisteredClearance::parse(&text).map(|registered| registered.clearance()).map_err(|_| unreadable("clearance"))
}

/// The purposes for which a client asks on its own behalf: those of its registration, as far as its assertion named some.
fn client_purposes(row: &Row<'_>) -> Result<Vec<PurposeOfUse>, StoreError> {
    let registered = purposes(row)?;
    if column::<Option<String>>(row, "asserted")?.is_none() {
        return Ok(registered);
    }
    Ok(narrowed(&registered, &list(row, "asserted", ' ', PurposeOfUse::parse)?))
}

/// The purposes that the client is registered for.
fn purposes(row: &Row<'_>) -> Result<Vec<PurposeOfUse>, StoreError> {
    let Some(text) = column::<Option<String>>(row, "purposes")? else { return Ok(Vec::new()) };
    let registered: Vec<RegisteredPurpose> = serde_json::from_str(&text).map_err(|_| unreadable("purposes"))?;
    Ok(registered.into_iter().map(|RegisteredPurpose(purpose)| purpose).collect())
}
