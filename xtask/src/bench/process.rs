//! Processes that the benchmark starts, and what they use (proc(5)). Only these are ever ended.

use std::fs::{self, File};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};

/// The kernel counts CPU time for programs in hundredths of a second, whatever its own clock is (`USER_HZ`).
const TICKS_PER_SECOND: f64 = 100.0;
/// How long a server may take to stop.
const STOPPING: Duration = Duration::from_secs(15);
/// How long a server may take until it rests.
const SETTLING: Duration = Duration::from_secs(90);
/// The audit trail's index looks every two seconds whether the ledger has rested since, so it may begin after four.
const REST: Duration = Duration::from_millis(4500);
/// CPU seconds within [`REST`] that count as none.
const AT_REST: f64 = 0.05;
/// How often a running command is looked at.
const POLL: Duration = Duration::from_millis(20);

/// The core of servers, and the one of what loads them.
#[derive(Clone, Copy, Debug)]
pub enum Core {
    /// What is measured.
    Server,
    /// What drives it.
    Load,
    /// Both, where a server shall have two.
    Both,
}

impl Core {
    fn number(self) -> &'static str {
        match self {
            Self::Server => "0",
            Self::Load => "1",
            Self::Both => "0,1",
        }
    }

    /// A command that runs on this core only.
    pub fn command(self, program: &Path) -> Command {
        let mut command = Command::new("taskset");
        command.args(["-c", self.number()]).arg(program);
        command
    }
}

/// A server that runs until it is stopped or dropped.
#[derive(Debug)]
pub struct Server {
    child: Child,
    name: &'static str,
}

impl Server {
    /// Starts it; what it says goes into the log.
    pub fn start(name: &'static str, command: &mut Command, log: &Path) -> Result<Self> {
        let file = File::create(log).with_context(|| format!("cannot write {}", log.display()))?;
        let child = command.stdin(Stdio::null()).stdout(file.try_clone()?).stderr(file).spawn();
        Ok(Self { child: child.with_context(|| format!("cannot start {name}"))?, name })
    }

    /// Its process.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// Fails if it has ended.
    pub fn check(&mut self) -> Result<()> {
        match self.child.try_wait()? {
            None => Ok(()),
            Some(status) => bail!("{} has ended: {status}", self.name),
        }
    }

    /// User and system seconds of the process and all that descend from it.
    pub fn cpu_seconds(&self) -> Result<f64> {
        family(self.id()).into_iter().map(cpu_seconds).sum()
    }

    /// Resident memory in KiB.
    pub fn resident_kilobytes(&self) -> Result<f64> {
        memory(self.id(), "VmRSS:")
    }

    /// How many write calls the threads of this name have made.
    pub fn writes_of_thread(&self, name: &str) -> Result<u64> {
        let mut found = None;
        for task in fs::read_dir(format!("/proc/{}/task", self.id()))? {
            let task = task?.path();
            if fs::read_to_string(task.join("comm")).unwrap_or_default().trim() == name {
                let text = fs::read_to_string(task.join("io"))?;
                let calls = text.lines().find_map(|line| line.strip_prefix("syscw: ")).context("no syscw")?;
                *found.get_or_insert(0) += calls.trim().parse::<u64>()?;
            }
        }
        found.with_context(|| format!("{} has no thread {name}", self.name))
    }

    /// Waits until it uses no processor for longer than it sleeps between two pieces of background work. Returns the CPU seconds until then.
    pub fn rest(&self) -> Result<f64> {
        let begun = self.cpu_seconds()?;
        let patience = Instant::now() + SETTLING;
        let mut before = begun;
        while Instant::now() < patience {
            std::thread::sleep(REST);
            let now = self.cpu_seconds()?;
            if now - before < AT_REST {
                return Ok(now - begun);
            }
            before = now;
        }
        bail!("{} does not come to rest", self.name)
    }

    /// Stops it from running, so that it disturbs nobody, until it is resumed.
    pub fn pause(&self) -> Result<()> {
        self.signal("-STOP")
    }

    /// Lets it run again.
    pub fn resume(&self) -> Result<()> {
        self.signal("-CONT")
    }

    fn signal(&self, signal: &str) -> Result<()> {
        ensure!(Command::new("kill").args([signal, &self.id().to_string()]).status()?.success(), "{} has ended", self.name);
        Ok(())
    }

    /// Asks it to stop and waits.
    pub fn stop(mut self) -> Result<()> {
        self.end()
    }

