//! The reading half of a load, on a thread of its own: sources become batches, a few ahead of the writer.

use std::sync::Arc;
use std::sync::atomic::AtomicU64;

use portcullis_server::admin::protocol::{ImportResource, Reason};
use tokio::sync::mpsc;

use super::framing::{Text, Texts, Unreadable};
use super::items::{Item, Place, items};
use super::source::Source;

/// Resources in one batch at most. A batch is one transaction: the more resources share it, the fewer pages of the indexes are written again and again.
const BATCH_RESOURCES: usize = 1000;
/// Bytes after which a batch takes no further resource.
const BATCH_BYTES: usize = 4 * 1024 * 1024;

/// What was read next.
#[derive(Debug)]
pub enum Event {
    /// Resources to store.
    Batch(Batch),
    /// Something that cannot be stored.
    Refused(usize, Place, Vec<Reason>),
    /// A transaction of which nothing is stored: its Bundle's place, how many entries it has, and what is wrong.
    TransactionRefused(usize, Place, u64, Vec<(Place, Vec<Reason>)>),
    /// A source that could be read no further.
    Broken(usize, Unreadable),
    /// Everything of a source has been sent.
    Finished(usize),
}

/// Resources of one source that follow each other.
#[derive(Debug, Default)]
pub struct Batch {
    /// Which source, by its place in the list.
    pub source: usize,
    /// The number of the first resource among all items of the source.
    pub first: u64,
    /// The number of the item that follows the last one.
    pub next: u64,
    /// Where each resource stands.
    pub places: Vec<Place>,
    /// The resources.
    pub resources: Vec<ImportResource>,
    /// The place of the Bundle, where the resources are stored together or not at all.
    pub transaction: Option<Place>,
    bytes: usize,
}

/// A source and how much of it an earlier load has stored.
#[derive(Clone, Debug)]
pub struct Planned {
    /// The source.
    pub source: Source,
    /// Items that were dealt with before.
    pub skip: u64,
}

/// Reads all sources, one after the other. Ends early when nobody takes the events.
pub fn read(sources: &[Planned], counter: &Arc<AtomicU64>, events: &mpsc::Sender<Event>) {
    for (index, planned) in sources.iter().enumerate() {
        let mut reading = Reading { index, batch: Batch::default(), next: 0, skip: planned.skip, events };
        if reading.source(&planned.source, counter).is_none() {
            return;
        }
    }
}

struct Reading<'a> {
    index: usize,
    batch: Batch,
    next: u64,
    skip: u64,
    events: &'a mpsc::Sender<Event>,
}

/// `None` where nobody listens any more.
type Sent = Option<()>;

impl Reading<'_> {
    fn source(&mut self, source: &Source, counter: &Arc<AtomicU64>) -> Sent {
        match source.open(counter) {
            Err(error) => {
                let unreadable = Unreadable { line: 0, reason: format!("The file cannot be opened: {error}.") };
                self.send(Event::Broken(self.index, unreadable))?;
            }
            Ok(reader) => {
                let mut texts = Texts::new(reader, source.named_as_lines()).peekable();
                if texts.peek().is_none() {
                    let what = if source.path.is_some() { "The file is empty" } else { "Standard input was empty" };
                    let reason = format!("{what}: there is nothing to load from it.");
                    self.send(Event::Broken(self.index, Unreadable { line: 0, reason }))?;
                }
                for text in texts {
                    self.text(text)?;
                }
                self.flush()?;
            }
        }
        self.send(Event::Finished(self.index))
    }

    fn text(&mut self, text: Result<Text, Unreadable>) -> Sent {
        let text = match text {
            Ok(text) => text,
            Err(unreadable) => {
                self.flush()?;
                return self.send(Event::Broken(self.index, unreadable));
            }
        };
        for item in items(text) {
            let number = self.next;
            self.next += item.numbers();
            if number < self.skip {
                continue;
            }
            match item {
                Item::Resource(place, resource) => self.resource(number, place, resource)?,
                Item::Refused(place, reasons) => {
                    // A batch has no holes, so that the numbers of its resources follow from the first one.
                    self.flush()?;
                    self.send(Event::Refused(self.index, place, reasons))?;
                }
                Item::Nothing => self.flush()?,
                Item::Transaction(place, resources) => {
                    self.flush()?;
                    let (places, resources) = resources.into_iter().unzip();
                    let whole =
                        Batch { first: number, next: self.next, places, resources, transaction: Some(place), ..Batch::default() };
                    self.send(Event::Batch(Batch { source: self.index, ..whole }))?;
                }
                Item::TransactionRefused { place, entries, refusals } => {
                    self.flush()?;
                    self.send(Event::TransactionRefused(self.index, place, entries, refusals))?;
                }
            }
        }
        Some(())
    }

    fn resource(&mut self, number: u64, place: Place, resource: ImportResource) -> Sent {
        let length = resource.resource.get().len();
        if self.batch.resources.len() >= BATCH_RESOURCES || (self.batch.bytes > 0 && self.batch.bytes + length > BATCH_BYTES) {
            self.flush()?;
        }
        if self.batch.resources.is_empty() {
            self.batch.first = number;
        }
        self.batch.bytes += length;
        self.batch.next = number + 1;
        self.batch.places.push(place);
        self.batch.resources.push(resource);
        Some(())
    }

    fn flush(&mut self) -> Sent {
        if self.batch.resources.is_empty() {
            return Some(());
        }
        let batch = std::mem::take(&mut self.batch);
        self.send(Event::Batch(Batch { source: self.index, ..batch }))
    }

    fn send(&self, event: Event) -> Sent {
        self.events.blocking_send(event).ok()
    }
}

