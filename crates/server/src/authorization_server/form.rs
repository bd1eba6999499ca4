//! Reading a posted form, which counts only if a page of ours made it for the browser that sends it.
//!
//! [`UncheckedForm`] gives its values to nothing but the page that is shown again; only [`UncheckedForm::checked`] makes a [`Form`] of it.

use http::header;
use portcullis_oauth::parameters::{Parameters, ParametersError};

use super::csrf::{FormTokens, Purpose};
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

/// A form as it arrived. Any page of the web could have sent it through this browser.
#[derive(Default)]
pub struct UncheckedForm(Parameters);

impl UncheckedForm {
    /// Reads a form of at most 64 KiB.
    pub async fn read(exchange: &Exchange, incoming: Incoming) -> Result<Self, FormError> {
        let content_type = exchange.header(&header::CONTENT_TYPE).unwrap_or_default();
        let media_type = content_type.split(';').next().unwrap_or_default().trim();
        if !media_type.eq_ignore_ascii_case("application/x-www-form-urlencoded") {
            return Err(FormError::ContentType);
        }
        let bytes = body::read(incoming, body::MAXIMUM_FORM).await?;
        Ok(Self(Parameters::parse_page_form(&bytes)?))
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
