//! Reading a posted form.

use http::header;
use portcullis_oauth::parameters::{Parameters, ParametersError};

use crate::listener::Incoming;
use crate::middleware::body::{self, BodyError};
use crate::resource_server::Exchange;

/// Why a form cannot be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FormError {
    /// Another content type.
    #[error("the body must be application/x-www-form-urlencoded")]
    ContentType,
    /// The body did not arrive.
    #[error(transparent)]
    Body(#[from] BodyError),
    /// It is not a form.
    #[error(transparent)]
    Parameters(#[from] ParametersError),
}

/// Reads a form of at most 64 KiB.
pub async fn read(exchange: &Exchange, incoming: Incoming) -> Result<Parameters, FormError> {
    let content_type = exchange.header(&header::CONTENT_TYPE).unwrap_or_default();
    let media_type = content_type.split(';').next().unwrap_or_default().trim();
    if !media_type.eq_ignore_ascii_case("application/x-www-form-urlencoded") {
        return Err(FormError::ContentType);
    }
    let bytes = body::read(incoming, body::MAXIMUM_FORM).await?;
    Ok(Parameters::parse(&bytes)?)
}
