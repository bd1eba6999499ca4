//! Debian packages that tests and benchmarks need: installed where this runs as root on Debian, named where it does not.

use anyhow::{Result, bail};

use crate::run;

/// A program that must be there, and the package that brings it.
const NEEDED: &[(&str, &str)] = &[
    ("/usr/bin/chromium", "chromium"),
    ("/usr/bin/chromedriver", "chromium-driver"),
    ("/usr/bin/curl", "curl"),
    // A real SMTP server (tests/it/mail).
    ("/usr/lib/python3/dist-packages/aiosmtpd/__init__.py", "python3-aiosmtpd"),
];

/// Installs what the tests need and what is missing.
pub fn install() -> Result<()> {
    require(NEEDED, "the tests need")
}

/// Installs those of these programs that are missing; `who` begins the sentence that names them where that is not possible.
pub fn require(needed: &[(&str, &str)], who: &str) -> Result<()> {
    let missing: Vec<&str> =
        needed.iter().filter(|(program, _)| !std::path::Path::new(program).exists()).map(|(_, package)| *package).collect();
    if missing.is_empty() {
        return Ok(());
    }
    let command = format!("apt-get install --no-install-recommends {}", missing.join(" "));
    if !run::succeeds("sh", &["-c", "test \"$(id -u)\" = 0 && command -v apt-get"]) {
        bail!("{who} programs that are not here. As root on Debian: {command}");
    }
    let environment = [("DEBIAN_FRONTEND", "noninteractive"), ("RUNLEVEL", "1")];
    run::step("package lists", "apt-get", &["-qq", "update"], &environment)?;
    let mut arguments = vec!["-qq", "-y", "install", "--no-install-recommends"];
    arguments.extend(missing);
    run::step("packages", "apt-get", &arguments, &environment)
}
