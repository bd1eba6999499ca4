//! Care teams, groups and devices that consents name: who is of them.
//!
//! A denial for a team holds for its members, for those who were members, and for whoever may be one; a permit for those who are members by the word of somebody who may
//! write everything. So nobody gets into a team, or out of one, by writing it: what anybody else says about members adds to those who are denied, and takes nobody away.
//! `CareTeam.participant.member`, `Group.member.entity`; a Device is that of the client whose `client_id` it has as an identifier of this server.

use std::collections::BTreeSet;

use portcullis_fhir::instant;
use portcullis_fhir::json::Value;
use portcullis_fhir::reference::{LocalReference, Reference};
use portcullis_fhir::resource::Resource;
use portcullis_fhir::types::ResourceType;
use portcullis_policy::StoredVersion;
use portcullis_policy::constraint::TypeSet;
use portcullis_policy::rules::consent::{CompiledConsent, Context, Memberships};
use portcullis_store::StoreError;
use rusqlite::{Connection, params};

use super::super::database::store_error;
use super::condition::key;

/// The types of parties.
pub const PARTIES: [&str; 3] = ["CareTeam", "Group", "Device"];
/// The member that says that all members are known.
const ALL_ARE_KNOWN: &str = "";
/// The member that says that some are not: it keeps whoever may not write everything from saying later that there are none.
const SOME_ARE_NOT_KNOWN: &str = "?";

/// Whether a type is one of parties.
pub fn is_party(resource_type: ResourceType) -> bool {
    PARTIES.contains(&resource_type.name())
}

/// What a version says about members.
#[derive(Debug, Default, PartialEq, Eq)]
struct Stated {
    /// Each with whether it is one for certain.
    members: Vec<(String, bool)>,
    /// Whether there are no others.
    complete: bool,
}

/// A version of a party was stored; `trusted`: by somebody who may write everything.
pub fn stored(connection: &Connection, version: &StoredVersion, trusted: bool, context: &Context<'_>) -> Result<(), StoreError> {
    let party = format!("{}/{}", version.resource_type, version.id);
    let execute = |sql: &str, parameters: &[&dyn rusqlite::ToSql]| {
        connection.prepare_cached(sql).and_then(|mut statement| statement.execute(parameters)).map(|_| ()).map_err(store_error)
    };
    let Stated { members, complete } = stated(version, context);
    let known = "SELECT EXISTS (SELECT 1 FROM consent_party WHERE party = ?1)";
    let is_noted: bool = connection
        .prepare_cached(known)
        .and_then(|mut statement| statement.query_row([&party], |row| row.get(0)))
        .map_err(store_error)?;
    if trusted {
        execute("DELETE FROM consent_party WHERE party = ?1", params![party])?;
    } else {
        execute("UPDATE consent_party SET standing = 1 WHERE party = ?1 AND member <> ''", params![party])?;
        if !complete {
            execute("DELETE FROM consent_party WHERE party = ?1 AND member = ''", params![party])?;
        }
    }
    for (member, certain) in members {
        let sql = "INSERT OR IGNORE INTO consent_party (party, member, standing) VALUES (?1, ?2, ?3)";
        execute(sql, params![party, member, i64::from(!(certain && trusted))])?;
    }
    let sql = "INSERT OR IGNORE INTO consent_party (party, member, standing) VALUES (?1, ?2, ?3)";
    match complete {
        // Somebody may have been a member of whom no row knows: only whoever may write everything says that there is nobody else.
        true if trusted || !is_noted => execute(sql, params![party, ALL_ARE_KNOWN, 0]),
        true => Ok(()),
        false => execute(sql, params![party, SOME_ARE_NOT_KNOWN, 1]),
    }
}

fn stated(version: &StoredVersion, context: &Context<'_>) -> Stated {
    let resource = version.body.as_ref().and_then(|body| Resource::parse(body).ok());
    let Some(resource) = resource else { return Stated::default() };
    let body = resource.body();
    match version.resource_type.name() {
        "CareTeam" => {
            let active = text(body, "status").is_none_or(|status| status == "active") && !has_end(body);
            let active = active && has_begun(body, version.last_updated);
            of_people(many(body, "participant"), "member", (active, version.last_updated), context)
        }
        "Group" => {
            let active = flag(body, "active") != Some(false);
            let stated = of_people(many(body, "member"), "entity", (active, version.last_updated), context);
            // A definition has no members, and characteristics may stand for more.
            let complete = stated.complete && flag(body, "actual") == Some(true) && many(body, "characteristic").is_empty();
            Stated { complete, ..stated }
        }
        _ => of_client(body, context),
    }
}

