//! The consent screen: who asks, for whose record, for what, for how long; and what becomes of the answer.

use http::StatusCode;
use hyper::body::Incoming;
use portcullis_audit::record::{Event, Outcome};
use portcullis_fhir::types::LogicalId;
use portcullis_oauth::authorize::AuthorizationError;
use portcullis_oauth::consent_groups::ConsentGroup as Group;
use portcullis_oauth::grant::{AuthorizationCode, CODE_LIFETIME_SECONDS, Grant, SecretHash};
use portcullis_oauth::identifiers::GrantId;
use portcullis_oauth::parameters::Parameters;
use portcullis_oauth::scopes::{Letter, Scope, ScopeContext, ScopeKind, ScopeSet, ScopeTarget, plain_words};
use portcullis_store::registry::Change;

use super::authorize::{self, Stop, Understood, field, refuse, stopped};
use super::csrf::Purpose;
use super::people;
use super::reply::{self, Account};
use super::session::{self, SignedIn};
use crate::answer::{Answer, Draft};
use crate::context::{Borrowed, Server};
use crate::resource_server::Exchange;
use crate::ui::pages::{ConsentGroup, ConsentLine, ConsentPage, PatientChoice, PatientPickerPage};

/// The value that a form carries from page to page: the chosen patient (or nothing), a line, the query.
fn handle(patient: Option<&LogicalId>, query: &str) -> String {
    format!("{}\n{query}", patient.map(LogicalId::as_str).unwrap_or_default())
}

fn read_handle(handle: &str) -> Option<(Option<LogicalId>, &str)> {
    // Browsers send line breaks of form values as CR LF.
    let (patient, query) = handle.split_once('\n')?;
    let patient = patient.trim_end_matches('\r');
    if patient.is_empty() {
        return Some((None, query));
    }
    Some((Some(LogicalId::parse(patient)?), query))
}

/// The patient picker.
pub fn picker(server: &Server, understood: &Understood, signed_in: &SignedIn, people: Vec<PatientChoice>) -> Draft {
    let html = PatientPickerPage {
        app_name: understood.client.name.clone(),
        people,
        csrf: server.form_tokens.token(Purpose::Consent, signed_in.session.id.as_str()),
        request_handle: handle(None, &understood.query),
    };
    reply::page(StatusCode::OK, html.render(), Some(understood.request.redirect.origin()))
}

/// The consent screen.
pub async fn page(server: &Server, understood: &Understood, signed_in: &SignedIn, patient: Option<&LogicalId>) -> Draft {
    let request = &understood.request;
    let patient_name = match patient {
        Some(id) => people::choice(server, &signed_in.user, id).await.map(|choice| choice.name),
        None => None,
    };
    let origin = request.redirect.origin();
    let host = origin.split_once("://").map_or(origin, |(_, host)| host);
    let html = ConsentPage {
        app_name: understood.client.name.clone(),
        app_redirect_host: host.to_owned(),
        registered_by: "the operator of this server".to_owned(),
        verified: false,
        patient_name,
        person_name: signed_in.user.display_name.clone(),
        groups: groups(&request.scopes),
        duration_words: "for one hour".to_owned(),
        may_last: request.scopes.has(ScopeKind::OfflineAccess),
        may_write: request.scopes.iter().any(writes),
        reaches_others: request.scopes.has_context(ScopeContext::User),
        csrf: server.form_tokens.token(Purpose::Consent, signed_in.session.id.as_str()),
        request_handle: handle(patient, &understood.query),
        left_out: request.left_out.clone(),
    };
    reply::page(StatusCode::OK, html.render(), Some(origin))
}

fn writes(scope: &Scope) -> bool {
    let writing = [Letter::Create, Letter::Update, Letter::Delete];
    scope.resource().is_some_and(|resource| writing.into_iter().any(|letter| resource.letters.contains(letter)))
}

fn is_wildcard(scope: &Scope) -> bool {
    scope.resource().is_some_and(|resource| resource.target == ScopeTarget::Any)
}

