//! Searches of several types and `$everything`: a search of each type, decided, released and recorded on its own.
//!
//! <https://hl7.org/fhir/R4/search.html#searchcontexts>, <https://hl7.org/fhir/R4/patient-operation-everything.html>. The types stand one after the other in the
//! order of their names, so that a page is what a walk along them finds from one place on, and the next page begins where it ended. Types that the client
//! names must all be open, or the request is refused; where it names none, those that are open are searched: which these are depends on the token alone. What
//! `$everything` is about is read first, on every page, and answers as any read where it is hidden or absent; who may read no record of its type gets the rest, as by a
//! search of its compartment.
//!
//! Every type is decided about; the store is asked about those of which it holds anything at all, which one statement tells, and once for each: a type whose matches
//! all stand on the page is counted by them. What is held of a type changes no answer, only the work.
//!
//! The request has a record of what was asked, and each type of which something was released another one, which names it.

use std::collections::{BTreeMap, BTreeSet};

use http::{HeaderMap, StatusCode};
use portcullis_audit::record::{OperationEntry, Record};
use portcullis_fhir::interaction::Read;
use portcullis_fhir::labels::Labels;
use portcullis_fhir::search::{SearchOfTypes, SearchPlace, SearchQuery, Shape, Total};
use portcullis_fhir::types::ResourceType;
use portcullis_jose::{base64url, constant_time};
use portcullis_mutants::off;
use portcullis_oauth::principal::Principal;
use portcullis_oauth::scopes::Letter;
use portcullis_policy::constraint::TypeSet;
use portcullis_policy::decision::DenialReason;
use portcullis_policy::rules::consent::Verdicts;
use portcullis_policy::{Decision, Operation, Released, SearchPage, StoredVersion, decide, denial};
use portcullis_store::StoreError;
use portcullis_store::consent_decisions::decisions;

use super::Exchange;
use super::account::Account;
use super::exchange::bounded;
use super::pipeline::{Finished, Recorded, execute_and_release};
use super::refusal::Refusal;
use super::respond::{self, Asked, Found, Summary};
use crate::context::Server;

/// The most bytes of bodies in one page: after these no further type is begun.
const PAGE_BYTES: usize = 16 << 20;
/// The digits of a type in a bookmark, and the characters of its tag.
const CODE_DIGITS: usize = 3;
const TAG_CHARACTERS: usize = 43;

/// What was found, in the order of the answer.
#[derive(Default)]
pub struct Gathered {
    /// What `$everything` is about, where this page shows it.
    pub focus: Option<Released<Option<StoredVersion>>>,
    /// A page of each type of which something was found, with how its resources shall look.
    pub pages: Vec<(ResourceType, Shape, Released<SearchPage>)>,
    /// The number of all matches, where asked for.
    pub total: Option<u64>,
    /// The bookmark of the next page.
    pub next: Option<String>,
    /// What consents decided about what `$everything` is about, and about types of which nothing was found.
    pub verdicts: Verdicts,
}

/// The place in an answer at which a page begins.
struct Start {
    code: u8,
    inner: Option<Box<str>>,
}

/// Answers it.
pub async fn perform(
    server: &Server,
    exchange: &Exchange,
    (asked, account): (&Asked, &mut Account),
    mut search: SearchOfTypes,
) -> Result<Finished, Refusal> {
    let principal = account.principal()?;
    let stored = server.store.stored_types().await?;
    let mut walk = Walk { server, principal: &principal, canonical: search.canonical(), stored, counted: BTreeMap::new() };
    let start = search.cursor.take().map(|cursor| walk.open(&cursor)).transpose()?;
    let (mut gathered, mut unread) = (Gathered::default(), None);
    if let SearchPlace::Everything(focus) = &search.place {
        match denial(server.basis(), &principal, &[(focus.resource_type, Letter::Read)]) {
            // Whoever may not read it is given what belongs to it of the types that are open, as by a search of its compartment.
            Some(denied) if search.named && search.with_focus => return Err(account.denied(denied)),
            Some(denied) => unread = Some(denied),
            None => {
                let read = Read { resource_type: focus.resource_type, id: focus.id.clone() };
                let version = focus_of(server, &principal, account, read).await?;
                gathered.verdicts.join(version.verdicts());
                gathered.focus = Some(version).filter(|_| search.with_focus && start.is_none());
            }
        }
    }
    open_parts(server, account, &principal, &mut search)?;
    if let Some(denied) = unread.filter(|_| search.parts.is_empty()) {
        return Err(account.denied(denied));
    }
    let mut records = Vec::new();
    if !search.counts_only() {
        walk.fill(account, (&search, start), &mut gathered).await?;
    }
    if search.counts_only() || search.total != Total::None {
        gathered.total = Some(walk.total(account, &search.parts).await?);
    }
    for (resource_type, _, page) in &gathered.pages {
        records.push(record_of_part(server, exchange, (account, *resource_type), page).await);
    }
    let reply = respond::several(server, asked, &gathered)?;
    let focus = gathered.focus.iter().flat_map(|focus| focus.content());
    let patients: BTreeSet<String> = focus.clone().flat_map(|version| &version.patients).map(ToString::to_string).collect();
    let shown: usize = gathered.pages.iter().map(|(_, _, page)| page.content().matches.len()).sum();
    // Those of whom something was released have it in the records of the types.
    if let Some(operation) = &mut account.operation {
        let released: BTreeSet<String> = gathered.pages.iter().flat_map(|(_, _, page)| patients_of(page.content())).collect();
        operation.named.retain(|patient| !released.contains(patient));
    }
    let returned = u32::try_from(shown + focus.count()).unwrap_or(u32::MAX);
    let labels = focus_labels(&gathered);
    let patients = patients.into_iter().collect();
    let redacted = gathered.focus.as_ref().map_or(0, Released::redacted);
    let summary = Summary { patients, returned, redacted, labels, consents: decisions(&gathered.verdicts) };
    let record = account.completed(server, exchange, summary, reply.status()).await;
    Ok(Finished { reply, recorded: Recorded::WithParts(Box::new(record), records) })
}

