//! Time and CPU time of a piece of work, and percentiles.

use std::time::{Duration, Instant};

/// What a piece of work took.
#[derive(Clone, Copy, Debug)]
pub struct Cost {
    /// Seconds by the wall clock.
    pub seconds: f64,
    /// CPU seconds of all threads of this process, user and system.
    pub cpu_seconds: f64,
}

/// Does the work and says what it took. Threads that end within it are not counted.
pub fn measure(work: impl FnOnce()) -> Cost {
    let (started, before) = (Instant::now(), cpu_nanoseconds());
    work();
    Cost { seconds: started.elapsed().as_secs_f64(), cpu_seconds: (cpu_nanoseconds() - before) as f64 / 1e9 }
}

/// CPU nanoseconds of the threads that live now (the first number of `/proc/self/task/*/schedstat`).
fn cpu_nanoseconds() -> u64 {
    let tasks = std::fs::read_dir("/proc/self/task").unwrap();
    let of = |task: std::io::Result<std::fs::DirEntry>| {
        let text = std::fs::read_to_string(task.unwrap().path().join("schedstat")).unwrap_or_default();
        text.split(' ').next().and_then(|number| number.parse::<u64>().ok()).unwrap_or(0)
    };
    tasks.map(of).sum()
}

/// A percentile in microseconds; sorts what it is given.
pub fn percentile_microseconds(durations: &mut [Duration], percent: usize) -> f64 {
    durations.sort_unstable();
    durations[(durations.len() * percent / 100).min(durations.len() - 1)].as_secs_f64() * 1e6
}
