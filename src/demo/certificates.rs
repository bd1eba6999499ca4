//! The demo's certificates: a local CA that can vouch for this machine's loopback names only, and the server's certificate.
//!
//! RFC 5280 section 4.2.1.10 (name constraints). The CA's key signs once and is dropped: whoever trusts the CA trusts one certificate and nothing that could be
//! made later. So both are made anew together, some time before they end, and the CA has to be trusted again then.

use std::fs;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::os::unix::fs::{DirBuilderExt, PermissionsExt};
use std::path::Path;
use std::time::Duration;

use portcullis_server::listener::CertificateFiles;
use rcgen::{
    BasicConstraints, Certificate, CertificateParams, CidrSubnet, DnType, ExtendedKeyUsagePurpose, GeneralSubtree, IsCa, Issuer,
    KeyPair, KeyUsagePurpose, NameConstraints, PKCS_ECDSA_P256_SHA256, date_time_ymd,
};

use super::description::write_private;
use crate::failure::{OrFail, Outcome};

/// The CA's certificate, relative to the data directory.
pub const CA_FILE: &str = "tls/ca.pem";
/// The server's certificate.
const SERVER_FILE: &str = "tls/server.pem";
/// The server's private key.
const KEY_FILE: &str = "tls/server.key";
/// When the certificates end, in seconds since the epoch.
const END_FILE: &str = "tls/not-after";

/// How long certificates are valid. Browsers refuse more than 398 days (CA/Browser Forum Baseline Requirements 6.3.2).
const VALIDITY: i64 = 397 * DAY;
/// How long before the end they are renewed.
const RENEWAL: i64 = 30 * DAY;
/// How long before now they begin, for clocks that differ.
const EARLIER: i64 = 3600;
const DAY: i64 = 24 * 3600;

/// Makes the certificates where there are none or where they end soon; `now` in seconds since the epoch. Says whether they are new.
pub fn renew_if_needed(directory: &Path, now: i64) -> Outcome<(CertificateFiles, bool)> {
    let files = CertificateFiles { chain: directory.join(SERVER_FILE), key: directory.join(KEY_FILE) };
    let complete = [CA_FILE, SERVER_FILE, KEY_FILE].iter().all(|file| directory.join(file).exists());
    let end = fs::read_to_string(directory.join(END_FILE)).ok().and_then(|text| text.trim().parse::<i64>().ok());
    if complete && end.is_some_and(|end| now < end - RENEWAL && now > end - VALIDITY - DAY) {
        return Ok((files, false));
    }
    write(directory, now).or_fail("The demo's certificates cannot be made")?;
    Ok((files, true))
}

/// Why certificates cannot be made.
#[derive(Debug, thiserror::Error)]
enum CertificateError {
    #[error("the cryptographic library refused")]
    Library(#[from] rcgen::Error),
    #[error("a file cannot be written")]
    File(#[from] std::io::Error),
}

fn write(directory: &Path, now: i64) -> Result<(), CertificateError> {
    let folder = directory.join("tls");
    fs::DirBuilder::new().recursive(true).mode(0o700).create(&folder)?;
    fs::set_permissions(&folder, fs::Permissions::from_mode(0o700))?;
    let end = now + VALIDITY - EARLIER;
    let (ca, server, key) = issue(now - EARLIER, end)?;
    // The end is written last: an interrupted start begins anew.
    match fs::remove_file(directory.join(END_FILE)) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(error.into()),
        _ => {}
    }
    write_private(&directory.join(CA_FILE), ca.pem().as_bytes())?;
    write_private(&directory.join(KEY_FILE), key.serialize_pem().as_bytes())?;
    write_private(&directory.join(SERVER_FILE), server.pem().as_bytes())?;
    write_private(&directory.join(END_FILE), format!("{end}\n").as_bytes())?;
    Ok(())
}

fn issue(begin: i64, end: i64) -> Result<(Certificate, Certificate, KeyPair), rcgen::Error> {
    let ca_key = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256)?;
    let ca_parameters = ca_parameters(begin, end)?;
    let ca = ca_parameters.self_signed(&ca_key)?;
    let key = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256)?;
    let issuer = Issuer::new(ca_parameters, ca_key);
    let server = server_parameters(begin, end)?.signed_by(&key, &issuer)?;
    Ok((ca, server, key))
}

fn ca_parameters(begin: i64, end: i64) -> Result<CertificateParams, rcgen::Error> {
    let mut parameters = between(CertificateParams::new(Vec::new())?, begin, end);
    parameters.distinguished_name.push(DnType::CommonName, "Portcullis demo CA, valid for this machine only");
    parameters.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    parameters.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    parameters.name_constraints = Some(NameConstraints {
        permitted_subtrees: vec![
            GeneralSubtree::DnsName("localhost".into()),
            GeneralSubtree::IpAddress(CidrSubnet::from_addr_prefix(IpAddr::V4(Ipv4Addr::LOCALHOST), 32)),
            GeneralSubtree::IpAddress(CidrSubnet::from_addr_prefix(IpAddr::V6(Ipv6Addr::LOCALHOST), 128)),
        ],
        excluded_subtrees: Vec::new(),
    });
    Ok(parameters)
}

fn server_parameters(begin: i64, end: i64) -> Result<CertificateParams, rcgen::Error> {
    let names = ["localhost", "127.0.0.1", "::1"].map(str::to_owned).to_vec();
    let mut parameters = between(CertificateParams::new(names)?, begin, end);
    parameters.distinguished_name.push(DnType::CommonName, "localhost");
    parameters.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    parameters.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    parameters.use_authority_key_identifier_extension = true;
    Ok(parameters)
}

fn between(mut parameters: CertificateParams, begin: i64, end: i64) -> CertificateParams {
    let at = |seconds: i64| date_time_ymd(1970, 1, 1) + Duration::from_secs(u64::try_from(seconds).unwrap_or_default());
    parameters.not_before = at(begin);
    parameters.not_after = at(end);
    // Without this the name would begin with the library's own.
    parameters.distinguished_name = rcgen::DistinguishedName::new();
    parameters
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::MetadataExt;

    use portcullis_server::listener::ReloadingCertificate;

    use super::*;

    const NOW: i64 = 1_780_000_000;

    #[test]
    fn certificates_are_kept_until_shortly_before_their_end() {
        let folder = tempfile::tempdir().unwrap();
        let renewed = |now| renew_if_needed(folder.path(), now).unwrap().1;
        assert!(renewed(NOW));
        assert!(!renewed(NOW));
        assert!(!renewed(NOW + 360 * DAY));
        assert!(renewed(NOW + 370 * DAY), "less than a month is left");
        assert!(!renewed(NOW + 370 * DAY));
        assert!(renewed(NOW), "the clock was set back to before they begin");
        fs::remove_file(folder.path().join(CA_FILE)).unwrap();
        assert!(renewed(NOW));
    }

    #[test]
    fn the_server_can_use_them_and_the_key_is_private() {
        let folder = tempfile::tempdir().unwrap();
        let (files, _) = renew_if_needed(folder.path(), NOW).unwrap();
        assert_eq!(fs::metadata(&files.key).unwrap().mode() & 0o777, 0o600);
        ReloadingCertificate::load(files).unwrap();
        let names: Vec<_> = fs::read_dir(folder.path().join("tls")).unwrap().map(|entry| entry.unwrap().file_name()).collect();
        assert_eq!(names.len(), 4, "the CA's key is nowhere: {names:?}");
    }
}