/// The requested scopes in groups; launch scopes are context and not a line.
fn groups(scopes: &ScopeSet) -> Vec<ConsentGroup> {
    let lines = |group: Option<Group>| -> Vec<ConsentLine> {
        let inside = scopes.iter().filter(|scope| Group::of(scope) == group);
        inside
            .map(|scope| ConsentLine {
                scope: scope.to_string(),
                words: plain_words(scope),
                // Changing everything is never ticked for the person; asked for one by one it is.
                checked: !(writes(scope) && is_wildcard(scope)),
                sensitive: writes(scope),
                // The other permissions are about this patient and mean nothing without.
                required: scope.kind() == ScopeKind::LaunchPatient,
                is_new: false,
            })
            .collect()
    };
    let groups = Group::ALL.into_iter().map(|group| ConsentGroup { title: group.title().to_owned(), lines: lines(Some(group)) });
    let duration = ConsentGroup { title: "Staying connected".to_owned(), lines: lines(None) };
    groups.chain([duration]).filter(|group| !group.lines.is_empty()).collect()
}

/// `POST /consent`: a patient was chosen, or the answer was given.
pub async fn submit(server: &Server, exchange: &Exchange, body: Incoming) -> Answer {
    let Some(form) = authorize::own_form(exchange, body).await else {
        return expired(server, exchange, "no form").await;
    };
    let signed_in = match session::current(server, exchange).await {
        Ok(Some(signed_in)) => signed_in,
        Ok(None) => return expired(server, exchange, "no session").await,
        Err(error) => return stopped(server, exchange, Stop::Registry(error)).await,
    };
    let token = field(&form, "csrf").unwrap_or_default();
    if !server.form_tokens.accepts(Purpose::Consent, signed_in.session.id.as_str(), token) {
        return expired(server, exchange, "form token refused").await;
    }
    let Some((patient, query)) = field(&form, "request").and_then(read_handle) else {
        return expired(server, exchange, "no request").await;
    };
    let submission = Submission { server, exchange, form: &form, signed_in: &signed_in };
    match submission.answer(patient, query).await {
        Ok(answer) => answer,
        Err(stop) => stopped(server, exchange, stop).await,
    }
}

/// A form that a signed-in person sent from the picker or the consent screen.
struct Submission<'a> {
    server: &'a Server,
    exchange: &'a Exchange,
    form: &'a Parameters,
    signed_in: &'a SignedIn,
}

