//! `portcullis serve`: runs the server that a configuration file describes.

use portcullis_backends::{DataDirectory, DirectoryError};
use portcullis_server::listener::{CertificateFiles, Limits};

use super::place::{Place, configuration, held, runtime};
use crate::application::{Instance, Listen, serve};
use crate::args;
use crate::failure::{Failure, Outcome, causes};

/// Runs the command.
pub fn run(arguments: &args::Serve) -> Outcome {
    let configuration = configuration(&arguments.config)?;
    let place = Place::configured(&configuration);
    let directory = directory(&place)?;
    let setup = place.setup(directory)?;
    let listen = Listen {
        addresses: vec![configuration.listen],
        certificate: CertificateFiles { chain: configuration.tls.certificate, key: configuration.tls.key },
        limits: Limits { connections: configuration.limits.connections, ..Limits::default() },
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
