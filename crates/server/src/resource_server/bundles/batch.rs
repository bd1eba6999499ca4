//! A batch: entries that succeed or fail alone.
//!
//! <https://hl7.org/fhir/R4/http.html#brules>. Whether the access is still good is looked up for each entry: what is revoked while a batch runs opens no further
//! one. An entry that refers to another by its `fullUrl` is refused: that is what transactions are for.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Instant;

use portcullis_fhir::bundle::links;
use portcullis_fhir::interaction::bundle::{BundleEntry, BundleRequest};
use portcullis_fhir::outcome::{Issue, IssueType};

use super::super::Exchange;
use super::super::account::Account;
use super::super::authenticate::Credentials;
use super::super::pipeline::{Finished, Recorded, Sent, interact};
use super::super::purpose;
use super::super::refusal::Refusal;
use super::{BundleLimits, as_asked, entry_exchange, refusal_of};
use crate::authorization_server::developers::refused;
use crate::context::Server;

/// Does every entry, in order.
pub async fn perform(
    server: &Server,
    exchange: &Exchange,
    credentials: &Credentials,
    (bundle, length): (BundleRequest, usize),
) -> Vec<Finished> {
    let BundleLimits { bytes: most, time } = server.settings.bundles;
    let end = Instant::now() + time;
    let placeholders = bundle.entries.iter().flatten().filter_map(|entry| entry.full_url.clone());
    let placeholders: HashSet<Box<str>> = placeholders.filter(|name| links::is_placeholder(name)).collect();
    let mut finished = Vec::with_capacity(bundle.entries.len());
    let mut bytes = 0;
    let mut alerted = false;
    for (index, entry) in bundle.entries.into_iter().enumerate() {
        let entry = entry.and_then(|entry| alone(entry, &placeholders, index));
        let limits = Limits { end, room: most.saturating_sub(bytes) };
        let one = Entry { server, exchange, credentials, index, length }.perform(entry, limits, &mut alerted).await;
        bytes += one.reply.length();
        finished.push(one);
    }
    finished
}

/// An entry, if it refers to no other.
fn alone(entry: BundleEntry, placeholders: &HashSet<Box<str>>, index: usize) -> Result<BundleEntry, Issue> {
    let references = entry.resource.as_ref().map(links::references).unwrap_or_default();
    match references.into_iter().find(|(_, reference)| placeholders.contains(*reference)) {
        None => Ok(entry),
        Some((path, _)) => {
            let message = "The entries of a batch stand alone and cannot refer to each other. Send a transaction.";
            Err(Issue::error(IssueType::Invalid, message).at(format!("Bundle.entry[{index}].resource{path}")))
        }
    }
}

/// What is left of the bounds of a batch.
#[derive(Clone, Copy)]
struct Limits {
    end: Instant,
    room: usize,
}

/// One entry of a batch.
struct Entry<'a> {
    server: &'a Server,
    exchange: &'a Exchange,
    credentials: &'a Credentials,
    index: usize,
    /// The bytes of the whole request.
    length: usize,
}

impl Entry<'_> {
    async fn perform(&self, entry: Result<BundleEntry, Issue>, limits: Limits, alerted: &mut bool) -> Finished {
        let Self { server, index, .. } = *self;
        let mut account = Account::default();
        // Until it is known what the entry asks, its record says what the request was.
        let mut exchange = self.exchange.entry(
            format!("{:032x}", server.random_u128()),
            self.exchange.method.clone(),
            self.exchange.target.clone(),
            http::HeaderMap::new(),
        );
        let result = match entry {
            Ok(entry) => self.interact(entry, &mut exchange, (&mut account, limits)).await,
            Err(issue) => {
                // Whoever sent it is known.
                account.principal = self.credentials.establish(server).await.ok().map(Arc::new);
                Err(refusal_of(400, issue))
            }
        };
        match result {
            Ok(finished) => finished,
            Err(refusal) => {
                refused::at_fhir(server, &exchange, account.principal.as_deref(), &refusal).await;
                let reply = as_asked(&exchange, refusal.reply(index, server.settings.authorization.denials));
                let record = account.refused(server, &exchange, &refusal, reply.status()).await;
                // The entries of a batch have one purpose: the first word of it is enough.
                if purpose::is_alert(&refusal) && !std::mem::replace(alerted, true) {
                    let told = purpose::alerted(server, account.principal.as_deref(), &record).await;
                    if let Some(receipt) = told {
                        return Finished { reply, recorded: Recorded::Durable(receipt) };
                    }
                }
                Finished { reply, recorded: Recorded::Next(Box::new(record)) }
            }
        }
    }

    async fn interact(
        &self,
        entry: BundleEntry,
        exchange: &mut Exchange,
        (account, limits): (&mut Account, Limits),
    ) -> Result<Finished, Refusal> {
        let server = self.server;
        account.principal = Some(Arc::new(self.credentials.establish(server).await?));
        *exchange = entry_exchange(server, self.exchange, &entry.request).map_err(|issue| refusal_of(400, issue))?;
        if Instant::now() > limits.end {
            let message = "The batch has taken too long before this entry. Send it in a further one.";
            return Err(refusal_of(503, Issue::error(IssueType::Transient, message)));
        }
        let sent = (&*entry.request.path, Sent::Resource(entry.resource, self.length));
        let Finished { reply, recorded } = interact(server, exchange, sent, account).await?;
        let reply = as_asked(exchange, reply);
        match recorded {
            Recorded::Next(_) | Recorded::WithParts(..) if reply.length() > limits.room => {
                let message =
                    "The answers to this batch are too large together. Send this request on its own, or ask for smaller pages.";
                Err(refusal_of(413, Issue::error(IssueType::TooLong, message)))
            }
            Recorded::Durable(receipt) if reply.length() > limits.room => {
                Ok(Finished { reply: reply.without_body(), recorded: Recorded::Durable(receipt) })
            }
            recorded => Ok(Finished { reply, recorded }),
        }
    }
}
