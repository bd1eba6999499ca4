//! The folder in which a run works: release binaries, synthetic data in files, and data directories of demos.

use std::collections::HashSet;
use std::fs;
use std::io::{BufRead, BufReader, BufWriter, Write};
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use serde_json::Value;

use super::person::Person;
use super::process::{self, Core, Finished, Server};
use crate::run;

/// Patients of the small demo: about 10^3 resources.
const SMALL_PATIENTS: &str = "8";
/// Patients of the data: more than 10^5 resources.
const ALL_PATIENTS: &str = "1000";
/// The seed of `portcullis demo`, so that the demo's patients are among the data.
const SEED: &str = "0";
/// Resources of the large store.
pub const LARGE: usize = 100_000;
/// Resources of one bulk load that is repeated.
pub const BULK: usize = 40_000;
/// Resources of the load whose memory is compared with that of the large one.
pub const TENTH: usize = 10_000;
/// Resources of one load whose growth is measured.
pub const GROWTH: usize = 2_000;
/// Resources of one round of transactions.
pub const TRANSACTIONS: usize = 2_000;
/// How long a demo may take to start.
const STARTING: Duration = Duration::from_secs(60);

/// Binaries and files.
#[derive(Debug)]
pub struct Workshop {
    /// Everything that a run makes.
    pub folder: PathBuf,
    portcullis: PathBuf,
    harness: PathBuf,
    /// Resources of the small store.
    pub small_resources: usize,
}

impl Workshop {
    /// Builds, and makes the data.
    pub fn open(rounds: usize) -> Result<Self> {
        run::step("release build", "cargo", &["build", "--quiet", "--release", "--locked", "--bin", "portcullis"], &[])?;
        let example = ["build", "--quiet", "--release", "--locked", "-p", "portcullis-testkit", "--example", "bench"];
        run::step("measuring harness", "cargo", &example, &[])?;
        let target = target_directory()?;
        let folder = target.join("bench");
        if folder.exists() {
            fs::remove_dir_all(&folder)?;
        }
        fs::create_dir_all(&folder)?;
        let release = target.join("release");
        let mut workshop =
            Self { folder, portcullis: release.join("portcullis"), harness: release.join("examples/bench"), small_resources: 0 };
        workshop.make_data(rounds)?;
        Ok(workshop)
    }

