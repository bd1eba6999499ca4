//! `[[federation]]`: identity providers with whose accounts people sign in here.

use std::path::{Path, PathBuf};

use portcullis_jose::{Algorithm, Secret, SigningKey};
use portcullis_oauth::federation::{Provider, ProviderAuthentication};
use rustls_pki_types::PrivatePkcs8KeyDer;
use rustls_pki_types::pem::PemObject as _;
use serde::Deserialize;

use crate::failure::{Failure, OrFail, Outcome};

/// The longest secret, in bytes.
const MAXIMUM_SECRET: u64 = 4096;

/// One provider.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FederationProvider {
    /// Its name in paths: 1 to 32 lower-case letters, digits and hyphens.
    pub id: String,
    /// The name that people see.
    pub name: String,
    /// Its issuer, exactly as it writes it.
    pub issuer: String,
    /// What this server is called there.
    pub client_id: String,
    /// The file with this server's secret there.
    pub client_secret_file: Option<PathBuf>,
    /// The file with the key that this server signs with there, PKCS#8 PEM, P-256 or RSA.
    pub private_key_file: Option<PathBuf>,
    /// What is asked for beside `openid`.
    #[serde(default)]
    pub scopes: Vec<String>,
    /// Values of `amr` that count as a second factor.
    #[serde(default)]
    pub trusted_amr: Vec<String>,
    /// Values of `acr` that count as a second factor.
    #[serde(default)]
    pub trusted_acr: Vec<String>,
    /// The claim that names the person's FHIR resource here. It is compared with that of the account.
    pub fhir_user_claim: Option<String>,
}

impl FederationProvider {
    /// Takes relative paths as relative to a folder.
    pub fn relative_to(&mut self, folder: &Path) {
        for file in [&mut self.client_secret_file, &mut self.private_key_file].into_iter().flatten() {
            *file = folder.join(&*file);
        }
    }

    /// The key and the problem, where one is wrong.
    pub fn check(providers: &[Self]) -> Result<(), (&'static str, &'static str)> {
        for (index, provider) in providers.iter().enumerate() {
            let earlier = providers.get(..index).unwrap_or_default();
            if !Provider::is_id(&provider.id) || earlier.iter().any(|other| other.id == provider.id) {
                return Err((
                    "federation.id",
                    "must be 1 to 32 lower-case letters, digits and hyphens, and differ from the others",
                ));
            }
            if !provider.issuer.starts_with("https://") || provider.issuer.contains(['?', '#', ' ']) {
                return Err(("federation.issuer", "must be the issuer's https URL, exactly as the provider writes it"));
            }
            if earlier.iter().any(|other| other.issuer == provider.issuer) {
                return Err(("federation.issuer", "must not be that of another provider"));
            }
            if provider.name.trim().is_empty() || provider.client_id.is_empty() {
                return Err(("federation.name", "must not be empty, nor client_id"));
            }
            if provider.client_secret_file.is_some() == provider.private_key_file.is_some() {
                return Err(("federation.client_secret_file", "or private_key_file must be given, and not both"));
            }
        }
        Ok(())
    }

    /// The provider with its credentials.
    pub fn load(&self) -> Outcome<Provider> {
        let authentication = match (&self.client_secret_file, &self.private_key_file) {
            (Some(path), _) => ProviderAuthentication::Secret(secret(path)?),
            (None, Some(path)) => ProviderAuthentication::PrivateKey(Box::new(key(path)?)),
            (None, None) => return Err(Failure::usage("federation.client_secret_file: is missing")),
        };
        Ok(Provider {
            id: self.id.clone(),
            name: self.name.clone(),
            issuer: self.issuer.clone(),
            client_id: self.client_id.clone(),
            authentication,
            scopes: self.scopes.iter().filter(|scope| *scope != "openid").cloned().collect(),
            trusted_amr: self.trusted_amr.clone(),
            trusted_acr: self.trusted_acr.clone(),
            fhir_user_claim: self.fhir_user_claim.clone(),
        })
    }
}

/// The first line of a file.
fn secret(path: &Path) -> Outcome<Secret<String>> {
    let what = format!("federation.client_secret_file: {} cannot be read", path.display());
    let size = std::fs::metadata(path).or_fail(&what)?.len();
    let text = if size <= MAXIMUM_SECRET { std::fs::read_to_string(path).or_fail(&what)? } else { String::new() };
    match text.lines().next().map(str::trim).filter(|line| !line.is_empty()) {
        Some(line) => Ok(Secret::new(line.to_owned())),
        None => Err(Failure::usage(format!("federation.client_secret_file: {} holds no secret", path.display()))),
    }
}

fn key(path: &Path) -> Outcome<SigningKey> {
    let unusable =
        || Failure::usage(format!("federation.private_key_file: {} holds no P-256 or RSA key as PKCS#8 PEM", path.display()));
    let der = PrivatePkcs8KeyDer::from_pem_file(path).map_err(|_| unusable())?;
    let der = der.secret_pkcs8_der();
    SigningKey::from_pkcs8(Algorithm::Es256, der)
        .or_else(|_| SigningKey::from_pkcs8(Algorithm::Rs256, der))
        .map_err(|_| unusable())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn provider(change: impl FnOnce(&mut FederationProvider)) -> FederationProvider {
        let text = "id = 'city'\nname = 'City'\nissuer = 'https://id.city.example'\nclient_id = 'us'\nclient_secret_file = 's'";
        let mut provider = toml::from_str(text).unwrap();
        change(&mut provider);
        provider
    }

    #[test]
    fn each_mistake_is_named_by_its_key() {
        assert_eq!(FederationProvider::check(&[provider(|_| {})]), Ok(()));
        let wrong = |change: fn(&mut FederationProvider)| FederationProvider::check(&[provider(change)]).unwrap_err().0;
        assert_eq!(wrong(|provider| provider.id = "City".into()), "federation.id");
        assert_eq!(wrong(|provider| provider.issuer = "http://id.city.example".into()), "federation.issuer");
        assert_eq!(wrong(|provider| provider.name = " ".into()), "federation.name");
        assert_eq!(wrong(|provider| provider.client_secret_file = None), "federation.client_secret_file");
        assert_eq!(wrong(|provider| provider.private_key_file = Some("k".into())), "federation.client_secret_file");
        assert_eq!(FederationProvider::check(&[provider(|_| {}), provider(|_| {})]).unwrap_err().0, "federation.id");
        let twice = [provider(|_| {}), provider(|other| other.id = "other".into())];
        assert_eq!(FederationProvider::check(&twice).unwrap_err().0, "federation.issuer");
    }

    #[test]
    fn a_file_without_secret_or_key_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("s");
        std::fs::write(&path, "\n").unwrap();
        let with_secret = provider(|provider| provider.client_secret_file = Some(path.clone()));
        assert!(with_secret.load().is_err());
        std::fs::write(&path, "hunter2\n").unwrap();
        assert!(with_secret.load().is_ok());
        let with_key = provider(|provider| (provider.client_secret_file, provider.private_key_file) = (None, Some(path.clone())));
        assert!(with_key.load().is_err());
        let key = rcgen::KeyPair::generate().unwrap();
        std::fs::write(&path, key.serialize_pem()).unwrap();
        assert!(with_key.load().is_ok());
    }
}
