//! Pages and redirects with their headers, and the record that goes with them.

use http::{StatusCode, header};
use portcullis_audit::PendingRecord;
use portcullis_audit::record::{Agent, Event, OperationEntry, Outcome, Record};
use portcullis_oauth::grant::Grant;
use portcullis_oauth::purposes::Purposes;
use portcullis_oauth::token_error::TokenError;
use portcullis_oauth::users::User;
use portcullis_store::RegistryError;
use portcullis_store::registry::Change;

use crate::answer::{Answer, Draft};
use crate::context::Server;
use crate::face::Face;
use crate::mail::notices;
use crate::middleware::refusals::{self, Admission, Standing};
use crate::resource_server::Exchange;
use crate::resource_server::authenticate::AuthenticationError;
use crate::ui;

use super::session::SignedIn;

/// An HTML page; `redirect_origin` is where its form's answer may lead (Chromium applies form-action to redirects).
pub fn page(status: StatusCode, html: String, redirect_origin: Option<&str>) -> Draft {
    Draft::new(status)
        .body(ui::MEDIA_TYPE, html)
        .with_text(header::CONTENT_SECURITY_POLICY, &ui::content_security_policy(redirect_origin))
}

/// The same for a page that runs our script for passkeys.
pub fn page_with_script(status: StatusCode, html: String, redirect_origin: Option<&str>) -> Draft {
    Draft::new(status)
        .body(ui::MEDIA_TYPE, html)
        .with_text(header::CONTENT_SECURITY_POLICY, &ui::content_security_policy_with_script(redirect_origin))
}

/// A redirect after a form (303, so that the next request is a GET: RFC 9700, section 4.12).
pub fn see_other(location: &str) -> Draft {
    Draft::new(StatusCode::SEE_OTHER).with_text(header::LOCATION, location)
}

/// An error page for a person.
///
/// In each language: the title, what happened, what it means, what to do.
pub fn error(exchange: &Exchange, status: StatusCode, english: [&str; 4], spanish: [&str; 4]) -> Draft {
    ui::error(&exchange.reader(), status, english, spanish)
}

/// The answer to a page, or the page that says that the registry failed.
pub async fn or_unavailable(server: &Server, exchange: &Exchange, answer: Result<Answer, RegistryError>) -> Answer {
    match answer {
        Ok(answer) => answer,
        Err(error) => server.record_page(exchange, Outcome::Failed, unavailable(exchange, &error)).await,
    }
}

/// An error of the token or revocation endpoint (RFC 6749, section 5.2).
pub fn oauth_error(error: TokenError) -> Draft {
    let status = StatusCode::from_u16(error.status()).unwrap_or(StatusCode::BAD_REQUEST);
    let draft = Draft::new(status).body("application/json", error.to_json().to_string()).with(header::PRAGMA, "no-cache");
    match error.www_authenticate() {
        Some(challenge) => draft.with(header::WWW_AUTHENTICATE, challenge),
        None => draft,
    }
}

/// The answer to whoever did not authenticate by an access token, at an endpoint that takes one and is not FHIR (RFC 6750, section 3), and how the
/// exchange ended. A token of which nothing can be known for now is not called invalid: its holder would throw it away.
pub fn not_authenticated(error: &AuthenticationError) -> (Outcome, Draft) {
    if let AuthenticationError::Unavailable(error) = error {
        tracing::error!(%error, "the registry failed at an endpoint that takes access tokens");
        return (Outcome::Failed, oauth_error(TokenError::TemporarilyUnavailable).with(header::RETRY_AFTER, "10"));
    }
    let body = serde_json::json!({"error": error.code(), "error_description": error.advice()});
    let draft = Draft::new(StatusCode::UNAUTHORIZED).body("application/json", body.to_string()).with(header::PRAGMA, "no-cache");
    (Outcome::Denied, error.challenges().iter().fold(draft, |draft, one| draft.with_text(header::WWW_AUTHENTICATE, one)))
}

/// What is said when the registry does not answer.
pub fn unavailable(exchange: &Exchange, error: &RegistryError) -> Draft {
    tracing::error!(%error, "the registry failed");
    self::error(
        exchange,
        StatusCode::SERVICE_UNAVAILABLE,
        [
            "We cannot do this right now",
            "The server’s data store did not answer.",
            "Nothing was changed.",
            "Wait a minute and try again.",
        ],
        [
            "En este momento no podemos hacerlo",
            "La base de datos del servidor no respondió.",
            "No se cambió nada.",
            "Espere un minuto e inténtelo de nuevo.",
        ],
    )
    .with(header::RETRY_AFTER, "10")
}

/// The agent of a signed-in person.
pub fn agent(exchange: &Exchange, signed_in: &SignedIn) -> Agent {
    Agent {
        user: Some(signed_in.user.id.as_str().to_owned()),
        fhir_user: signed_in.user.fhir_user.as_ref().map(ToString::to_string),
        purpose: Some(Purposes::of_page(signed_in.user.roles).of_use().code().to_owned()),
        ..exchange.agent()
    }
}

