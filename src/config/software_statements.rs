//! `[[software_statements]]`: whose statements about clients that register themselves are believed (RFC 7591 section 2.3).

use std::path::{Path, PathBuf};

use portcullis_oauth::clients::KeySource;
use portcullis_oauth::software_statement::StatementIssuer;
use serde::Deserialize;

use crate::failure::{Failure, OrFail, Outcome};

/// The longest name that people are shown, in characters.
const MAXIMUM_NAME: usize = 100;

/// One issuer.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct StatementIssuerEntry {
    /// The `iss` of its statements, as it writes it.
    pub issuer: String,
    /// The name by which the consent screen tells of it.
    pub name: String,
    /// Its public keys: a file with a JWK Set.
    pub jwks_file: Option<PathBuf>,
    /// Or their https address.
    pub jwks_uri: Option<String>,
}

impl StatementIssuerEntry {
    /// Makes the path in it relative to a folder.
    pub fn relative_to(&mut self, folder: &Path) {
        self.jwks_file = self.jwks_file.take().map(|path| folder.join(path));
    }

    /// Checks all of them; the error names the key and what would be accepted.
    pub fn check(entries: &[Self]) -> Result<(), (&'static str, &'static str)> {
        for (index, entry) in entries.iter().enumerate() {
            if entry.issuer.is_empty() || entries.iter().take(index).any(|earlier| earlier.issuer == entry.issuer) {
                return Err(("software_statements.issuer", "must be the iss of its statements, and differ from the others"));
            }
            let deceptive = entry.name.chars().any(portcullis_oauth::client_display::is_deceptive);
            if entry.name.trim().is_empty() || entry.name.chars().count() > MAXIMUM_NAME || deceptive {
                return Err(("software_statements.name", "must have 1 to 100 characters that can be seen"));
            }
            match (&entry.jwks_file, &entry.jwks_uri) {
                (Some(_), None) => {}
                (None, Some(url)) if KeySource::url(url).is_ok() => {}
                _ => return Err(("software_statements.jwks_file", "or jwks_uri, an https URL, must be given, and not both")),
            }
        }
        Ok(())
    }

    /// The issuer with its keys.
    pub fn load(&self) -> Outcome<StatementIssuer> {
        let keys = match (&self.jwks_file, &self.jwks_uri) {
            (Some(path), _) => {
                let what = format!("software_statements.jwks_file: {} cannot be read", path.display());
                KeySource::value(&std::fs::read_to_string(path).or_fail(&what)?)
            }
            (None, Some(url)) => KeySource::url(url),
            (None, None) => return Err(Failure::usage("software_statements.jwks_file: is missing")),
        };
        let keys = keys.map_err(|error| Failure::usage(format!("software_statements ({}): {error}", self.issuer)))?;
        Ok(StatementIssuer { issuer: self.issuer.clone(), name: self.name.clone(), keys })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_entry_that_cannot_be_used_is_named_by_its_key() {
        let good = "issuer = 'https://vendors.example'\nname = 'Vendors'\njwks_file = 'vendors.jwks'";
        let checked = |text: &str| StatementIssuerEntry::check(&[toml::from_str(text).unwrap()]).map_err(|(key, _)| key);
        assert_eq!(checked(good), Ok(()));
        for (from, to, key) in [
            ("'https://vendors.example'", "''", "software_statements.issuer"),
            ("'Vendors'", "' '", "software_statements.name"),
            ("'Vendors'", "\"Ven\\u202Edors\"", "software_statements.name"),
            ("jwks_file = 'vendors.jwks'", "", "software_statements.jwks_file"),
            ("jwks_file = 'vendors.jwks'", "jwks_uri = 'http://vendors.example/jwks'", "software_statements.jwks_file"),
        ] {
            assert_eq!(checked(&good.replace(from, to)), Err(key), "{to}");
        }
        let twice: Vec<StatementIssuerEntry> = vec![toml::from_str(good).unwrap(), toml::from_str(good).unwrap()];
        assert!(StatementIssuerEntry::check(&twice).is_err());
        assert!(toml::from_str::<StatementIssuerEntry>(&format!("{good}\nkeys = []")).is_err());
    }
}
