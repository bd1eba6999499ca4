//! Work on large bodies, a bounded number at a time and off the threads that serve everybody else.
//!
//! To parse, validate and index 8 MiB takes many milliseconds and many times the memory. What is small is done where it is.

use tokio::runtime::{Handle, RuntimeFlavor};
use tokio::sync::Semaphore;

/// Bodies above this length wait for their turn, in bytes.
const LARGE: usize = 256 * 1024;
/// Large bodies that are worked on at once.
const AT_ONCE: usize = 2;

/// The turns.
#[derive(Debug)]
pub struct LargeBodies(Semaphore);

impl Default for LargeBodies {
    fn default() -> Self {
        Self(Semaphore::new(AT_ONCE))
    }
}

impl LargeBodies {
    /// Does work on a body of so many bytes.
    pub async fn run<T>(&self, bytes: usize, work: impl FnOnce() -> T) -> T {
        if bytes <= LARGE {
            return work();
        }
        // The semaphore is never closed; without a turn the work would still be right.
        let _turn = self.0.acquire().await;
        match Handle::current().runtime_flavor() {
            // There is no other thread to hand the waiting tasks to.
            RuntimeFlavor::CurrentThread => work(),
            _ => tokio::task::block_in_place(work),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::time::Duration;

    use super::*;

    #[tokio::test(flavor = "multi_thread", worker_threads = 1)]
    async fn large_bodies_wait_for_their_turn_and_hold_up_nobody_else() {
        let turns = Arc::new(LargeBodies::default());
        let (open, most) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
        let tasks: Vec<_> = (0..6)
            .map(|_| {
                let (turns, open, most) = (Arc::clone(&turns), Arc::clone(&open), Arc::clone(&most));
                tokio::spawn(async move {
                    let work = || {
                        most.fetch_max(open.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
                        std::thread::sleep(Duration::from_millis(100));
                        open.fetch_sub(1, Ordering::SeqCst);
                    };
                    turns.run(LARGE + 1, work).await;
                })
            })
            .collect();
        tokio::time::sleep(Duration::from_millis(20)).await;
        let begun = std::time::Instant::now();
        assert_eq!(tokio::spawn(async { 7 }).await.unwrap(), 7);
        assert!(begun.elapsed() < Duration::from_millis(80), "the only worker thread was held up");
        for task in tasks {
            task.await.unwrap();
        }
        assert_eq!(most.load(Ordering::SeqCst), AT_ONCE);
    }
}