/// Members by reference. One that ends, is inactive or has not begun at `now` may be one.
fn of_people(entries: &[Value], member: &str, (active, now): (bool, i64), context: &Context<'_>) -> Stated {
    let mut stated = Stated { members: Vec::new(), complete: true };
    for entry in entries {
        let literal = entry.member(member).and_then(|member| text(member, "reference"));
        match literal.and_then(|literal| Reference::parse(literal, context.base_url)) {
            Some(Reference::Local(local)) => {
                let certain = active && !has_end(entry) && has_begun(entry, now) && flag(entry, "inactive") != Some(true);
                stated.members.push((local.to_string(), certain));
            }
            _ => stated.complete = false,
        }
    }
    stated
}

fn of_client(body: &Value, context: &Context<'_>) -> Stated {
    let own = many(body, "identifier").iter().filter(|identifier| text(identifier, "system") == Some(context.issuer));
    let members: Vec<_> = own
        .filter_map(|identifier| text(identifier, "value"))
        .map(|client| (key(&Reference::Identifier { system: context.issuer.into(), value: client.into() }), true))
        .collect();
    Stated { complete: !members.is_empty(), members }
}

fn has_end(value: &Value) -> bool {
    value.member("period").is_some_and(|period| period.member("end").is_some())
}

/// Whether a period has begun; one that cannot be read may not have.
fn has_begun(value: &Value, now: i64) -> bool {
    let start = value.member("period").and_then(|period| period.member("start"));
    start.is_none_or(|start| start.as_str().and_then(instant::range).is_some_and(|start| start.low <= now))
}

fn text<'a>(value: &'a Value, member: &str) -> Option<&'a str> {
    value.member(member).and_then(Value::as_str)
}

fn flag(value: &Value, member: &str) -> Option<bool> {
    value.member(member).and_then(Value::as_bool)
}

fn many<'a>(value: &'a Value, member: &str) -> &'a [Value] {
    value.member(member).map_or(&[], Value::items)
}

/// Adds to what somebody is: the parties that these consents name and of which one of these actors is a member, and those of which certainly none is, nor an
/// organisation of which one is a part.
pub fn resolve(
    connection: &Connection,
    (actors, unresolved): (&[Reference], &TypeSet),
    consents: &[CompiledConsent],
    memberships: &mut Memberships,
) -> Result<(), StoreError> {
    let named = consents.iter().flat_map(CompiledConsent::actors);
    let parties: BTreeSet<&LocalReference> = named
        .filter_map(|actor| match actor {
            Reference::Local(local) if is_party(local.resource_type) => Some(local),
            _ => None,
        })
        .collect();
    let actors: Vec<String> = actors.iter().map(key).collect();
    let wider: Vec<String> = memberships.wider.iter().map(key).collect();
    for party in parties {
        let sql = "SELECT member, standing FROM consent_party WHERE party = ?1";
        let mut statement = connection.prepare_cached(sql).map_err(store_error)?;
        let rows = statement.query_map([party.to_string()], |row| Ok((row.get::<_, String>(0)?, row.get::<_, i64>(1)?)));
        let rows = rows.and_then(Iterator::collect::<Result<Vec<_>, _>>).map_err(store_error)?;
        let is = |member: &String| actors.contains(member);
        let is_wider = |member: &String| wider.contains(member);
        let may_be = |member: &String| {
            let kind = member.split_once('/').and_then(|(kind, _)| ResourceType::parse(kind));
            is(member) || is_wider(member) || kind.is_some_and(|kind| unresolved.contains(kind))
        };
        let reference = Reference::Local(party.clone());
        if rows.iter().any(|(member, standing)| *standing == 0 && is(member)) {
            memberships.actors.push(reference);
        } else if rows.iter().any(|(member, _)| member == ALL_ARE_KNOWN) && !rows.iter().any(|(member, _)| may_be(member)) {
            memberships.others.push(reference);
        }
    }
    Ok(())
}
