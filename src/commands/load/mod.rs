//! `portcullis load`: files, folders or standard input into the store, a few hundred resources per transaction.
//!
//! A Bundle of type transaction is one commit of its own: all of it or nothing. A thread reads ahead; the service parses, indexes and stores, in this
//! process or in the one that holds the data directory. Nothing stops the load but a
//! store or ledger that cannot be written: what cannot be stored is told with its place, and the rest goes on.

mod bundle;
mod framing;
mod items;
mod reader;
mod report;
mod resume;
mod source;

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use portcullis_server::admin::protocol::{ImportBatch, Reason, RefusalKind, Request, Response};
use tokio::sync::mpsc;

use self::items::Place;
use self::reader::{Batch, Event, Planned};
use self::report::Report;
use self::resume::Bookmark;
use super::channel::{Channel, refused, unexpected};
use super::place::{Place as Target, runtime};
use crate::args;
use crate::failure::{Failure, OrFail, Outcome};
use crate::terminal::Progress;

/// Events that are read ahead.
const READ_AHEAD: usize = 1;
/// Batches that were sent and are not answered yet.
const IN_FLIGHT: usize = 2;

/// Runs the command.
pub fn run(arguments: &args::Load) -> Outcome {
    let target = Target::of(&arguments.target)?;
    let sources = source::collect(&arguments.sources)?;
    runtime()?.block_on(async {
        let channel = Channel::open(&target, "load").await?;
        let mut load = Load::plan(&target, sources, channel, arguments.restart);
        let ended = load.run().await;
        load.end(ended, arguments.json).await
    })
}

/// A load on its way.
struct Load {
    channel: Channel,
    sources: Vec<Planned>,
    bookmarks: Vec<Option<Bookmark>>,
    in_flight: VecDeque<Batch>,
    report: Report,
    progress: Progress,
    counter: Arc<AtomicU64>,
}

/// How a load ended.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Ended {
    Complete,
    Interrupted,
}

impl Load {
    fn plan(target: &Target, sources: Vec<source::Source>, channel: Channel, restart: bool) -> Self {
        let bookmarks: Vec<Option<Bookmark>> = sources.iter().map(|source| Bookmark::of(&target.directory, source)).collect();
        let skip = |bookmark: &Option<Bookmark>| bookmark.as_ref().filter(|_| !restart).map_or(0, Bookmark::read);
        let total = sources.iter().map(|source| source.size).sum::<Option<u64>>();
        let sources: Vec<Planned> =
            sources.into_iter().zip(&bookmarks).map(|(source, bookmark)| Planned { source, skip: skip(bookmark) }).collect();
        let skipped = sources.iter().map(|planned| planned.skip).sum();
        Self {
            channel,
            sources,
            bookmarks,
            in_flight: VecDeque::new(),
            report: Report::begin(skipped),
            progress: Progress::bytes(total),
            counter: Arc::default(),
        }
    }

    async fn run(&mut self) -> Outcome<Ended> {
        let (sender, mut events) = mpsc::channel(READ_AHEAD);
        let (sources, counter) = (self.sources.clone(), Arc::clone(&self.counter));
        let reading =
            std::thread::Builder::new().name("load-reader".into()).spawn(move || reader::read(&sources, &counter, &sender));
        reading.or_fail("Cannot start a thread")?;
        let mut interrupted = std::pin::pin!(tokio::signal::ctrl_c());
        let mut stopping = false;
        loop {
            let room = self.in_flight.len() < IN_FLIGHT && !stopping;
            tokio::select! {
                biased;
                _ = &mut interrupted, if !stopping => stopping = true,
                response = self.channel.receive(), if !self.in_flight.is_empty() => self.answered(response?)?,
                event = events.recv(), if room => match event {
                    Some(event) => self.event(event).await?,
                    None if self.in_flight.is_empty() => return Ok(Ended::Complete),
                    None => {
                        let response = self.channel.receive().await?;
                        self.answered(response)?;
                    }
                },
                else => return Ok(Ended::Interrupted),
            }
        }
    }

