//! What holds about a token at this moment: one statement over grant, client and user, so that all three are of the same state.
//!
//! Nothing is cached: a revocation counts for every request that is received after it was acknowledged.

use portcullis_oauth::access_token::{Subject, VerifiedToken};
use portcullis_oauth::clients::GrantType;
use portcullis_oauth::identifiers::{ClientId, UserId};
use portcullis_oauth::principal::{PrincipalUser, PurposeOfUse, TokenFacts, TokenStatus};
use portcullis_oauth::scopes::ScopeSet;
use portcullis_oauth::users::{Role, Roles};
use portcullis_store::StoreError;
use rusqlite::{Connection, Row};

use super::statements::{column, list, one, optional, parsed, unreadable};
use super::{representations, users};

const SQL: &str = "SELECT grant_.revoked_at, grant_.epoch, \
                   client.id AS client, user.id AS user, user.roles, user.fhir_user, user.patients, \
                   (SELECT coalesce(group_concat(patient || ' ' || valid_from || ' ' || coalesce(valid_until, '-') || ' ' || letters || ' ' || \
                   excluded, char(10)), '') FROM representation WHERE representation.user = user.id) AS represents \
                   FROM grant_ LEFT JOIN client ON client.id = grant_.client LEFT JOIN user ON user.id = grant_.user AND user.locked_at IS NULL WHERE grant_.id = ?1";

/// A client's own token: its registration stands in the place of a grant, and a token that was given back ends alone.
const CLIENT_SQL: &str = "SELECT client.id AS client, client.scope, client.grant_types, \
                          EXISTS (SELECT 1 FROM revoked_token WHERE revoked_token.id = ?2) AS revoked \
                          FROM client_key JOIN client ON client.id = client_key.client WHERE client_key.registration = ?1";

/// Reads the status of a token.
pub fn read(connection: &Connection, token: &VerifiedToken) -> Result<TokenStatus, StoreError> {
    let facts = match token.subject() {
        Subject::User(_) => one(connection, SQL, [token.grant().as_str()], |row| facts(row, token))?,
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
        purpose_of_use: None,
        registered: None,
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
        purpose_of_use: Some(PurposeOfUse::Operations),
        registered: Some(parsed(row, "scope", |text| ScopeSet::parse(text).ok())?.compiled()),
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
        purpose_of_use: user.as_ref().map(|user| purpose_of_use(user.roles)),
        user,
        registered: None,
    })
}

/// The purpose that follows from what the user is. Who is several things acts as the one that is nearest to the record.
fn purpose_of_use(roles: Roles) -> PurposeOfUse {
    if roles.contains(Role::Patient) {
        PurposeOfUse::PatientRequest
    } else if roles.contains(Role::Representative) {
        PurposeOfUse::FamilyRequest
    } else if roles.contains(Role::Clinician) {
        PurposeOfUse::Treatment
    } else {
        PurposeOfUse::Operations
    }
}
