//! Writing fails: nothing that failed is acknowledged, and nothing is accepted until the end has been found again.

use std::io;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use super::*;
use crate::segment::MAXIMUM_SEGMENT_BYTES;
use crate::{LedgerError, SegmentFile, SegmentStorage, verify};

/// Which call fails.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Fault {
    None,
    /// Nothing is written.
    Write,
    /// The disk is full: this many bytes are written, then an error.
    Full(usize),
    Sync,
    Create,
    /// Flushing takes as long as the switch is set.
    Hang,
}

/// Real files that fail once a switch is set.
#[derive(Debug)]
struct Faulty {
    fault: Fault,
    broken: Arc<AtomicBool>,
    delay: Duration,
}

impl Faulty {
    fn new(fault: Fault) -> Arc<Self> {
        Arc::new(Self { fault, broken: Arc::default(), delay: Duration::ZERO })
    }

    fn wrap(&self, file: Box<dyn SegmentFile>) -> Box<dyn SegmentFile> {
        Box::new(FaultyFile { file, fault: self.fault, broken: Arc::clone(&self.broken), delay: self.delay })
    }
}

struct FaultyFile {
    file: Box<dyn SegmentFile>,
    fault: Fault,
    broken: Arc<AtomicBool>,
    delay: Duration,
}

impl FaultyFile {
    fn fault(&self) -> Fault {
        if self.broken.load(Ordering::SeqCst) { self.fault } else { Fault::None }
    }
}

impl SegmentStorage for Faulty {
    fn create(&self, path: &Path) -> io::Result<Box<dyn SegmentFile>> {
        if self.fault == Fault::Create && self.broken.load(Ordering::SeqCst) {
            return Err(io::ErrorKind::StorageFull.into());
        }
        Ok(self.wrap(FileSegments.create(path)?))
    }

    fn open(&self, path: &Path) -> io::Result<Box<dyn SegmentFile>> {
        Ok(self.wrap(FileSegments.open(path)?))
    }
}

impl SegmentFile for FaultyFile {
    fn append(&mut self, bytes: &[u8]) -> io::Result<()> {
        match self.fault() {
            Fault::Write => Err(io::ErrorKind::Other.into()),
            Fault::Full(written) => {
                self.file.append(&bytes[..written.min(bytes.len())])?;
                Err(io::ErrorKind::StorageFull.into())
            }
            Fault::None | Fault::Sync | Fault::Create | Fault::Hang => self.file.append(bytes),
        }
    }

    fn sync_data(&mut self) -> io::Result<()> {
        std::thread::sleep(self.delay);
        while self.fault() == Fault::Hang {
            std::thread::sleep(Duration::from_millis(5));
        }
        if self.fault() == Fault::Sync { Err(io::ErrorKind::Other.into()) } else { self.file.sync_data() }
    }

