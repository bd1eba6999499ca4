//! Reading the query of a page: what a link of ours, a mail or another server put into the address.
//!
//! A query that cannot be read, or that names twice what the page looks for, is told to whoever opened it: a page that showed something else instead
//! would look as if it were what the link was for. What the page does not look for is ignored.

use http::StatusCode;
use portcullis_audit::record::Outcome;
use portcullis_oauth::parameters::{Parameters, ParametersError, Repeated};

use super::reply;
use crate::answer::{Answer, Draft};
use crate::context::Server;
use crate::resource_server::Exchange;

/// Why a query cannot be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum QueryError {
    /// It is too long, or its encoding is broken.
    #[error(transparent)]
    Parameters(#[from] ParametersError),
    /// What the page looks for is there more than once.
    #[error(transparent)]
    Repeated(#[from] Repeated),
}

impl QueryError {
    /// What happened, in each language.
    fn said(self) -> [&'static str; 2] {
        match self {
            Self::Parameters(ParametersError::TooLarge) => {
                ["It is longer than the addresses of our pages are.", "Es más larga que las direcciones de nuestras páginas."]
            }
            Self::Parameters(ParametersError::Malformed) => {
                ["A part of it is broken or missing.", "Una parte está dañada o falta."]
            }
            Self::Repeated(_) => ["A part of it is there more than once.", "Una parte está más de una vez."],
        }
    }

    /// The page that says so.
    pub fn page(self, exchange: &Exchange) -> Draft {
        let [english, spanish] = self.said();
        reply::error(
            exchange,
            StatusCode::BAD_REQUEST,
            [
                "We could not read the address",
                english,
                "Nothing was changed.",
                "Open the page or the link that led here once more.",
            ],
            [
                "No pudimos leer la dirección",
                spanish,
                "No se cambió nada.",
                "Abra otra vez la página o el enlace que lo trajo aquí.",
            ],
        )
    }
}

/// The parameters of a page that looks for these. The whole request that a sign-in is for may be one of them, encoded once more, so that there is as much
/// room as in a form.
pub fn read(exchange: &Exchange, names: &[&str]) -> Result<Parameters, QueryError> {
    let parameters = Parameters::parse_page_form(exchange.target.query().unwrap_or_default().as_bytes())?;
    names.iter().try_for_each(|name| parameters.value(name).map(drop))?;
    Ok(parameters)
}

/// The same, or the answer to what cannot be read.
pub async fn received(server: &Server, exchange: &Exchange, names: &[&str]) -> Result<Parameters, Answer> {
    match read(exchange, names) {
        Ok(parameters) => Ok(parameters),
        Err(error) => Err(server.record_page(exchange, Outcome::Rejected, error.page(exchange)).await),
    }
}