    fn end(&mut self) -> Result<()> {
        if self.child.try_wait()?.is_some() {
            return Ok(());
        }
        self.signal("-TERM")?;
        // A paused one would not notice.
        self.signal("-CONT")?;
        let patience = Instant::now() + STOPPING;
        while Instant::now() < patience {
            if self.child.try_wait()?.is_some() {
                return Ok(());
            }
            std::thread::sleep(POLL);
        }
        self.child.kill()?;
        self.child.wait()?;
        bail!("{} did not stop when it was asked to", self.name)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        if let Err(error) = self.end() {
            eprintln!("xtask: {error:#}");
        }
    }
}

/// Does something with one server while the others are paused.
pub fn alone<T>(server: &Server, all: &[&Server], work: impl FnOnce() -> Result<T>) -> Result<T> {
    let others: Vec<&&Server> = all.iter().filter(|other| other.id() != server.id()).collect();
    others.iter().try_for_each(|other| other.pause())?;
    let done = work();
    others.iter().try_for_each(|other| other.resume())?;
    done
}

/// What a command took that has ended.
#[derive(Clone, Debug)]
pub struct Finished {
    /// Seconds by the wall clock.
    pub seconds: f64,
    /// CPU seconds, user and system, with everything that it started.
    pub cpu_seconds: f64,
    /// The most resident memory that was seen, KiB.
    pub peak_kilobytes: f64,
}

/// Runs a command to its end; bash counts what it took. `output` takes what it says, its errors go beside.
pub fn run(program: &Path, arguments: &[&str], output: &Path) -> Result<Finished> {
    let script = "TIMEFORMAT='%3R %3U %3S'; out=$1; shift; time \"$@\" >\"$out\" 2>\"$out.err\"";
    let mut child = Command::new("bash")
        .args(["-c", script, "bash"])
        .arg(output)
        .arg(program)
        .args(arguments)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .context("cannot start bash")?;
    let mut peak_kilobytes: f64 = 0.0;
    while child.try_wait()?.is_none() {
        for process in family(child.id()).into_iter().skip(1) {
            // One that ends meanwhile has no memory any more.
            peak_kilobytes = peak_kilobytes.max(memory(process, "VmHWM:").unwrap_or(0.0));
        }
        std::thread::sleep(POLL);
    }
    let ended = child.wait_with_output()?;
    let told = || fs::read_to_string(format!("{}.err", output.display())).unwrap_or_default();
    ensure!(ended.status.success(), "{} {} failed: {}", program.display(), arguments.join(" "), told().trim());
    let times = String::from_utf8_lossy(&ended.stderr).into_owned();
    let times: Vec<f64> = times.split_whitespace().filter_map(|time| time.parse().ok()).collect();
    let [seconds, user, system] = times.as_slice() else { bail!("bash did not count: {times:?}") };
    Ok(Finished { seconds: *seconds, cpu_seconds: user + system, peak_kilobytes })
}

/// The process and all that descend from it.
fn family(process: u32) -> Vec<u32> {
    let mut found = vec![process];
    let mut next = 0;
    while let Some(&parent) = found.get(next) {
        next += 1;
        for task in fs::read_dir(format!("/proc/{parent}/task")).into_iter().flatten().flatten() {
            let children = fs::read_to_string(task.path().join("children")).unwrap_or_default();
            found.extend(children.split_whitespace().filter_map(|child| child.parse::<u32>().ok()));
        }
    }
    found
}

fn cpu_seconds(process: u32) -> Result<f64> {
    let text = fs::read_to_string(format!("/proc/{process}/stat"))?;
    // The name, in parentheses, may hold anything; utime and stime are the fields 14 and 15.
    let fields: Vec<&str> = text.rsplit(')').next().unwrap_or_default().split_whitespace().collect();
    let ticks = |field: usize| fields.get(field).and_then(|text| text.parse::<f64>().ok()).context("/proc/PID/stat is too short");
    Ok((ticks(11)? + ticks(12)?) / TICKS_PER_SECOND)
}

fn memory(process: u32, name: &str) -> Result<f64> {
    let text = fs::read_to_string(format!("/proc/{process}/status"))?;
    let line = text.lines().find_map(|line| line.strip_prefix(name)).with_context(|| format!("no {name}"))?;
    Ok(line.trim().trim_end_matches(" kB").parse()?)
}

/// The load average of the last one, five and fifteen minutes.
pub fn load_average() -> String {
    let text = fs::read_to_string("/proc/loadavg").unwrap_or_default();
    text.split(' ').take(3).collect::<Vec<_>>().join(" ")
}
