//! Many requests at once share a flush; one alone does not wait for others.

use std::io;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use super::*;
use crate::{RecordSink, SegmentFile, SegmentStorage, verify};

/// Real files that count their flushes, each of which takes at least as long as told.
#[derive(Debug, Default)]
struct Counting {
    syncs: Arc<AtomicU64>,
    delay: Duration,
}

struct CountingFile(Box<dyn SegmentFile>, Arc<AtomicU64>, Duration);

impl SegmentStorage for Counting {
    fn create(&self, path: &Path) -> io::Result<Box<dyn SegmentFile>> {
        Ok(Box::new(CountingFile(FileSegments.create(path)?, Arc::clone(&self.syncs), self.delay)))
    }

    fn open(&self, path: &Path) -> io::Result<Box<dyn SegmentFile>> {
        Ok(Box::new(CountingFile(FileSegments.open(path)?, Arc::clone(&self.syncs), self.delay)))
    }
}

impl SegmentFile for CountingFile {
    fn append(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.0.append(bytes)
    }

    fn sync_data(&mut self) -> io::Result<()> {
        self.1.fetch_add(1, Ordering::SeqCst);
        std::thread::sleep(self.2);
        self.0.sync_data()
    }

    fn truncate(&mut self, length: u64) -> io::Result<()> {
        self.0.truncate(length)
    }
}

/// `tasks` appending tasks with `each` records; the records that are durable then.
async fn run(ledger: &Arc<Ledger>, tasks: usize, each: usize) {
    let running = (0..tasks).map(|task| {
        let ledger = Arc::clone(ledger);
        tokio::spawn(async move {
            for number in 0..each {
                ledger.append(&record(task * each + number)).await.unwrap();
            }
        })
    });
    for task in running.collect::<Vec<_>>() {
        task.await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sixty_four_waiting_tasks_share_their_flushes() {
    let directory = tempfile::tempdir().unwrap();
    let storage = Arc::new(Counting { delay: Duration::from_micros(500), ..Counting::default() });
    let ledger = Arc::new(Ledger::open(directory.path(), storage.clone()).unwrap());
    let before = storage.syncs.load(Ordering::SeqCst);
    run(&ledger, 64, 50).await;
    let syncs = storage.syncs.load(Ordering::SeqCst) - before;
    assert_eq!(ledger.durable().flushes, syncs);
    assert!(3200 / syncs >= 15, "3200 records took {syncs} flushes");
    let mut numbers = numbers_read(directory.path());
    numbers.sort_unstable();
    assert_eq!(numbers, (0..3200).collect::<Vec<_>>());
    verify(directory.path(), Some(ledger.head()), None).unwrap();
}

#[tokio::test]
async fn one_task_alone_gets_one_flush_per_record() {
    let directory = tempfile::tempdir().unwrap();
    let ledger = open(directory.path());
    append(&ledger, 0..20).await;
    assert_eq!(ledger.durable().flushes, 20);
}

#[tokio::test]
async fn a_record_is_flushed_although_its_task_goes_away_while_it_lets_others_run() {
    let directory = tempfile::tempdir().unwrap();
    let ledger = open(directory.path());
    let mut durable = ledger.follow();
    let record = record(0);
    let mut append = Box::pin(ledger.append(&record));
    let polled = std::future::poll_fn(|context| std::task::Poll::Ready(append.as_mut().poll(context))).await;
    assert!(polled.is_pending());
    assert_eq!(ledger.head().records, 0);
    drop(append);
    tokio::time::timeout(Duration::from_secs(10), durable.changed()).await.unwrap().unwrap();
    assert_eq!(numbers_read(directory.path()), [0]);
}

#[tokio::test]
async fn what_tasks_append_that_can_run_comes_into_one_flush() {
    let directory = tempfile::tempdir().unwrap();
    let ledger = Arc::new(open(directory.path()));
    run(&ledger, 32, 1).await;
    assert_eq!(ledger.durable().flushes, 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn records_of_one_task_stand_in_the_order_of_their_receipts() {
    let directory = tempfile::tempdir().unwrap();
    let ledger = Arc::new(open_small(directory.path()));
    run(&ledger, 16, 30).await;
    let numbers = numbers_read(directory.path());
    for task in 0..16 {
        let own = numbers.iter().filter(|number| **number / 30 == task).collect::<Vec<_>>();
        assert!(own.len() == 30 && own.is_sorted(), "task {task}: {own:?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_follower_reads_every_record_while_others_append() {
    let directory = tempfile::tempdir().unwrap();
    let ledger = Arc::new(open_small(directory.path()));
    let mut durable = ledger.follow();
    let reader = ledger.reader();
    let follower = tokio::spawn(async move {
        let (mut position, mut read) = (crate::Position::START, 0);
        while read < 400 {
            durable.changed().await.unwrap();
            let until = durable.borrow_and_update().position;
            for located in reader.records(position, Some(until)) {
                position = located.unwrap().next;
                read += 1;
            }
        }
        read
    });
    run(&ledger, 20, 20).await;
    assert_eq!(follower.await.unwrap(), 400);
}

#[tokio::test]
async fn a_sink_is_usable_behind_dyn_and_appends_to_the_ledger() {
    let directory = tempfile::tempdir().unwrap();
    let sink: Arc<dyn RecordSink> = Arc::new(open(directory.path()));
    let receipt = sink.append(record(4)).await.unwrap();
    assert_eq!(*receipt.record(), record(4).id);
    assert_eq!(numbers_read(directory.path()), [4]);
}

/// Prints what one record costs here; it asserts no time. The processor time is that of the whole process.
#[test]
fn what_a_record_costs_is_printed() {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    for (tasks, each) in [(1, 200), (64, 200), (256, 50)] {
        let directory = tempfile::tempdir().unwrap();
        let ledger = Arc::new(open(directory.path()));
        let (started, ticks) = (Instant::now(), processor_ticks());
        runtime.block_on(run(&ledger, tasks, each));
        let count = u32::try_from(tasks * each).unwrap();
        let elapsed = started.elapsed();
        // One tick is 10 ms on Linux.
        let processor = (processor_ticks() - ticks) * 10_000 / u64::from(count);
        let flushes = ledger.durable().flushes;
        println!(
            "{tasks} tasks: {processor} µs CPU and {} ns per record, {:.1} records per flush, {} µs per flush",
            elapsed.as_nanos() / u128::from(count),
            f64::from(count) / flushes as f64,
            elapsed.as_micros() / u128::from(flushes),
        );
        assert_eq!(ledger.head().records, u64::from(count));
    }
}

/// User and system time of this process; zero where the system has no `/proc`.
fn processor_ticks() -> u64 {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap_or_default();
    let fields = stat.rsplit(") ").next().unwrap_or_default().split(' ').collect::<Vec<_>>();
    [11, 12].iter().filter_map(|index| fields.get(*index)?.parse::<u64>().ok()).sum()
}
