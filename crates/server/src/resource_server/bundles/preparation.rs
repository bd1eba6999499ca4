//! From the entries of a transaction to operations that are decided: nothing is written yet.
//!
//! <https://hl7.org/fhir/R4/http.html#trules>. Conditions are looked up in what is stored before the transaction; what they find must still be so when it takes
//! effect. A conditional reference must find the same one resource before and after the writes: where the transaction itself changes what it finds, it fails.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use http::StatusCode;
use portcullis_fhir::bundle::links;
use portcullis_fhir::interaction::bundle::{BundleEntry, BundleRequest};
use portcullis_fhir::interaction::{Interaction, reference_condition};
use portcullis_fhir::outcome::{Issue, IssueType};
use portcullis_fhir::reference::LocalReference;
use portcullis_fhir::resource::Resource;
use portcullis_fhir::search::SearchQuery;
use portcullis_fhir::types::LogicalId;
use portcullis_oauth::principal::Principal;
use portcullis_oauth::scopes::Letter;
use portcullis_policy::{Permit, PermittedOperation};
use portcullis_store::together::Guard;

use super::super::Exchange;
use super::super::account::Account;
use super::super::conditions::{self, Resolved, Settled};
use super::super::pipeline::{Sent, context, fresh, parse, plan};
use super::super::refusal::Refusal;
use super::super::respond::Asked;
use super::names::Names;
use super::{entry_exchange, refusal_of, too_large};
use crate::context::Server;

/// The most searches of conditions in one transaction.
const MAXIMUM_CONDITIONS: usize = 100;

/// An entry, as far as its record needs it.
pub struct Entry {
    /// The entry as a request.
    pub exchange: Exchange,
    /// What is known of it.
    pub account: Account,
    /// Whether its write is durable, together with its record.
    pub durable: bool,
    full_url: Option<Box<str>>,
}

/// What an entry comes to.
pub enum Coming {
    /// This is to be done.
    Permitted(Permit, Box<PermittedOperation>),
    /// Nothing is.
    Settled(Settled),
}

/// A transaction that is ready to be done.
pub struct Prepared {
    /// For each entry what it comes to, and how its answer shall look.
    pub coming: Vec<(Asked, Coming)>,
    /// What must still be so, each with its entry.
    pub guards: Vec<(usize, Guard)>,
}

/// An entry whose condition, where it has one, was looked up.
enum Known {
    /// To be done; the id where it creates.
    Do(Box<Interaction>, Option<LogicalId>),
    Settled(Settled),
}

/// Prepares the entries of a transaction; `entries` gets them as they become known, for the records of a failure.
pub async fn prepare(
    server: &Server,
    exchange: &Exchange,
    account: &Account,
    (bundle, length): (BundleRequest, usize),
    entries: &mut Vec<Entry>,
) -> Result<Prepared, Refusal> {
    let principal = account.principal()?;
    let requests = server.large.run(length, || read(server, exchange, (account, bundle), entries)).await?;
    let mut guards = Vec::new();
    let (mut asked, mut known) = (Vec::with_capacity(requests.len()), Vec::with_capacity(requests.len()));
    let mut conditions = HashSet::new();
    let mut bytes = 0;
    for (index, ((how, interaction), entry)) in requests.into_iter().zip(entries.iter_mut()).enumerate() {
        once(&mut conditions, &interaction).map_err(at(index))?;
        let resolved = conditions::resolve(server, &principal, &mut entry.account, interaction).await.map_err(at(index))?;
        let one = know(server, resolved, (index, &mut guards))?;
        bytes += length_of(&one);
        if bytes > server.settings.bundles.bytes {
            return Err(at(index)(too_large()));
        }
        known.push(one);
        asked.push(how);
    }
    let mut names = names(&known, entries)?;
    for (index, (one, entry)) in known.iter().zip(entries.iter_mut()).enumerate() {
        let Known::Do(interaction, _) = one else { continue };
        let Some(resource) = resource(interaction) else { continue };
        let places = (index, &mut names, &mut guards);
        find(server, (exchange, &principal), resource, entry, places).await.map_err(at(index))?;
    }
    let decide = || decide(server, &principal, known, (&names, entries));
    let coming = server.large.run(length, decide).await?;
    Ok(Prepared { coming: asked.into_iter().zip(coming).collect(), guards })
}