/// What `$everything` is about, as a read answers.
async fn focus_of(
    server: &Server,
    principal: &Principal,
    account: &mut Account,
    read: Read,
) -> Result<Released<Option<StoredVersion>>, Refusal> {
    let (permit, permitted) = account.decide(server, principal, Operation::Read(read))?;
    let Found::Version(version) = execute_and_release(server, principal, &permit, permitted).await? else {
        return Err(Refusal::Internal("a read came back as something else"));
    };
    match version.content() {
        None => Err(Refusal::Store(StoreError::NotFound)),
        Some(StoredVersion { body: None, .. }) => Err(Refusal::Store(StoreError::Gone)),
        Some(_) => Ok(version),
    }
}

/// Keeps the searches that are open; a denial where one is not that the client has named, or none is.
fn open_parts(server: &Server, account: &mut Account, principal: &Principal, search: &mut SearchOfTypes) -> Result<(), Refusal> {
    let mut first = None;
    let mut open = Vec::with_capacity(search.parts.len());
    for part in std::mem::take(&mut search.parts) {
        match denial(server.basis(), principal, &[(part.resource_type, Letter::Search)]).filter(|_| !off!("several-types")) {
            None if leads_nowhere(server, principal, &part, &search.place) => {}
            None => open.push(part),
            Some(denied) if search.named => return Err(account.denied(denied)),
            Some(denied) => first = first.or(Some(denied)),
        }
    }
    search.parts = open;
    match first {
        // What $everything is about is open, and may be all that is.
        Some(denied) if search.parts.is_empty() && !matches!(search.place, SearchPlace::Everything(_)) => {
            Err(account.denied(denied))
        }
        _ => Ok(()),
    }
}

/// Whether everything of a type that belongs to the focus is reached by elements that are not shown: then none of it is.
fn leads_nowhere(server: &Server, principal: &Principal, part: &SearchQuery, place: &SearchPlace) -> bool {
    let decided = || decide(server.basis(), principal, Operation::Search(part.clone()));
    matches!(place, SearchPlace::Everything(_))
        && matches!(decided(), Decision::Deny(denial) if matches!(denial.reason, DenialReason::RedactedParameter(..)))
}

/// The way along the types.
struct Walk<'a> {
    server: &'a Server,
    principal: &'a Principal,
    canonical: Vec<u8>,
    /// The types of which the store holds something.
    stored: TypeSet,
    /// How many matches types have of which all stand on this page.
    counted: BTreeMap<ResourceType, u64>,
}