/// A client as the agent of an exchange in the name of the user of a grant.
pub async fn agent_of_grant(server: &Server, exchange: &Exchange, grant: &Grant) -> Agent {
    // A record without the reference is still a record: whoever the user is to FHIR may be gone.
    let user = server.registry.user(&grant.user).await.ok().flatten();
    agent_in_name_of(exchange, grant, user.as_ref())
}

/// The same where the user was read already.
pub fn agent_in_name_of(exchange: &Exchange, grant: &Grant, user: Option<&User>) -> Agent {
    let fhir_user = user.and_then(|user| user.fhir_user.as_ref());
    Agent {
        client: Some(grant.client.as_str().to_owned()),
        user: Some(grant.user.as_str().to_owned()),
        purpose: user.map(|user| Purposes::of_page(user.roles).of_use().code().to_owned()),
        fhir_user: fhir_user.map(ToString::to_string),
        ..exchange.agent()
    }
}

/// What the record of an exchange says beyond the exchange itself.
#[derive(Clone, Debug)]
pub struct Account {
    /// Which kind of event.
    pub event: Event,
    /// Who.
    pub agent: Agent,
    /// How it ended.
    pub outcome: Outcome,
    /// What happened, in words without secrets.
    pub detail: String,
    /// The patients whom it is about, or whose names were shown.
    pub patients: Vec<String>,
}

impl Account {
    /// What a record says that is about no patient.
    pub fn new(event: Event, agent: Agent, outcome: Outcome, detail: impl Into<String>) -> Self {
        Self { event, agent, outcome, detail: detail.into(), patients: Vec::new() }
    }

    /// The same about these patients.
    pub fn about<I: IntoIterator<Item: ToString>>(mut self, patients: I) -> Self {
        self.patients.extend(patients.into_iter().map(|patient| patient.to_string()));
        self
    }
}

fn record(exchange: &Exchange, account: Account, draft: &Draft) -> Record {
    let mut record = exchange.record(account.event, account.agent, account.outcome, draft.status());
    record.operations = vec![OperationEntry { patients: account.patients, ..exchange.raw_operation() }];
    record.detail = Some(account.detail).filter(|detail| !detail.is_empty());
    record
}

/// Answers an exchange that changes nothing. Refusals of nobody in particular are recorded one by one up to a limit, then together.
pub async fn recorded(server: &Server, exchange: &Exchange, account: Account, draft: Draft) -> Answer {
    let refused = matches!(account.outcome, Outcome::Denied | Outcome::Rejected) && account.agent.user.is_none();
    if refused && let Admission::Gather(gathered) = refusals::admit(server, exchange.peer.address.ip(), Standing::Stranger) {
        return Answer::gathered(gathered, Face::of(exchange));
    }
    match server.ledger.append(record(exchange, account, &draft)).await {
        Ok(receipt) => Answer::recorded(receipt, draft),
        Err(error) => Answer::unrecorded(&error, Face::of(exchange)),
    }
}

/// The same about these resources; where there are none, about the request.
pub async fn recorded_about(
    server: &Server,
    exchange: &Exchange,
    (account, about): (Account, Vec<OperationEntry>),
    draft: Draft,
) -> Answer {
    let mut record = record(exchange, account, &draft);
    if !about.is_empty() {
        record.operations = about;
    }
    match server.ledger.append(record).await {
        Ok(receipt) => Answer::recorded(receipt, draft),
        Err(error) => Answer::unrecorded(&error, Face::of(exchange)),
    }
}

/// Makes a change together with its record, then answers. `Err` gives the exchange back to be answered otherwise.
pub async fn changed(
    server: &Server,
    exchange: &Exchange,
    change: Change,
    account: Account,
    draft: Draft,
) -> Result<Answer, RegistryError> {
    server.ledger.health().map_err(|error| RegistryError::Unavailable(Box::new(error)))?;
    let corrupt = |text: &str| RegistryError::Corrupt(text.to_owned());
    let pending = PendingRecord::new(&record(exchange, account, &draft)).map_err(|error| corrupt(&error.to_string()))?;
    let change = notices::telling(server, change).await?;
    let acknowledgement = server.registry.apply(change, &pending).await?;
    let receipt = pending.receipt(&acknowledgement).map_err(|error| corrupt(&error.to_string()))?;
    Ok(Answer::recorded(receipt, draft))
}

#[cfg(test)]
mod tests {
    use portcullis_oauth::dpop::ProofError;

    use super::*;

    #[test]
    fn a_token_is_not_called_invalid_when_the_registry_is_away() {
        let away = AuthenticationError::Unavailable(RegistryError::Unavailable("away".into()));
        let (outcome, draft) = not_authenticated(&away);
        assert_eq!((outcome, draft.status().as_u16()), (Outcome::Failed, 503));
        let (outcome, draft) = not_authenticated(&AuthenticationError::Missing);
        assert_eq!((outcome, draft.status().as_u16()), (Outcome::Denied, 401));
        assert_eq!(AuthenticationError::Proof(ProofError::Nonce).code(), "use_dpop_nonce");
        assert_eq!(AuthenticationError::Proof(ProofError::Replayed).code(), "invalid_dpop_proof");
    }
}