#[cfg(test)]
mod tests {
    use std::fmt::Write as _;
    use std::path::PathBuf;

    use super::super::source::collect;
    use super::*;

    fn events(path: PathBuf, skip: u64) -> Vec<Event> {
        let source = collect(&[path]).unwrap().remove(0);
        let (sender, mut receiver) = mpsc::channel(10_000);
        read(&[Planned { source, skip }], &Arc::default(), &sender);
        std::iter::from_fn(|| receiver.try_recv().ok()).collect()
    }

    fn batches(events: &[Event]) -> Vec<(u64, u64)> {
        let range = |event: &Event| match event {
            Event::Batch(batch) => Some((batch.first, batch.next)),
            _ => None,
        };
        events.iter().filter_map(range).collect()
    }

    #[test]
    fn batches_are_bounded_and_have_no_holes() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.ndjson");
        let mut text = String::new();
        for number in 0..2400 {
            let line = if number == 1200 {
                "{broken".to_owned()
            } else {
                format!("{{\"resourceType\":\"Patient\",\"id\":\"{number}\"}}")
            };
            writeln!(text, "{line}").unwrap();
        }
        std::fs::write(&path, text).unwrap();
        let found = events(path.clone(), 0);
        assert_eq!(batches(&found), [(0, 1000), (1000, 1200), (1201, 2201), (2201, 2400)]);
        assert!(found.iter().any(|event| matches!(event, Event::Refused(0, place, _) if place.line == 1201)));
        assert!(matches!(found.last(), Some(Event::Finished(0))));
        assert_eq!(
            batches(&events(path, 1000)),
            [(1000, 1200), (1201, 2201), (2201, 2400)],
            "what was stored before is not sent again"
        );
    }

    #[test]
    fn an_empty_source_is_told_of() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.json");
        for text in ["", "\n", " \n\n"] {
            std::fs::write(&path, text).unwrap();
            let found = events(path.clone(), 0);
            assert!(
                matches!(&found[..], [Event::Broken(0, Unreadable { line: 0, reason }), Event::Finished(0)] if reason.contains("is empty")),
                "{text:?}: {found:?}"
            );
        }
        std::fs::write(&path, "{}").unwrap();
        assert!(!events(path, 0).iter().any(|event| matches!(event, Event::Broken(..))));
    }

    #[test]
    fn a_large_resource_travels_alone() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.ndjson");
        let large = "x".repeat(5 * 1024 * 1024);
        std::fs::write(&path, format!("{{\"id\":\"a\"}}\n{{\"id\":\"{large}\"}}\n{{\"id\":\"b\"}}\n")).unwrap();
        assert_eq!(batches(&events(path, 0)), [(0, 1), (1, 2), (2, 3)]);
    }
}