impl Walk<'_> {
    /// One page of one type; `None` where the store holds nothing of it.
    async fn page(&self, account: &mut Account, query: SearchQuery) -> Result<Option<Released<SearchPage>>, Refusal> {
        let is_stored = self.stored.contains(query.resource_type);
        let (permit, permitted) = account.decide(self.server, self.principal, Operation::Search(query))?;
        if !is_stored {
            return Ok(None);
        }
        match execute_and_release(self.server, self.principal, &permit, permitted).await? {
            Found::Page(page) => Ok(Some(page)),
            _ => Err(Refusal::Internal("a search came back as something else")),
        }
    }

    async fn total(&self, account: &mut Account, parts: &[SearchQuery]) -> Result<u64, Refusal> {
        let mut total = 0;
        for part in parts {
            if let Some(counted) = self.counted.get(&part.resource_type) {
                total += counted;
                continue;
            }
            let query = SearchQuery { count: 0, total: Total::Accurate, cursor: None, ..part.clone() };
            let page = self.page(account, query).await?;
            total += page.and_then(|page| page.content().total).unwrap_or_default();
        }
        Ok(total)
    }

    async fn fill(
        &mut self,
        account: &mut Account,
        (search, start): (&SearchOfTypes, Option<Start>),
        gathered: &mut Gathered,
    ) -> Result<(), Refusal> {
        let mut room = search.count.saturating_sub(u32::from(gathered.focus.is_some()));
        let mut bytes = 0;
        let (from, mut inner) = start.map_or((0, None), |start| (start.code, start.inner));
        for part in search.parts.iter().filter(|part| part.resource_type.code() >= from) {
            let cursor = inner.take().filter(|_| part.resource_type.code() == from);
            let is_full = room == 0 || bytes > PAGE_BYTES;
            // A full page still has to know whether something follows.
            let count = if is_full { 1 } else { room };
            let from_its_begin = cursor.is_none();
            let query = SearchQuery { count, total: Total::None, cursor, ..part.clone() };
            let Some(page) = self.page(account, query).await? else { continue };
            let content = page.content();
            if from_its_begin && content.next.is_none() {
                self.counted.insert(part.resource_type, u64::try_from(content.matches.len()).unwrap_or(u64::MAX));
            }
            if content.matches.is_empty() {
                // It has no record of its own.
                gathered.verdicts.join(page.verdicts());
                continue;
            }
            if is_full {
                gathered.next = Some(self.seal(part.resource_type, ""));
                break;
            }
            room = room.saturating_sub(u32::try_from(content.matches.len()).unwrap_or(u32::MAX));
            bytes += content.matches.iter().filter_map(|version| version.body.as_ref()).map(Vec::len).sum::<usize>();
            gathered.next = content.next.as_ref().map(|next| self.seal(part.resource_type, next));
            gathered.pages.push((part.resource_type, part.shape.clone(), page));
            if gathered.next.is_some() {
                break;
            }
        }
        Ok(())
    }

    /// A bookmark: the type, a tag that binds it to the principal and the query, and the store's own bookmark in the search of that type.
    fn seal(&self, resource_type: ResourceType, inner: &str) -> String {
        let place = format!("{:0CODE_DIGITS$}", resource_type.code());
        format!("{place}{}{inner}", self.tag(&place, inner))
    }

    fn open(&self, bookmark: &str) -> Result<Start, Refusal> {
        let invalid = || Refusal::Store(StoreError::InvalidCursor);
        let (place, rest) = bookmark.split_at_checked(CODE_DIGITS).ok_or_else(invalid)?;
        let (tag, inner) = rest.split_at_checked(TAG_CHARACTERS).ok_or_else(invalid)?;
        if !constant_time::equal(tag, self.tag(place, inner)) && !off!("cursor-of-several") {
            return Err(invalid());
        }
        let code = place.parse().map_err(|_| invalid())?;
        Ok(Start { code, inner: Some(inner).filter(|inner| !inner.is_empty()).map(Into::into) })
    }

    fn tag(&self, place: &str, inner: &str) -> String {
        let binding = base64url::encode(self.principal.binding());
        let text = format!("{binding}.{}.{place}.{inner}", base64url::encode(&self.canonical));
        base64url::encode(self.server.form_tokens.fingerprint("page of several types", &text))
    }
}

/// The labels of what `$everything` is about; those of the types are in their own records.
fn focus_labels(gathered: &Gathered) -> Labels {
    let focus = gathered.focus.iter().flat_map(|focus| focus.content());
    focus.fold(Labels::NONE, |labels, version| labels | version.security.labels)
}

fn patients_of(page: &SearchPage) -> impl Iterator<Item = String> + '_ {
    page.matches.iter().flat_map(|version| &version.patients).map(ToString::to_string)
}

/// The record of a search of one type.
async fn record_of_part(
    server: &Server,
    exchange: &Exchange,
    (account, resource_type): (&Account, ResourceType),
    page: &Released<SearchPage>,
) -> Record {
    let id = format!("{:032x}", server.random_u128());
    let own = exchange.entry(id, exchange.method.clone(), exchange.target.clone(), HeaderMap::new());
    let summary = Summary::of(&page.content().matches).decided(page.verdicts(), page.redacted());
    let query = account.operation.as_ref().and_then(|operation| operation.query.as_deref()).map(bounded);
    let operation = OperationEntry {
        interaction: "search-type".to_owned(),
        resource_type: Some(resource_type.name().to_owned()),
        query,
        ..OperationEntry::default()
    };
    let part = account.part(operation);
    part.completed(server, &own, summary, StatusCode::OK).await
}
