//! `portcullis serve`: runs the server that a configuration file describes.

use std::net::SocketAddr;

use portcullis_backends::{DataDirectory, DirectoryError};
use portcullis_server::listener::{CertificateFiles, ClientTrust, Limits};

use super::place::{Place, configuration, held, root_key, runtime};
use crate::application::{Instance, Listen, check_addresses, check_certificate, serve};
use crate::args;
use crate::config::MutualTls;
use crate::failure::{Failure, Outcome, causes};

/// Runs the command. What would keep it from serving is found before anything is written.
pub fn run(arguments: &args::Serve) -> Outcome {
    let configuration = configuration(&arguments.config)?;
    let place = Place::configured(&configuration);
    for risk in configuration.two_people.risks() {
        tracing::warn!(risk, "the configuration weakens a rule");
    }
    let certificate = CertificateFiles { chain: configuration.tls.certificate.clone(), key: configuration.tls.key.clone() };
    // A directory that is there is taken first, so that whoever holds it is named rather than the port that it occupies.
    let existing = if DataDirectory::exists(&place.directory) { Some(directory(&place)?) } else { None };
    root_key(&configuration.root_key_file)?;
    check_certificate(certificate.clone())?;
    let mutual_tls = configuration.mutual_tls.as_ref().map(mutual_tls).transpose()?;
    check_addresses(&[configuration.listen])?;
    if let Some((address, _)) = &mutual_tls {
        check_addresses(&[*address])?;
    }
    let directory = existing.map_or_else(|| directory(&place), Ok)?;
    let setup = place.setup(directory)?;
    let listen = Listen {
        addresses: vec![configuration.listen],
        certificate,
        limits: Limits { connections: configuration.limits.connections, ..Limits::default() },
        mutual_tls,
        app: None,
    };
    let (address, public_url) = (configuration.listen, configuration.public_url);
    runtime()?.block_on(async {
        let instance = Instance::open(setup).await?;
        serve(instance, listen, || {
            tracing::info!(%address, %public_url, "serving");
            Ok(())
        })
        .await
    })
}

/// Where clients show a certificate, and which ones are taken.
fn mutual_tls(configured: &MutualTls) -> Outcome<(SocketAddr, ClientTrust)> {
    let trust = match &configured.client_ca_file {
        None => ClientTrust::AnyCertificate,
        Some(path) => ClientTrust::read(path)
            .map_err(|error| Failure::usage(format!("mutual_tls.client_ca_file ({}): {}", path.display(), causes(&error))))?,
    };
    Ok((configured.listen, trust))
}

/// Takes the data directory, which the first start makes.
fn directory(place: &Place) -> Outcome<DataDirectory> {
    let taken = if DataDirectory::exists(&place.directory) {
        DataDirectory::open(&place.directory, "serve")
    } else {
        DataDirectory::create(&place.directory, false, "serve")
    };
    taken.map_err(|error| match error {
        DirectoryError::HeldBy { pid, command } => {
            held(&place.directory, pid, &command).advise("Stop that process, or serve another data directory.")
        }
        other => Failure::failed(causes(&other)),
    })
}
