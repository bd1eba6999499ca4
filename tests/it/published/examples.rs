//! The published example resources of US Core and CARIN Blue Button, as they lie in `../shared/data` beside the repository.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::Command;

use portcullis_fhir::outcome::Issue;
use portcullis_fhir::resource::Resource;

/// Each package, and the folder of loose examples of each guide.
const SOURCES: [(&str, &str); 8] = [
    ("US Core 3.1.1", "us-core/packages/us_core_311.tgz"),
    ("US Core 6.1.0", "us-core/packages/us_core_610.tgz"),
    ("US Core 7.0.0", "us-core/packages/us_core_700.tgz"),
    (US_CORE, "us-core/packages/us_core_800.tgz"),
    ("US Core 8.0.0, folder", "us-core/examples-800"),
    ("CARIN Blue Button 1.1.0", "carin-bb/packages/carin4bb-110.tgz"),
    (CARIN, "carin-bb/packages/carin4bb-200.tgz"),
    ("CARIN Blue Button 2.0.0, folder", "carin-bb/examples-200"),
];

/// The newest package of US Core.
pub const US_CORE: &str = "US Core 8.0.0";
/// The newest package of CARIN Blue Button.
pub const CARIN: &str = "CARIN Blue Button 2.0.0";

/// The examples of one release of a guide.
pub struct Package {
    /// The guide and its version.
    pub name: &'static str,
    /// Its examples, by file name.
    pub examples: Vec<Example>,
}

/// One published example.
pub struct Example {
    /// The package's and the file's name.
    pub name: String,
    /// The JSON text.
    pub text: String,
    /// `Type/id` as a second reader reads them.
    pub key: String,
}

impl Example {
    /// The example as the product reads it, or its refusal.
    pub fn parse(&self) -> Result<Resource, Vec<Issue>> {
        Resource::parse(self.text.as_bytes())
    }
}

/// Every published example, by package; a text that an earlier package has too stands there only. `None`, and a line that says so, where the folder
/// is absent.
pub fn packages() -> Option<Vec<Package>> {
    let data = Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared/data");
    if !data.join("us-core").is_dir() {
        eprintln!("skipped: the published examples are not at {}", data.display());
        return None;
    }
    let mut seen = BTreeSet::new();
    let package = |(name, path): &(&'static str, &str)| {
        let mut examples =
            if path.ends_with(".tgz") { extracted(name, &data.join(path)) } else { folder(name, &data.join(path)) };
        examples.retain(|example| seen.insert(example.text.clone()));
        Package { name, examples }
    };
    Some(SOURCES.iter().map(package).collect())
}

/// The newest release of both guides.
pub fn newest(packages: Vec<Package>) -> Vec<Example> {
    packages
        .into_iter()
        .filter(|package| package.name.starts_with(US_CORE) || package.name.starts_with(CARIN))
        .flat_map(|package| package.examples)
        .collect()
}

fn extracted(name: &str, archive: &Path) -> Vec<Example> {
    let directory = tempfile::tempdir().unwrap();
    let tar = Command::new("tar").arg("-xzf").arg(archive).arg("-C").arg(directory.path()).arg("package/example").status();
    assert!(tar.unwrap().success(), "{name}: tar cannot read {}", archive.display());
    folder(name, &directory.path().join("package/example"))
}

fn folder(name: &str, folder: &Path) -> Vec<Example> {
    let mut files: Vec<PathBuf> = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    // A package has an index beside its resources.
    let hidden = |file: &Path| file.file_name().is_some_and(|name| name.as_encoded_bytes().starts_with(b"."));
    files.retain(|file| file.extension().is_some_and(|extension| extension == "json") && !hidden(file));
    files.sort();
    let example = |file: PathBuf| {
        let text = std::fs::read_to_string(&file).unwrap();
        let json: serde_json::Value = serde_json::from_str(&text).unwrap();
        let member = |name: &str| json[name].as_str().unwrap().to_owned();
        let key = format!("{}/{}", member("resourceType"), member("id"));
        Example { name: format!("{name}, {}", file.file_name().unwrap().display()), text, key }
    };
    files.into_iter().map(example).collect()
}
