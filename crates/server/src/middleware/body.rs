//! Reading a request body under a limit of size and time.

use std::time::Duration;

use bytes::{Bytes, BytesMut};
use http_body_util::BodyExt as _;
use hyper::body::Body;

use crate::listener::Incoming;

/// The largest FHIR request body, in bytes.
pub const MAXIMUM_RESOURCE: usize = 8 * 1024 * 1024;
/// The largest form, in bytes.
pub const MAXIMUM_FORM: usize = 64 * 1024;
/// The longest time that a body may take.
const TIME: Duration = Duration::from_secs(30);

/// Why a body could not be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BodyError {
    /// It is larger than the limit.
    #[error("the body is larger than {0} bytes")]
    TooLarge(usize),
    /// It took too long.
    #[error("the body did not arrive in time")]
    TooSlow,
    /// The peer went away or broke the framing.
    #[error("the body ended early")]
    Broken,
}

/// Reads a body of at most `limit` bytes. A declared length above the limit is refused before a byte is read.
pub async fn read(body: Incoming, limit: usize) -> Result<Bytes, BodyError> {
    if body.size_hint().lower() > u64::try_from(limit).unwrap_or(u64::MAX) {
        return Err(BodyError::TooLarge(limit));
    }
    tokio::time::timeout(TIME, collect(body, limit)).await.unwrap_or(Err(BodyError::TooSlow))
}

async fn collect(mut body: Incoming, limit: usize) -> Result<Bytes, BodyError> {
    let mut collected = BytesMut::new();
    while let Some(frame) = body.frame().await {
        let Ok(data) = frame.map_err(|_| BodyError::Broken)?.into_data() else { continue };
        if collected.len() + data.len() > limit {
            return Err(BodyError::TooLarge(limit));
        }
        collected.extend_from_slice(&data);
    }
    Ok(collected.freeze())
}
