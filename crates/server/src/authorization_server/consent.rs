//! The consent screen: who asks, for whose record, for what, for how long; and what becomes of the answer.

use http::StatusCode;
use portcullis_audit::record::{Agent, Event, Outcome};
use portcullis_fhir::types::LogicalId;
use portcullis_oauth::authorize::AuthorizationError;
use portcullis_oauth::consent_groups::ConsentGroup as Group;
use portcullis_oauth::grant::{AuthorizationCode, CODE_LIFETIME_SECONDS, Grant, SecretHash};
use portcullis_oauth::identifiers::GrantId;
use portcullis_oauth::parameters::Parameters;
use portcullis_oauth::scopes::{Letter, Scope, ScopeContext, ScopeKind, ScopeSet, ScopeTarget, plain_words};
use portcullis_store::registry::Change;

use super::authorize::{self, Shown, Stop, Understood, field, refuse, stopped};
use super::csrf::Purpose;
use super::people::{self, Wanted};
use super::picker;
use super::reply::{self, Account};
use super::session::{self, SignedIn};
use crate::answer::Answer;
use crate::context::{Borrowed, Server};
use crate::listener::Incoming;
use crate::resource_server::Exchange;
use crate::ui::pages::{ConsentGroup, ConsentLine, ConsentPage};

/// The longest name that is looked for, in characters.
const MAXIMUM_NAME: usize = 100;

/// The value that a form carries from page to page: the chosen patient (or nothing), a line, the query.
pub fn handle(patient: Option<&LogicalId>, query: &str) -> String {
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

/// The consent screen.
pub async fn page(server: &Server, understood: &Understood, signed_in: &SignedIn, patient: Option<&LogicalId>) -> Shown {
    let request = &understood.request;
    let patient_name = match patient {
        Some(id) => people::choice(server, &signed_in.user, id).await.map(|choice| choice.name),
        None => None,
    };
    let patients = patient.filter(|_| patient_name.is_some()).map(ToString::to_string).into_iter().collect();
    let origin = request.redirect.origin();
    let host = origin.split_once("://").map_or(origin, |(_, host)| host);
    let session = signed_in.session.id.as_str();
    let html = ConsentPage {
        app_name: understood.client.name.clone(),
        app_redirect_host: host.to_owned(),
        patient_name,
        person_name: signed_in.user.display_name.clone(),
        groups: groups(&request.scopes, had_before(server, understood, signed_in, patient).await.as_ref()),
        may_last: request.scopes.has(ScopeKind::OfflineAccess),
        may_last_online: request.scopes.has(ScopeKind::OnlineAccess),
        may_write: request.scopes.iter().any(writes),
        reaches_others: request.scopes.has_context(ScopeContext::User),
        csrf: server.form_tokens.token(Purpose::Consent, session),
        request_handle: handle(patient, &understood.query),
        left_out: request.left_out.clone(),
        return_to: understood.path(),
    };
    Shown { draft: reply::page(StatusCode::OK, html.render(), Some(origin)), patients }
}

/// What the person gave this app before, for the same patient; `None` where nothing, or where it cannot be read: then no line claims to be new.
async fn had_before(
    server: &Server,
    understood: &Understood,
    signed_in: &SignedIn,
    patient: Option<&LogicalId>,
) -> Option<Vec<ScopeSet>> {
    let standing = server.registry.grants_of(&signed_in.user.id).await.ok()?;
    let same = |grant: &Grant| grant.client == understood.client.id && grant.patient.as_ref() == patient;
    let before: Vec<ScopeSet> =
        standing.into_iter().map(|standing| standing.grant).filter(same).map(|grant| grant.scopes).collect();
    (!before.is_empty()).then_some(before)
}

fn writes(scope: &Scope) -> bool {
    let writing = [Letter::Create, Letter::Update, Letter::Delete];
    scope.resource().is_some_and(|resource| writing.into_iter().any(|letter| resource.letters.contains(letter)))
}

fn is_wildcard(scope: &Scope) -> bool {
    scope.resource().is_some_and(|resource| resource.target == ScopeTarget::Any)
}

/// The requested scopes in groups; launch scopes are context and not a line.
fn groups(scopes: &ScopeSet, before: Option<&Vec<ScopeSet>>) -> Vec<ConsentGroup> {
    let is_new = |scope: &Scope| before.is_some_and(|before| !before.iter().any(|granted| granted.covers(scope)));
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
                is_new: is_new(scope),
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
        Err(error) => return stopped(server, exchange, Stop::Registry(error), exchange.agent()).await,
    };
    let token = field(&form, "csrf").unwrap_or_default();
    if !server.form_tokens.accepts(Purpose::Consent, signed_in.session.id.as_str(), token) {
        return expired(server, exchange, "form token refused").await;
    }
    let Some((patient, query)) = field(&form, "request").and_then(read_handle) else {
        return expired(server, exchange, "no request").await;
    };
    let submission = Submission { server, exchange, form: &form, signed_in: &signed_in };
    submission.answered(patient, query).await
}