impl Submission<'_> {
    async fn answer(&self, patient: Option<LogicalId>, query: &str) -> Result<Answer, Stop> {
        let Self { server, exchange, form, signed_in } = *self;
        let understood = authorize::understand(server, query).await?;
        let chosen = match field(form, "patient").filter(|chosen| !chosen.is_empty()) {
            Some(chosen) => Some(LogicalId::parse(chosen).ok_or_else(|| denied(&understood))?),
            None => None,
        };
        let deciding = field(form, "decision");
        if let (Some(chosen), Some("continue")) = (&chosen, deciding) {
            // The picker's answer. Whether the person may open this record is decided by reading its name as that person.
            people::choice(server, &signed_in.user, chosen).await.ok_or_else(|| denied(&understood))?;
            let draft = page(server, &understood, signed_in, Some(chosen)).await;
            return Ok(server.record_page(exchange, Outcome::Success, draft).await);
        }
        if deciding != Some("allow") {
            return Ok(self.decline(&understood).await);
        }
        if understood.request.scopes.needs_patient() {
            let patient = patient.as_ref().ok_or_else(|| denied(&understood))?;
            people::choice(server, &signed_in.user, patient).await.ok_or_else(|| denied(&understood))?;
        }
        self.grant(patient, &understood).await
    }

    /// Takes the person's no to the app, and into the record with who said it to whom.
    async fn decline(&self, understood: &Understood) -> Answer {
        let Self { server, exchange, signed_in, .. } = *self;
        let said = "the person did not allow it";
        let response = understood.request.refuse(AuthorizationError::AccessDenied, said);
        let draft = reply::see_other(&response.location(&server.settings.public_url));
        let mut agent = reply::agent(exchange, signed_in);
        agent.client = Some(understood.client.id.as_str().to_owned());
        let account = Account { event: Event::Consent, agent, outcome: Outcome::Denied, detail: said.to_owned() };
        reply::recorded(server, exchange, account, draft).await
    }

    async fn grant(&self, patient: Option<LogicalId>, understood: &Understood) -> Result<Answer, Stop> {
        let Self { server, exchange, form, signed_in } = *self;
        let request = &understood.request;
        let scopes = kept(form, &request.scopes);
        if !scopes.iter().any(|scope| Group::of(scope).is_some() && scope.kind() != ScopeKind::LaunchPatient) {
            return Err(refuse(request, AuthorizationError::AccessDenied, "the person allowed nothing of what was asked"));
        }
        let mut random = Borrowed(&*server.entropy);
        let now = server.clock.now_seconds();
        let (code, hash) = SecretHash::generate(&mut random);
        let grant = Grant {
            id: GrantId::generate(&mut random),
            client: understood.client.id.clone(),
            user: signed_in.user.id.clone(),
            patient: patient.clone(),
            scopes: scopes.clone(),
            session: signed_in.session.id.clone(),
            authenticated_at: signed_in.session.authenticated_at,
            created_at: now,
            revoked_at: None,
        };
        let waiting = AuthorizationCode {
            hash,
            grant: grant.id.clone(),
            client: grant.client.clone(),
            redirect_uri: request.redirect.as_str().to_owned(),
            challenge: request.challenge.clone(),
            scopes: scopes.clone(),
            user: grant.user.clone(),
            patient,
            nonce: request.nonce.clone(),
            authenticated_at: grant.authenticated_at,
            expires_at: now + CODE_LIFETIME_SECONDS,
        };
        let draft = reply::see_other(&request.success_location(code.expose(), &server.settings.public_url));
        let mut agent = reply::agent(exchange, signed_in);
        agent.client = Some(understood.client.id.as_str().to_owned());
        let detail = format!("allowed: {scopes}");
        let account = Account { event: Event::Consent, agent, outcome: Outcome::Success, detail };
        let change = Change::AddGrant(Box::new(grant), Box::new(waiting));
        Ok(reply::changed(server, exchange, change, account, draft).await?)
    }
}

fn denied(understood: &Understood) -> Stop {
    refuse(&understood.request, AuthorizationError::AccessDenied, "this person may not open that record")
}

/// The scopes that stayed ticked, in the order and spelling of the request. What cannot be unticked stays.
fn kept(form: &Parameters, requested: &ScopeSet) -> ScopeSet {
    let ticked: Vec<&str> = form.values("scope").collect();
    requested.retaining(|scope| scope.kind() == ScopeKind::LaunchPatient || ticked.contains(&scope.as_str()))
}

async fn expired(server: &Server, exchange: &Exchange, detail: &str) -> Answer {
    let draft = reply::error(
        StatusCode::FORBIDDEN,
        "This page has expired",
        "You were signed out, or the page was open for too long.",
        "Nothing was shared.",
        "Go back to the app and start again.",
    );
    let account = Account { event: Event::Consent, agent: exchange.agent(), outcome: Outcome::Denied, detail: detail.to_owned() };
    reply::recorded(server, exchange, account, draft).await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_handle_reads_back_and_a_forged_patient_does_not() {
        let id = LogicalId::parse("pat-1");
        assert_eq!(read_handle(&handle(id.as_ref(), "a=b")), Some((id.clone(), "a=b")));
        assert_eq!(read_handle(&handle(None, "a=b")), Some((None, "a=b")));
        assert_eq!(read_handle("pat-1\r\na=b"), Some((id, "a=b")));
        assert_eq!(read_handle("../x\na=b"), None);
        assert_eq!(read_handle("a=b"), None);
    }
}
