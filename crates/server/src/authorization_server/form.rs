//! Reading a posted form, which counts only if a page of ours made it for the browser that sends it.
//!
//! [`UncheckedForm`] gives its values to nothing but the page that is shown again; only [`UncheckedForm::checked`] makes a [`Form`] of it. What is no form of
//! ours, or what the browser says that another site sent, is refused at one place for all pages ([`received`]), before anything is looked up for it.

use http::{HeaderName, StatusCode, header};
use portcullis_audit::record::{Event, Outcome};
use portcullis_oauth::parameters::{Parameters, ParametersError, Repeated};

use super::csrf::{FormTokens, Purpose};
use super::reply::{self, Account};
use crate::answer::{Answer, Draft};
use crate::context::Server;
use crate::listener::Incoming;
use crate::middleware::body::{self, BodyError};
use crate::resource_server::Exchange;
use crate::ui::field;

/// What a browser says of the page that sends (Fetch Metadata Request Headers, section 2.4).
const SEC_FETCH_SITE: HeaderName = HeaderName::from_static("sec-fetch-site");
/// The rows of tick boxes: every other field of a form of ours comes once.
const ROWS: &[&str] = &[field::SCOPE, field::PART];

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
    /// No form of ours has a field twice: whoever sent it left open which of the two is meant.
    #[error("form: {0}")]
    Repeated(#[from] Repeated),
    /// The browser says that a page of another site sent it.
    #[error("the form came from another site")]
    OtherSite,
}

impl FormError {
    fn status(self) -> StatusCode {
        match self {
            Self::ContentType => StatusCode::UNSUPPORTED_MEDIA_TYPE,
            Self::Body(BodyError::TooLarge(_)) | Self::Parameters(ParametersError::TooLarge) => StatusCode::PAYLOAD_TOO_LARGE,
            Self::Body(BodyError::TooSlow) => StatusCode::REQUEST_TIMEOUT,
            Self::Body(BodyError::Broken) | Self::Parameters(ParametersError::Malformed) | Self::Repeated(_) => {
                StatusCode::BAD_REQUEST
            }
            Self::OtherSite => StatusCode::FORBIDDEN,
        }
    }

    /// What happened, in each language.
    fn said(self) -> [&'static str; 2] {
        match self {
            Self::ContentType => {
                ["It came in a form that our pages do not send.", "Llegó en un formato que nuestras páginas no envían."]
            }
            Self::Body(BodyError::TooLarge(_)) | Self::Parameters(ParametersError::TooLarge) => {
                ["It is longer than our forms are.", "Es más largo que nuestros formularios."]
            }
            Self::Body(BodyError::TooSlow) => ["It took too long to arrive.", "Tardó demasiado en llegar."],
            Self::Body(BodyError::Broken) | Self::Parameters(ParametersError::Malformed) => {
                ["It arrived incomplete.", "Llegó incompleto."]
            }
            Self::Repeated(_) => ["A field in it came more than once.", "Un campo llegó más de una vez."],
            Self::OtherSite => {
                ["Another site tried to send this form in your name.", "Otro sitio intentó enviar este formulario en su nombre."]
            }
        }
    }

    fn page(self, exchange: &Exchange) -> Draft {
        let [english, spanish] = self.said();
        let (title, titulo) = match self {
            Self::OtherSite => ("This did not come from our page", "Esto no vino de nuestra página"),
            _ => ("We could not read the form", "No pudimos leer el formulario"),
        };
        reply::error(
            exchange,
            self.status(),
            [title, english, "Nothing was changed.", "Open the page again here, then try once more."],
            [titulo, spanish, "No se cambió nada.", "Abra la página otra vez aquí e inténtelo de nuevo."],
        )
    }
}

/// Whether the body says that it is a form.
pub fn is_form(exchange: &Exchange) -> bool {
    let content_type = exchange.header(&header::CONTENT_TYPE).unwrap_or_default();
    let media_type = content_type.split(';').next().unwrap_or_default().trim();
    media_type.eq_ignore_ascii_case("application/x-www-form-urlencoded")
}

/// The form of a page of ours, or the answer to what is none; the record of that is of this kind.
pub async fn received(server: &Server, exchange: &Exchange, event: Event, body: Incoming) -> Result<UncheckedForm, Answer> {
    let read = match is_from_here(exchange, &server.settings.public_url) {
        true => UncheckedForm::read(exchange, body).await,
        false => Err(FormError::OtherSite),
    };
    match read {
        Ok(form) => Ok(form),
        Err(error) => {
            let outcome = if error == FormError::OtherSite { Outcome::Denied } else { Outcome::Rejected };
            let account = Account::new(event, exchange.agent(), outcome, error.to_string());
            Err(reply::recorded(server, exchange, account, error.page(exchange)).await)
        }
    }
}