/// A form that a signed-in person sent from the picker or the consent screen.
struct Submission<'a> {
    server: &'a Server,
    exchange: &'a Exchange,
    form: &'a Parameters,
    signed_in: &'a SignedIn,
}

impl Submission<'_> {
    async fn answered(&self, patient: Option<LogicalId>, query: &str) -> Answer {
        let Self { server, exchange, signed_in, .. } = *self;
        let mut agent = reply::agent(exchange, signed_in);
        let understood = match authorize::understand(server, query).await {
            Ok(understood) => understood,
            Err(stop) => return stopped(server, exchange, stop, agent).await,
        };
        agent.client = Some(understood.client.id.as_str().to_owned());
        if !understood.takes_answer(server, signed_in) {
            return expired(server, exchange, "not signed in for this request").await;
        }
        match self.answer(patient, &understood, &agent).await {
            Ok(answer) => answer,
            Err(stop) => stopped(server, exchange, stop, agent).await,
        }
    }

    async fn answer(&self, patient: Option<LogicalId>, understood: &Understood, agent: &Agent) -> Result<Answer, Stop> {
        let Self { server, exchange, form, signed_in } = *self;
        let needs_patient = understood.request.scopes.needs_patient();
        let account = |outcome, detail| Account::new(Event::Consent, agent.clone(), outcome, detail);
        match field(form, "decision") {
            Some("search" | "more") if needs_patient => {
                let is_later_page = field(form, "decision") == Some("more");
                let cursor = field(form, "page").filter(|_| is_later_page).map(str::to_owned);
                let typed = field(form, if is_later_page { "page_name" } else { "name" }).unwrap_or_default();
                let wanted = Wanted { name: typed.trim().chars().take(MAXIMUM_NAME).collect(), cursor };
                let choices = people::choices(server, &signed_in.user, &wanted).await;
                let shown = picker::page(server, understood, signed_in, &wanted, choices);
                Ok(shown.recorded(server, exchange, agent.clone()).await)
            }
            Some("continue") if needs_patient => {
                // The picker's answer. Whether the person may open this record is decided by reading its name as that person.
                let Some(chosen) = field(form, "patient") else {
                    let wanted = Wanted::default();
                    let choices = people::choices(server, &signed_in.user, &wanted).await;
                    let shown = picker::page(server, understood, signed_in, &wanted, choices);
                    return Ok(shown.recorded(server, exchange, agent.clone()).await);
                };
                let chosen = LogicalId::parse(chosen).ok_or_else(|| denied(understood))?;
                people::choice(server, &signed_in.user, &chosen).await.ok_or_else(|| denied(understood))?;
                let shown = page(server, understood, signed_in, Some(&chosen)).await;
                Ok(shown.recorded(server, exchange, agent.clone()).await)
            }
            Some("allow") => {
                // Without a scope that is about a patient there is no patient in context, whatever the form says.
                let patient = patient.filter(|_| needs_patient);
                if needs_patient {
                    let patient = patient.as_ref().ok_or_else(|| denied(understood))?;
                    people::choice(server, &signed_in.user, patient).await.ok_or_else(|| denied(understood))?;
                }
                self.grant(patient, understood, account).await
            }
            _ => {
                let said = "the person did not allow it";
                let response = understood.request.refuse(AuthorizationError::AccessDenied, said);
                let draft = reply::see_other(&response.location(&server.settings.public_url));
                let account = account(Outcome::Denied, said.to_owned()).about(patient);
                Ok(reply::recorded(server, exchange, account, draft).await)
            }
        }
    }

    async fn grant(
        &self,
        patient: Option<LogicalId>,
        understood: &Understood,
        account: impl Fn(Outcome, String) -> Account,
    ) -> Result<Answer, Stop> {
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
        let account = account(Outcome::Success, format!("allowed: {scopes}")).about(grant.patient.clone());
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
    let account = Account::new(Event::Consent, exchange.agent(), Outcome::Denied, detail);
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
