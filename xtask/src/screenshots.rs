//! `cargo xtask screenshots`: the pictures of docs/, made by the tests that look at every page (tests/it/pages), so that they show what is.
//!
//! The people in them are made up, the clock is that of the tests, and no path of a machine is on a page.

use std::fs;
use std::path::Path;

use anyhow::{Context, Result, bail, ensure};

use crate::packages;
use crate::run::{root, step};

/// What makes pictures small.
const NEEDED: &[(&str, &str)] = &[("/usr/bin/pngquant", "pngquant"), ("/usr/bin/optipng", "optipng")];
/// The tests that take the pictures.
const TESTS: &str = "_keeps_to_wcag_2_2";
/// The pictures that docs show.
const SHOWN: &[&str] = &[
    "start-desk-light",
    "login-for-an-app-phone-light",
    "consent-desk-light",
    "consent-unverified-phone-dark",
    "patients-search-desk-light",
    "chart-desk-dark",
    "me-desk-light",
    "me-passkey-phone-dark",
    "authenticator-phone-light",
    "second-factor-refused-desk-dark",
    "link-used-phone-light",
    "app-record-desk-light",
    "consent-phone-light-es",
    "forgotten-sent-phone-light",
];
/// The most bytes of a picture, and of all.
const PICTURE: u64 = 120_000;
const ALL: u64 = 1_000_000;

/// Takes the pictures and puts those that docs show into docs/screenshots.
pub fn run() -> Result<()> {
    packages::install()?;
    packages::require(NEEDED, "the pictures need")?;
    let taken = root().join("target/screenshots");
    let folder = taken.display().to_string();
    let arguments = ["test", "--quiet", "--locked", "-p", "portcullis", "--test", "it", "--", TESTS];
    // A picture of before is not taken for one of now.
    if taken.exists() {
        fs::remove_dir_all(&taken)?;
    }
    step("pictures", "cargo", &arguments, &[("PORTCULLIS_SCREENSHOTS", &folder)])?;
    let shown = root().join("docs/screenshots");
    fs::create_dir_all(&shown)?;
    let mut all = 0;
    for name in SHOWN {
        let picture = shown.join(format!("{name}.png"));
        fs::copy(taken.join(format!("{name}.png")), &picture).with_context(|| format!("the tests took no picture {name}"))?;
        let bytes = compressed(&picture)?;
        ensure!(bytes < PICTURE, "{name} has {bytes} bytes");
        all += bytes;
    }
    ensure!(all < ALL, "the pictures have {all} bytes");
    only_these(&shown)?;
    eprintln!("==> {} pictures with {all} bytes are in docs/screenshots", SHOWN.len());
    Ok(())
}

/// Makes a picture small in its place; its size then.
fn compressed(picture: &Path) -> Result<u64> {
    let path = picture.display().to_string();
    step("colours", "pngquant", &["--force", "--strip", "--speed", "1", "--output", &path, "64", &path], &[])?;
    step("bytes", "optipng", &["-quiet", "-o5", "-strip", "all", &path], &[])?;
    Ok(fs::metadata(picture)?.len())
}

/// A picture that is not shown any more is not kept.
fn only_these(folder: &Path) -> Result<()> {
    for entry in fs::read_dir(folder)? {
        let name = entry?.file_name().to_string_lossy().into_owned();
        if name.strip_suffix(".png").is_some_and(|name| !SHOWN.contains(&name)) {
            bail!("docs/screenshots/{name} is not among the pictures that docs show: remove it");
        }
    }
    Ok(())
}