/// Every entry as an interaction. Behind one that is none the others are still read: each has a record.
fn read(
    server: &Server,
    exchange: &Exchange,
    (account, bundle): (&Account, BundleRequest),
    entries: &mut Vec<Entry>,
) -> Result<Vec<(Asked, Interaction)>, Refusal> {
    let principal = account.principal()?;
    let mut requests = Vec::with_capacity(bundle.entries.len());
    let mut failed = None;
    for (index, entry) in bundle.entries.into_iter().enumerate() {
        let mut known = Entry::unread(server, exchange, Account::of(Arc::clone(&principal)));
        match known.read(server, exchange, entry) {
            Ok(request) => requests.push(request),
            Err(refusal) => failed = failed.or_else(|| Some(at(index)(refusal))),
        }
        entries.push(known);
    }
    failed.map_or(Ok(requests), Err)
}

impl Entry {
    /// An entry of which nothing is known: its record says what the request was.
    fn unread(server: &Server, exchange: &Exchange, account: Account) -> Self {
        let (method, target) = (exchange.method.clone(), exchange.target.clone());
        let exchange = exchange.entry(format!("{:032x}", server.random_u128()), method, target, http::HeaderMap::new());
        Self { exchange, account, durable: false, full_url: None }
    }

    fn read(
        &mut self,
        server: &Server,
        exchange: &Exchange,
        entry: Result<BundleEntry, Issue>,
    ) -> Result<(Asked, Interaction), Refusal> {
        let issue = |issue| refusal_of(400, issue);
        let entry = entry.map_err(issue)?;
        self.exchange = entry_exchange(server, exchange, &entry.request).map_err(issue)?;
        self.full_url = entry.full_url;
        let request = parse(server, &self.exchange, &entry.request.path, Sent::Resource(entry.resource, 0))?;
        let (asked, interaction) = Asked::of(request, &server.settings.fhir_base);
        self.account.describe(&self.exchange, &interaction, &[]);
        Ok((asked, interaction))
    }
}

/// Of two entries with the same condition the second would depend on the first.
fn once(seen: &mut HashSet<(u8, Vec<(String, String)>)>, interaction: &Interaction) -> Result<(), Refusal> {
    let condition = match interaction {
        Interaction::Create(create) => create.condition.as_ref(),
        Interaction::ConditionalUpdate(update) => Some(&update.condition),
        Interaction::ConditionalDelete(delete) => Some(&delete.condition),
        _ => None,
    };
    let Some(condition) = condition else { return Ok(()) };
    let mut criteria = condition.applied.clone();
    criteria.sort_unstable();
    if seen.insert((condition.resource_type.code(), criteria)) {
        return Ok(());
    }
    let message = "Another entry of this transaction has the same condition.";
    Err(conditions::refusal(StatusCode::BAD_REQUEST, IssueType::Invalid, message))
}

fn know(server: &Server, resolved: Resolved, (index, guards): (usize, &mut Vec<(usize, Guard)>)) -> Result<Known, Refusal> {
    let mut watch = |guard| {
        guards.push((index, guard));
        enough(guards.len()).map_err(at(index))
    };
    let interaction = match resolved {
        Resolved::Plain(interaction) => Box::new(interaction),
        Resolved::Guarded(interaction, guard) => {
            watch(guard)?;
            interaction
        }
        Resolved::Settled(settled, guard) => {
            watch(guard)?;
            return Ok(Known::Settled(settled));
        }
    };
    let new = matches!(*interaction, Interaction::Create(_)).then(|| fresh(server)).transpose()?;
    Ok(Known::Do(interaction, new))
}

/// The bytes of what was found there already.
fn length_of(known: &Known) -> usize {
    let Known::Settled(settled) = known else { return 0 };
    settled.version().and_then(|version| version.body.as_ref()).map_or(0, Vec::len)
}

fn enough(conditions: usize) -> Result<(), Refusal> {
    if conditions <= MAXIMUM_CONDITIONS {
        return Ok(());
    }
    let message = format!("At most {MAXIMUM_CONDITIONS} conditions are looked up in one transaction. Divide it.");
    Err(conditions::refusal(StatusCode::PAYLOAD_TOO_LARGE, IssueType::TooLong, &message))
}

/// The names of the entries. "If any resource identities (including resolved identities from conditional update/delete) overlap in steps 1-3, then the
/// transaction SHALL fail."
fn names(known: &[Known], entries: &[Entry]) -> Result<Names, Refusal> {
    let mut names = Names::default();
    let mut written: HashMap<LocalReference, usize> = HashMap::new();
    for (index, (one, entry)) in known.iter().zip(entries).enumerate() {
        let Some(identity) = identity(one) else { continue };
        if matches!(one, Known::Do(..))
            && let Some(other) = written.insert(identity.clone(), index)
        {
            let message = format!("Entry {other} writes the same resource; in a transaction each is written once.");
            return Err(at(index)(refusal_of(400, Issue::error(IssueType::Invalid, message).at("http"))));
        }
        let Some(full_url) = entry.full_url.clone() else { continue };
        if !names.add_entry(full_url, identity) {
            let place = format!("Bundle.entry[{index}].fullUrl");
            let message = "Another entry has the same fullUrl.";
            return Err(at(index)(refusal_of(400, Issue::error(IssueType::Invalid, message).at(place))));
        }
    }
    Ok(names)
}