    async fn event(&mut self, event: Event) -> Outcome {
        self.progress.set(self.counter.load(Ordering::Relaxed));
        match event {
            Event::Batch(mut batch) => {
                let resources = std::mem::take(&mut batch.resources);
                let name = self.sources.get(batch.source).map(|planned| planned.source.name.clone()).unwrap_or_default();
                let import = ImportBatch { source: name, first: batch.first, resources };
                let together = batch.transaction.is_some();
                self.channel.send(if together { Request::ImportTransaction(import) } else { Request::Import(import) }).await?;
                self.in_flight.push_back(batch);
            }
            Event::Refused(source, place, reasons) => self.report.refused(&self.label(source), &place, &reasons, &self.progress),
            Event::TransactionRefused(source, place, entries, refusals) => {
                self.report.transaction_refused((&self.label(source), &place), entries, &refusals, &self.progress);
            }
            Event::Broken(source, unreadable) => {
                let reasons = [Reason { path: None, message: unreadable.reason, line: None }];
                self.report.refused(&self.label(source), &Place { line: unreadable.line, entry: None }, &reasons, &self.progress);
            }
            Event::Finished(source) => {
                // Everything of the source has been sent, not answered: the mark of the last batch says so when it is.
                tracing::debug!(source, "a source has been read");
            }
        }
        Ok(())
    }

    fn answered(&mut self, response: Response) -> Outcome {
        let Some(batch) = self.in_flight.pop_front() else {
            return Err(Failure::failed("The server answered a question that was not asked"));
        };
        match response {
            Response::Imported(imported) => {
                self.report.stored(imported.stored, imported.replaced);
                self.report.unchanged(imported.unchanged);
                let label = self.label(batch.source);
                let place = |index| batch.places.get(index).cloned().unwrap_or(Place { line: 0, entry: None });
                let mut refusals: Vec<_> =
                    imported.refused.into_iter().map(|resource| (place(resource.index), resource.reasons)).collect();
                if let Some(bundle) = &batch.transaction {
                    refusals.extend(imported.transaction.map(|reason| (bundle.clone(), vec![reason])));
                    let entries = u64::try_from(batch.places.len()).unwrap_or(u64::MAX);
                    self.report.transaction_refused((&label, bundle), entries, &refusals, &self.progress);
                } else {
                    refusals.iter().for_each(|(place, reasons)| self.report.refused(&label, place, reasons, &self.progress));
                }
            }
            Response::Refused(reason) => {
                let advice = match reason.kind {
                    RefusalKind::Unavailable => {
                        "Make room or wait, then give the same command again: it goes on where it stopped."
                    }
                    _ => "Give the same command again: it goes on where it stopped.",
                };
                return Err(refused(reason).advise(advice));
            }
            _ => return Err(unexpected()),
        }
        self.progress.message(self.report.rate_text());
        if let Some(Some(bookmark)) = self.bookmarks.get(batch.source)
            && let Err(error) = bookmark.write(batch.next)
        {
            tracing::warn!(%error, "the progress of the load could not be kept; after an interruption it begins anew");
        }
        Ok(())
    }

    fn label(&self, source: usize) -> String {
        self.sources.get(source).map(|planned| planned.source.label.clone()).unwrap_or_default()
    }

    /// Tells how it went, and gives the data directory back.
    async fn end(self, ended: Outcome<Ended>, json: bool) -> Outcome {
        self.progress.clear();
        let complete = matches!(ended, Ok(Ended::Complete));
        if complete {
            self.bookmarks.iter().flatten().for_each(Bookmark::remove);
        }
        self.channel.close().await?;
        self.report.print(json, complete)?;
        match ended? {
            Ended::Interrupted => {
                Err(Failure::failed("The load was interrupted")
                    .advise("Give the same command again: it goes on where it stopped."))
            }
            Ended::Complete if self.report.any_refused() => Err(Failure::failed(self.report.refusals_told())
                .advise("Correct those places and load their files again: what is stored already stays as it is.")),
            Ended::Complete => Ok(()),
        }
    }
}