/// The answer to a form of ours that was made for another session, or for none that lasts.
pub fn outdated(exchange: &Exchange) -> Draft {
    reply::error(
        exchange,
        StatusCode::FORBIDDEN,
        [
            "This page does not count any more",
            "It was open for a long time, or you have signed in again since.",
            "Nothing was changed.",
            "Open the page again, then try once more.",
        ],
        [
            "Esta página ya no cuenta",
            "Estuvo abierta mucho tiempo, o usted volvió a iniciar sesión después.",
            "No se cambió nada.",
            "Abra la página otra vez e inténtelo de nuevo.",
        ],
    )
}

/// Whether nothing that the browser says of itself names another site. A page that tells nobody where it was sends `null` as its origin, as ours do
/// (`Referrer-Policy: no-referrer`), and old browsers say nothing: the form token decides, this is a second lock.
fn is_from_here(exchange: &Exchange, public_url: &str) -> bool {
    let own = url::Url::parse(public_url).map(|url| url.origin().ascii_serialization()).unwrap_or_default();
    let all = |name: &HeaderName, allowed: &[&[u8]]| {
        exchange.headers.get_all(name).iter().all(|value| allowed.contains(&value.as_bytes()))
    };
    all(&SEC_FETCH_SITE, &[b"same-origin", b"none"]) && all(&header::ORIGIN, &[b"null", own.as_bytes()])
}

/// A form as it arrived. Any page of the web could have sent it through this browser.
pub struct UncheckedForm(Parameters);

impl UncheckedForm {
    /// Reads a form of at most 64 KiB.
    async fn read(exchange: &Exchange, incoming: Incoming) -> Result<Self, FormError> {
        if !is_form(exchange) {
            return Err(FormError::ContentType);
        }
        let bytes = body::read(incoming, body::MAXIMUM_FORM).await?;
        let parameters = Parameters::parse_page_form(&bytes)?;
        parameters.check_each_once_but(ROWS)?;
        Ok(Self(parameters))
    }

    /// A value for the page that is shown again, or for finding out whose token the form should carry. Nothing is done because of it.
    pub fn hint(&self, name: &str) -> Option<&str> {
        self.0.value(name).ok().flatten()
    }

    /// The form, if it carries the token (`csrf`) of one of these purposes for what only this browser holds; else the same as before.
    pub fn checked(self, tokens: &FormTokens, purposes: &[Purpose], binding: Option<&str>) -> Result<Form, Self> {
        let token = self.hint("csrf").unwrap_or_default();
        let genuine = |binding: &str| purposes.iter().any(|purpose| tokens.accepts(*purpose, binding, token));
        if binding.is_some_and(genuine) { Ok(Form(self.0)) } else { Err(self) }
    }
}

/// A form that a page of ours made, for this browser and this purpose.
pub struct Form(Parameters);

impl Form {
    /// A value that the form names exactly once.
    pub fn field(&self, name: &str) -> Option<&str> {
        self.0.value(name).ok().flatten()
    }

    /// Every value of a row of tick boxes, in order.
    pub fn ticked<'a>(&'a self, name: &str) -> impl Iterator<Item = &'a str> + use<'a> {
        self.0.values(name)
    }

    /// The form's own token, for the page that follows in the same browser with the same purpose.
    pub fn token(&self) -> &str {
        self.field("csrf").unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sent(token: &str) -> UncheckedForm {
        UncheckedForm(Parameters::parse(format!("csrf={token}&name=value").as_bytes()).unwrap())
    }

    #[test]
    fn a_form_counts_for_its_purpose_in_its_browser_alone() {
        let tokens = FormTokens::new(&[1; 32]);
        let token = tokens.token(Purpose::Chart, "browser");
        assert!(sent(&token).checked(&tokens, &[Purpose::Chart], None).is_err());
        assert!(sent(&token).checked(&tokens, &[Purpose::Chart], Some("other")).is_err());
        assert!(sent(&token).checked(&tokens, &[Purpose::Consent], Some("browser")).is_err());
        assert!(sent(&token).checked(&tokens, &[], Some("browser")).is_err());
        assert!(sent("").checked(&tokens, &[Purpose::Chart], Some("browser")).is_err());
        let twice = UncheckedForm(Parameters::parse(format!("csrf={token}&csrf={token}").as_bytes()).unwrap());
        assert!(twice.checked(&tokens, &[Purpose::Chart], Some("browser")).is_err());
        let form = sent(&token).checked(&tokens, &[Purpose::Consent, Purpose::Chart], Some("browser")).ok().unwrap();
        assert_eq!(form.field("name"), Some("value"));
    }
}