    fn truncate(&mut self, length: u64) -> io::Result<()> {
        // A disk that fails does not promise to repair itself.
        if self.fault() == Fault::None { self.file.truncate(length) } else { Err(io::ErrorKind::Other.into()) }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn after_a_failure_nothing_is_acknowledged_until_the_ledger_is_opened_again() {
    for fault in [Fault::Write, Fault::Full(0), Fault::Full(10), Fault::Full(300), Fault::Full(700), Fault::Sync] {
        let directory = tempfile::tempdir().unwrap();
        let storage = Faulty::new(fault);
        let manner = (MAXIMUM_SEGMENT_BYTES, Duration::from_secs(3600));
        let ledger = Arc::new(Ledger::open_with(manner, directory.path(), storage.clone()).unwrap());
        append(&ledger, 0..3).await;
        let before = ledger.durable();
        storage.broken.store(true, Ordering::SeqCst);
        let tasks = (10..40).map(|number| {
            let ledger = Arc::clone(&ledger);
            tokio::spawn(async move { ledger.append(&record(number)).await })
        });
        for task in tasks.collect::<Vec<_>>() {
            let error = task.await.unwrap().unwrap_err();
            assert!(matches!(error, LedgerError::Storage(_)), "{fault:?}: {error}");
        }
        // The disk works again, but what it holds is not known.
        storage.broken.store(false, Ordering::SeqCst);
        assert!(matches!(ledger.append(&record(41)).await, Err(LedgerError::Storage(_))));
        assert!(matches!(ledger.append_many(&[record(42)]).await, Err(LedgerError::Storage(_))));
        let outbox = vec![(record(43).id, serde_json::to_vec(&record(43)).unwrap())];
        assert!(matches!(ledger.import_outbox(outbox).await, Err(LedgerError::Storage(_))));
        assert!(matches!(ledger.health(), Err(LedgerError::Storage(_))));
        assert!(matches!(ledger.close().await, Err(LedgerError::Storage(_))));
        assert_eq!(ledger.durable(), before, "{fault:?}");

        let ledger = Ledger::open(directory.path(), storage).unwrap();
        append(&ledger, 50..51).await;
        let numbers = numbers_read(directory.path());
        assert_eq!((&numbers[..3], numbers.last()), ([0, 1, 2].as_slice(), Some(&50)), "{fault:?}");
        assert!(numbers.iter().all(|number| *number < 40 || *number == 50));
        verify(directory.path(), Some(before.head), None).unwrap();
    }
}

/// Waits for the ledger to go on, or to be known as damaged.
async fn settled(ledger: &Ledger) -> Result<(), LedgerError> {
    let since = std::time::Instant::now();
    loop {
        match ledger.health() {
            Err(LedgerError::Storage(_)) if since.elapsed() < Duration::from_secs(20) => {
                tokio::time::sleep(Duration::from_millis(2)).await;
            }
            health => return health,
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_ledger_goes_on_by_itself_once_the_disk_does() {
    let outbox = || vec![(record(80).id, serde_json::to_vec(&record(80)).unwrap())];
    let faults = [Fault::Write, Fault::Full(0), Fault::Full(10), Fault::Full(300), Fault::Full(700), Fault::Sync, Fault::Create];
    for fault in faults {
        let directory = tempfile::tempdir().unwrap();
        let storage = Faulty::new(fault);
        let manner = (SMALL_SEGMENT_BYTES, Duration::from_millis(1));
        let ledger = Ledger::open_with(manner, directory.path(), storage.clone()).unwrap();
        append(&ledger, 0..3).await;
        let mut expected = vec![0, 1, 2];
        for round in 0..3 {
            storage.broken.store(true, Ordering::SeqCst);
            // A segment that cannot be begun is found out when one is needed.
            let mut written = 100 * (round + 1);
            while ledger.append(&record(written)).await.is_ok() {
                expected.push(written);
                written += 1;
            }
            assert!(ledger.import_outbox(outbox()).await.is_err());
            tokio::time::sleep(Duration::from_millis(10)).await;
            assert!(matches!(ledger.health(), Err(LedgerError::Storage(_))), "{fault:?}: the disk still refuses");
            let before = ledger.durable();
            storage.broken.store(false, Ordering::SeqCst);
            settled(&ledger).await.unwrap();
            assert_eq!(ledger.durable().head, before.head, "{fault:?}");
            append(&ledger, written + 50..written + 51).await;
            expected.push(written + 50);
        }
        ledger.import_outbox(outbox()).await.unwrap();
        ledger.import_outbox(outbox()).await.unwrap();
        expected.push(80);
        ledger.close().await.unwrap();
        assert_eq!(numbers_read(directory.path()), expected, "{fault:?}: what was acknowledged, and the outbox once");
        verify(directory.path(), Some(ledger.head()), None).unwrap();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_ledger_whose_files_changed_while_it_could_not_write_stays_down() {
    let directory = tempfile::tempdir().unwrap();
    let storage = Faulty::new(Fault::Write);
    let manner = (MAXIMUM_SEGMENT_BYTES, Duration::from_millis(1));
    let ledger = Ledger::open_with(manner, directory.path(), storage.clone()).unwrap();
    append(&ledger, 0..3).await;
    storage.broken.store(true, Ordering::SeqCst);
    assert!(ledger.append(&record(10)).await.is_err());
    let segment = &segment_files(directory.path())[0];
    let mut bytes = std::fs::read(segment).unwrap();
    bytes[200] ^= 1;
    std::fs::write(segment, bytes).unwrap();
    storage.broken.store(false, Ordering::SeqCst);
    assert!(matches!(settled(&ledger).await, Err(LedgerError::Damaged(_))));
    assert!(matches!(ledger.append(&record(11)).await, Err(LedgerError::Damaged(_))));
    assert!(matches!(ledger.close().await, Err(LedgerError::Damaged(_))));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_waits_for_room_when_writing_fails_is_refused_and_gives_its_room_back() {
    let directory = tempfile::tempdir().unwrap();
    let storage = Faulty::new(Fault::Sync);
    let ledger = Ledger::open_with((MAXIMUM_SEGMENT_BYTES, Duration::from_millis(1)), directory.path(), storage.clone()).unwrap();
    for _ in 0..3 {
        storage.broken.store(true, Ordering::SeqCst);
        let long = Record { detail: Some("x".repeat(15 * 1024 * 1024)), ..record(1) };
        let results = tokio::join!(ledger.append(&long), ledger.append(&long), ledger.append(&long), ledger.append(&long));
        assert!([results.0, results.1, results.2, results.3].iter().all(Result::is_err));
        storage.broken.store(false, Ordering::SeqCst);
        settled(&ledger).await.unwrap();
    }
    let long = Record { detail: Some("x".repeat(15 * 1024 * 1024)), ..record(2) };
    let (one, other) = tokio::join!(ledger.append(&long), ledger.append(&long));
    assert!(one.is_ok() && other.is_ok(), "all of the queue is free");
}

#[tokio::test]
async fn a_segment_that_cannot_be_begun_ends_the_ledger() {
    let directory = tempfile::tempdir().unwrap();
    let storage = Faulty::new(Fault::Create);
    let manner = (SMALL_SEGMENT_BYTES, Duration::from_secs(3600));
    let ledger = Ledger::open_with(manner, directory.path(), storage.clone()).unwrap();
    append(&ledger, 0..1).await;
    storage.broken.store(true, Ordering::SeqCst);
    let mut written = 1;
    let error = loop {
        match ledger.append(&record(written)).await {
            Ok(_) => written += 1,
            Err(error) => break error,
        }
    };
    assert!(matches!(error, LedgerError::Storage(source) if source.kind() == io::ErrorKind::StorageFull));
    assert_eq!(ledger.head().records, written as u64);
    storage.broken.store(false, Ordering::SeqCst);
    assert!(ledger.append(&record(99)).await.is_err());
    drop(ledger);
    let ledger = open_small(directory.path());
    append(&ledger, written..written + 1).await;
    assert_eq!(numbers_read(directory.path()), (0..=written).collect::<Vec<_>>());
}

#[tokio::test]
async fn a_directory_that_cannot_be_written_is_not_opened() {
    let directory = tempfile::tempdir().unwrap();
    let storage = Faulty::new(Fault::Write);
    storage.broken.store(true, Ordering::SeqCst);
    assert!(matches!(Ledger::open(directory.path(), storage), Err(LedgerError::Open(_))));
    let file = directory.path().join("file");
    std::fs::write(&file, b"").unwrap();
    assert!(matches!(Ledger::open(&file, Arc::new(FileSegments)), Err(LedgerError::Open(_))));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn closing_flushes_what_waits_and_refuses_what_comes_later() {
    let directory = tempfile::tempdir().unwrap();
    let storage = Arc::new(Faulty { delay: Duration::from_millis(20), fault: Fault::None, broken: Arc::default() });
    let ledger = Arc::new(Ledger::open(directory.path(), storage.clone()).unwrap());
    let tasks = (0..20).map(|number| {
        let ledger = Arc::clone(&ledger);
        tokio::spawn(async move { ledger.append(&record(number)).await.is_ok() })
    });
    let tasks = tasks.collect::<Vec<_>>();
    tokio::time::sleep(Duration::from_millis(5)).await;
    let (first, second) = tokio::join!(ledger.close(), ledger.close());
    assert!(first.is_ok() && second.is_ok());
    assert!(matches!(ledger.append(&record(30)).await, Err(LedgerError::Closed)));
    let mut acknowledged = 0;
    for task in tasks {
        acknowledged += usize::from(task.await.unwrap());
    }
    assert!(acknowledged > 0);
    assert_eq!(numbers_read(directory.path()).len(), acknowledged);
    ledger.close().await.unwrap();
}

#[tokio::test]
async fn a_queue_that_stays_full_refuses_after_the_named_time() {
    let directory = tempfile::tempdir().unwrap();
    let storage = Faulty::new(Fault::Hang);
    let ledger = Arc::new(Ledger::open(directory.path(), storage.clone()).unwrap());
    storage.broken.store(true, Ordering::SeqCst);
    let long = |kibibytes: usize, number| Record { detail: Some("x".repeat(kibibytes * 1024)), ..record(number) };
    let filler = (0..3).map(|number| {
        let (ledger, record) = (Arc::clone(&ledger), long(10 * 1024, number));
        tokio::spawn(async move { ledger.append(&record).await.is_ok() })
    });
    let filler = filler.collect::<Vec<_>>();
    tokio::task::yield_now().await;
    let started = std::time::Instant::now();
    assert!(matches!(ledger.append(&long(10 * 1024, 90)).await, Err(LedgerError::Busy)));
    assert!(started.elapsed() >= crate::ledger::ADMISSION_TIMEOUT);
    assert_eq!(ledger.head().records, 0);
    storage.broken.store(false, Ordering::SeqCst);
    for task in filler {
        assert!(task.await.unwrap(), "what was queued is not lost");
    }
    append(&ledger, 91..92).await;
    assert_eq!(ledger.head().records, 4);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn dropping_the_waiting_side_neither_loses_nor_blocks_anything() {
    let directory = tempfile::tempdir().unwrap();
    let ledger = Arc::new(open(directory.path()));
    for number in 0..200 {
        let ledger = Arc::clone(&ledger);
        let task = tokio::spawn(async move { ledger.append(&record(number)).await.is_ok() });
        if number % 3 == 0 {
            task.abort();
        }
    }
    ledger.append(&record(1000)).await.unwrap();
    ledger.close().await.unwrap();
    let report = verify(directory.path(), Some(ledger.head()), None).unwrap();
    assert_eq!(report.head.records, numbers_read(directory.path()).len() as u64);
}