/// What an entry writes, or found to be there.
fn identity(known: &Known) -> Option<LocalReference> {
    match known {
        Known::Settled(settled) => {
            let version = settled.version()?;
            Some(LocalReference { resource_type: version.resource_type, id: version.id.clone() })
        }
        Known::Do(interaction, new) => match &**interaction {
            Interaction::Create(create) => {
                Some(LocalReference { resource_type: create.resource.resource_type(), id: new.clone()? })
            }
            Interaction::Update(update) => {
                Some(LocalReference { resource_type: update.resource.resource_type(), id: update.id.clone() })
            }
            Interaction::Delete(delete) => Some(LocalReference { resource_type: delete.resource_type, id: delete.id.clone() }),
            _ => None,
        },
    }
}

fn resource(interaction: &Interaction) -> Option<&Resource> {
    match interaction {
        Interaction::Create(create) => Some(&create.resource),
        Interaction::Update(update) => Some(&update.resource),
        _ => None,
    }
}

/// Looks up the conditional references of a resource.
async fn find(
    server: &Server,
    (exchange, principal): (&Exchange, &Principal),
    resource: &Resource,
    entry: &mut Entry,
    (index, names, guards): (usize, &mut Names, &mut Vec<(usize, Guard)>),
) -> Result<(), Refusal> {
    for (path, reference) in links::references(resource.body()) {
        if names.has_condition(reference) {
            continue;
        }
        let Some(condition) = reference_condition(reference, &context(server, exchange)) else { continue };
        let place = format!("{}{path}", resource.resource_type());
        let condition: SearchQuery = condition.map_err(|issues| placed_refusal(400, issues, &place))?;
        entry.account.name_searched(&condition);
        let found = conditions::look_up(server, principal, &mut entry.account, (&condition, &[Letter::Search])).await;
        let found = found.map_err(|refusal| match refusal {
            Refusal::Parse(refusal) => placed_refusal(refusal.status, refusal.issues, &place),
            other => other,
        })?;
        let Some(id) = found.guard.found.first().cloned() else {
            let issue = Issue::error(IssueType::NotFound, "The conditional reference finds nothing.");
            return Err(placed_refusal(412, vec![issue], &place));
        };
        names.add_condition(reference.into(), LocalReference { resource_type: condition.resource_type, id });
        guards.push((index, Guard { also_after: true, ..found.guard }));
        enough(guards.len())?;
    }
    Ok(())
}

fn placed_refusal(status: u16, issues: Vec<Issue>, place: &str) -> Refusal {
    let issues = issues.into_iter().map(|issue| issue.at(place)).collect();
    Refusal::Parse(portcullis_fhir::interaction::Refusal { status, allow: None, issues })
}

/// Gives every resource its links and its identity, and decides about each entry on its own.
fn decide(
    server: &Server,
    principal: &Principal,
    known: Vec<Known>,
    (names, entries): (&Names, &mut [Entry]),
) -> Result<Vec<Coming>, Refusal> {
    let mut coming = Vec::with_capacity(known.len());
    for (index, (one, entry)) in known.into_iter().zip(entries).enumerate() {
        let (mut interaction, new) = match one {
            Known::Settled(settled) => {
                coming.push(Coming::Settled(settled));
                continue;
            }
            Known::Do(interaction, new) => (*interaction, new),
        };
        if let Interaction::Create(portcullis_fhir::interaction::Create { resource, .. })
        | Interaction::Update(portcullis_fhir::interaction::Update { resource, .. }) = &mut interaction
        {
            names.replace(resource, entry.full_url.as_deref()).map_err(|issue| at(index)(refusal_of(400, issue)))?;
        }
        let operation = plan(server, interaction, new).map_err(at(index))?;
        entry.account.name_proposed(&operation);
        let (permit, permitted) = entry.account.decide(server, principal, operation).map_err(at(index))?;
        coming.push(Coming::Permitted(permit, Box::new(permitted)));
    }
    Ok(coming)
}

/// Says which entry it was.
pub fn at(index: usize) -> impl Fn(Refusal) -> Refusal {
    move |refusal| Refusal::Entry(index, Box::new(refusal))
}