    /// A file or folder of this run.
    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.join(name)
    }

    /// The same as text.
    pub fn text(&self, name: &str) -> String {
        self.path(name).display().to_string()
    }

    /// Runs the harness and returns what it found.
    pub fn harness(&self, arguments: &[&str]) -> Result<Value> {
        let output = self.path("harness.json");
        let (temporary, harness) = (format!("TMPDIR={}", self.folder.display()), self.harness.display().to_string());
        let mut all = vec![temporary.as_str(), harness.as_str()];
        all.extend(arguments);
        process::run(Path::new("env"), &all, &output)?;
        serde_json::from_slice(&fs::read(&output)?).context("the harness said no JSON")
    }

    /// The same on the servers' core, for what is measured against a server there.
    pub fn harness_on_server_core(&self, arguments: &[&str]) -> Result<Value> {
        let output = Core::Server.command(&self.harness).args(arguments).output().context("cannot start the harness")?;
        ensure!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        serde_json::from_slice(&output.stdout).context("the harness said no JSON")
    }

    /// A command of the harness that serves, on the servers' core.
    pub fn harness_server(&self, arguments: &[&str], name: &'static str) -> Result<Server> {
        let mut command = Core::Server.command(&self.harness);
        Server::start(name, command.args(arguments), &self.path("harness.log"))
    }

    /// Loads a file into a data directory.
    pub fn load(&self, file: &str, directory: &str) -> Result<Finished> {
        let (file, directory) = (self.text(file), self.text(directory));
        process::run(&self.portcullis, &["load", &file, "--data-dir", &directory], &self.path("load.txt"))
    }

    /// Registers a client at the server that has a data directory open.
    pub fn add_client(&self, directory: &str, properties: &[&str]) -> Result<()> {
        let directory = self.text(directory);
        let arguments = [&["clients", "add", "--data-dir", &directory], properties].concat();
        process::run(&self.portcullis, &arguments, &self.path("client.txt")).map(|_| ())
    }

    /// A data directory with what the small demo holds.
    pub fn copy_small(&self, name: &str) -> Result<()> {
        self.copy("small", name)
    }

    /// A data directory with what another one holds, which no server has open.
    pub fn copy(&self, from: &str, name: &str) -> Result<()> {
        if self.path(name).exists() {
            fs::remove_dir_all(self.path(name))?;
        }
        run_quietly(Command::new("cp").arg("-a").arg(self.path(from)).arg(self.path(name)))
    }

    /// Serves a data directory on the servers' core and waits until it answers.
    pub fn demo(&self, directory: &str, name: &'static str) -> Result<(Server, Person, u16)> {
        self.demo_on(Core::Server, directory, name)
    }

    /// The same on other cores.
    pub fn demo_on(&self, core: Core, directory: &str, name: &'static str) -> Result<(Server, Person, u16)> {
        let port = free_ports()?;
        let mut command = core.command(&self.portcullis);
        command.args(["demo", "--patients", SMALL_PATIENTS, "--port", &port.to_string(), "--data-dir"]).arg(self.path(directory));
        let log = self.path(&format!("{directory}.log"));
        let mut server = Server::start(name, &mut command, &log)?;
        let patience = Instant::now() + STARTING;
        loop {
            if let Err(error) = server.check() {
                bail!("{error}: {}", fs::read_to_string(&log).unwrap_or_default());
            }
            // An earlier start may have left a file that names another port.
            if let Ok(person) = Person::read(&self.path(directory))
                && person.is_at(port)
                && person.is_served()
            {
                return Ok((server, person, port));
            }
            ensure!(Instant::now() < patience, "{name} does not answer: {}", fs::read_to_string(&log).unwrap_or_default());
            std::thread::sleep(Duration::from_millis(50));
        }
    }

    /// Generates all resources, makes the small demo, and cuts what it does not hold into files.
    fn make_data(&mut self, rounds: usize) -> Result<()> {
        eprintln!("==> data");
        let generate = |patients: &str, file: &str| {
            process::run(&self.portcullis, &["generate", "--patients", patients, "--seed", SEED], &self.path(file))
        };
        generate(ALL_PATIENTS, "all.ndjson")?;
        generate(SMALL_PATIENTS, "small.ndjson")?;
        let (server, _, _) = self.demo("small", "small demo")?;
        server.stop()?;
        let held: HashSet<String> = lines(&self.path("small.ndjson"))?.collect::<Result<_>>()?;
        self.small_resources = held.len();
        let mut rest = lines(&self.path("all.ndjson"))?.filter(|line| !line.as_ref().is_ok_and(|line| held.contains(line)));
        self.cut(&mut rest, "base.ndjson", LARGE - held.len())?;
        // Raw SQLite gets what the large store holds in the end.
        let mut large = lines(&self.path("small.ndjson"))?.chain(lines(&self.path("base.ndjson"))?);
        self.cut(&mut large, "large.ndjson", LARGE)?;
        for round in 0..rounds {
            self.cut(&mut rest, &format!("growth-{round}.ndjson"), GROWTH)?;
        }
        // The directory comes first and is unlike the charts; what is loaded again and again is charts.
        for (file, count) in [("bulk.ndjson", BULK), ("tenth.ndjson", TENTH), ("transactions.ndjson", rounds * TRANSACTIONS)] {
            self.cut(&mut lines(&self.path("base.ndjson"))?.skip(LARGE / 2), file, count)?;
        }
        // A file with nothing in it is refused; what every store holds already changes nothing.
        self.cut(&mut lines(&self.path("small.ndjson"))?, "known.ndjson", 1)
    }

    fn cut(&self, from: &mut impl Iterator<Item = Result<String>>, file: &str, count: usize) -> Result<()> {
        let mut output = BufWriter::new(fs::File::create(self.path(file))?);
        let mut written = 0;
        for line in from.take(count) {
            writeln!(output, "{}", line?)?;
            written += 1;
        }
        ensure!(written == count, "too few resources for {file}: {written} of {count}");
        Ok(output.flush()?)
    }
}

fn lines(path: &Path) -> Result<impl Iterator<Item = Result<String>> + use<>> {
    let file = fs::File::open(path).with_context(|| format!("cannot read {}", path.display()))?;
    Ok(BufReader::new(file).lines().map(|line| Ok(line?)))
}

fn target_directory() -> Result<PathBuf> {
    let output =
        Command::new("cargo").args(["metadata", "--no-deps", "--format-version", "1"]).current_dir(run::root()).output()?;
    let metadata: Value = serde_json::from_slice(&output.stdout).context("cargo metadata")?;
    Ok(metadata.get("target_directory").and_then(Value::as_str).context("cargo names no target directory")?.into())
}

/// A port that is free together with the next one.
pub fn free_ports() -> Result<u16> {
    for _ in 0..50 {
        let first = TcpListener::bind(("127.0.0.1", 0))?;
        let port = first.local_addr()?.port();
        if port < u16::MAX && TcpListener::bind(("127.0.0.1", port + 1)).is_ok() {
            return Ok(port);
        }
    }
    bail!("no two free ports in a row")
}

fn run_quietly(command: &mut Command) -> Result<()> {
    ensure!(command.status()?.success(), "{command:?} failed");
    Ok(())
}
