//! The consent screen: who asks, for whose record, for what, for how long; and what becomes of the answer.

use http::StatusCode;
use portcullis_audit::record::{Agent, Event, Outcome};
use portcullis_fhir::types::LogicalId;
use portcullis_oauth::authorize::AuthorizationError;
use portcullis_oauth::client_display::shown;
use portcullis_oauth::consent_groups::ConsentGroup as Group;
use portcullis_oauth::grant::Grant;
use portcullis_oauth::launch::Launch;
use portcullis_oauth::scopes::{Letter, Scope, ScopeContext, ScopeKind, ScopeSet, ScopeTarget, narrower, plain_words};
use portcullis_store::RegistryError;
use portcullis_store::registry::Change;

use super::asking_app::asking_app;
use super::authorize::{self, Shown, Understood};
use super::granting::{self, Allowed};
use super::launch_context::{self, Chosen, ChosenEncounter, Next, denied};
use super::people::{self, Wanted};
use super::stop::{Stop, refuse, stopped};
use super::{encounters, picker, step_up};
use crate::answer::Answer;
use crate::authorization_server::csrf::Purpose;
use crate::authorization_server::form::{self, Form};
use crate::authorization_server::reply::{self, Account};
use crate::authorization_server::session::{self, SignedIn};
use crate::context::Server;
use crate::listener::Incoming;
use crate::resource_server::Exchange;
use crate::ui::Language;
use crate::ui::field;
use crate::ui::pages::{ConsentGroup, ConsentLine, ConsentPage, ConsentPart};

/// The longest scope that is shown where it is left out, in characters.
const LONGEST_SCOPE: usize = 200;
/// The longest name that is looked for, in characters.
const MAXIMUM_NAME: usize = 100;

/// The value that a form carries from page to page: what was chosen (or nothing), a line, the query.
pub fn handle(chosen: &Chosen, query: &str) -> String {
    format!("{}\n{query}", chosen.to_text())
}

fn read_handle(handle: &str) -> Option<(Chosen, &str)> {
    // Browsers send line breaks of form values as CR LF.
    let (chosen, query) = handle.split_once('\n')?;
    Some((Chosen::parse(chosen.trim_end_matches('\r'))?, query))
}

/// Whether a scope asks for context and for no access: it goes with any permission at all, and cannot be unticked.
fn is_context(scope: &Scope) -> bool {
    matches!(scope.kind(), ScopeKind::Launch | ScopeKind::LaunchPatient | ScopeKind::LaunchEncounter)
}

/// The consent screen.
pub async fn page(server: &Server, understood: &Understood, signed_in: &SignedIn, context: &Chosen) -> Shown {
    let request = &understood.request;
    let patient = context.patient.as_ref();
    let patient_name = match patient {
        Some(id) => people::choice(server, &signed_in.user, id).await.map(|choice| choice.shown_name(&signed_in.reader)),
        None => None,
    };
    let patients = patient.filter(|_| patient_name.is_some()).map(ToString::to_string).into_iter().collect();
    let origin = request.redirect.origin();
    let session = signed_in.session.id.as_str();
    let html = ConsentPage {
        reader: signed_in.reader.clone().at(&understood.path_with_proof()),
        app: asking_app(server, &understood.client, &request.redirect).await,
        patient_name,
        person_name: signed_in.user.display_name.clone(),
        groups: groups(
            signed_in.reader.language,
            &request.scopes,
            had_before(server, understood, signed_in, patient).await.as_ref(),
        ),
        may_last: request.scopes.has(ScopeKind::OfflineAccess),
        may_last_online: request.scopes.has(ScopeKind::OnlineAccess),
        may_write: request.scopes.iter().any(writes),
        reaches_others: request.scopes.has_context(ScopeContext::User),
        csrf: server.form_tokens.token(Purpose::Consent, session),
        request_handle: handle(context, &understood.query),
        left_out: request.left_out.iter().map(|scope| shown(scope, LONGEST_SCOPE)).collect(),
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
    scope.reach().is_some_and(|reach| writing.into_iter().any(|letter| reach.letters.contains(letter)))
}

fn is_wildcard(scope: &Scope) -> bool {
    scope.resource().is_some_and(|resource| resource.target == ScopeTarget::Any)
}

/// The requested scopes in groups; launch scopes are context and not a line.
fn groups(language: Language, scopes: &ScopeSet, before: Option<&Vec<ScopeSet>>) -> Vec<ConsentGroup> {
    let had_before = |scope: &Scope| before.map(|before| before.iter().any(|granted| granted.covers(scope)));
    let lines = |group: Option<Group>| -> Vec<ConsentLine> {
        let inside = scopes.iter().filter(|scope| Group::of(scope) == group);
        inside
            .map(|scope| ConsentLine {
                scope: scope.to_string(),
                words: plain_words(scope, language),
                // Changing everything is never ticked for the person; asked for one by one it is.
                checked: !(writes(scope) && is_wildcard(scope)),
                sensitive: writes(scope),
                // The other permissions are about this patient and mean nothing without.
                required: is_context(scope),
                is_new: had_before(scope) == Some(false),
                had_before: had_before(scope) == Some(true),
                // SMART App Launch 2.2.0, "Wildcard scopes": the person is told that types of later are meant, too.
                covers_future: is_wildcard(scope),
                parts: narrower(scope)
                    .iter()
                    .map(|part| ConsentPart { scope: part.to_string(), words: plain_words(part, language) })
                    .collect(),
            })
            .collect()
    };
    let groups =
        Group::ALL.into_iter().map(|group| ConsentGroup { title: group.title(language).to_owned(), lines: lines(Some(group)) });
    let duration =
        ConsentGroup { title: language.say("Staying connected", "Mantener la conexión").to_owned(), lines: lines(None) };
    groups.chain([duration]).filter(|group| !group.lines.is_empty()).collect()
}

/// `POST /consent`: a patient was chosen, or the answer was given.
pub async fn submit(server: &Server, exchange: &Exchange, body: Incoming) -> Answer {
    let form = match form::received(server, exchange, Event::Consent, body).await {
        Ok(form) => form,
        Err(answer) => return answer,
    };
    let signed_in = match session::current(server, exchange).await {
        Ok(Some(signed_in)) => signed_in,
        Ok(None) => return expired(server, exchange, "no session").await,
        Err(error) => return stopped(server, exchange, Stop::Registry(error), exchange.agent()).await,
    };
    let Ok(form) = form.checked(&server.form_tokens, &[Purpose::Consent], Some(signed_in.session.id.as_str())) else {
        return expired(server, exchange, "form token refused").await;
    };
    let Some((chosen, query)) = form.field("request").and_then(read_handle) else {
        return expired(server, exchange, "no request").await;
    };
    let submission = Submission { server, exchange, form: &form, signed_in: &signed_in };
    submission.answered(chosen, query).await
}

/// A form that a signed-in person sent from the picker or the consent screen.
struct Submission<'a> {
    server: &'a Server,
    exchange: &'a Exchange,
    form: &'a Form,
    signed_in: &'a SignedIn,
}

impl Submission<'_> {
    async fn answered(&self, chosen: Chosen, query: &str) -> Answer {
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
        if signed_in.recovered_by().is_some() {
            return stopped(server, exchange, Stop::NotConfirmed, agent).await;
        }
        match step_up::needed_for_answer(server, &understood, signed_in).await {
            Ok(None) => {}
            Ok(Some(_)) => {
                let account = Account::new(Event::Consent, agent, Outcome::Denied, "a second factor is needed first");
                return reply::recorded(server, exchange, account, reply::see_other(&understood.path_with_proof())).await;
            }
            Err(stop) => return stopped(server, exchange, stop, agent).await,
        }
        match self.answer(chosen, &understood, &agent).await {
            Ok(answer) => answer,
            Err(stop) => stopped(server, exchange, stop, agent).await,
        }
    }

    async fn answer(&self, chosen: Chosen, understood: &Understood, agent: &Agent) -> Result<Answer, Stop> {
        let Self { server, exchange, form, signed_in } = *self;
        let asks = understood.request.scopes.needs_patient();
        let (user, decision) = (&signed_in.user, form.field("decision"));
        match decision {
            Some("more") if asks && chosen.patient.is_some() => {
                let patient = chosen.patient.ok_or_else(|| denied(understood))?;
                people::choice(server, user, &patient).await.ok_or_else(|| denied(understood))?;
                let visits = encounters::choices(server, user, &patient, form.field("page").map(str::to_owned)).await;
                let shown = picker::encounters(server, understood, signed_in, &patient, visits).await;
                Ok(shown.recorded(server, exchange, agent.clone()).await)
            }
            Some("search" | "more") if asks => {
                let is_later_page = decision == Some("more");
                let cursor = form.field("page").filter(|_| is_later_page).map(str::to_owned);
                let typed = form.field(if is_later_page { "page_name" } else { "name" }).unwrap_or_default();
                let wanted = Wanted { name: typed.trim().chars().take(MAXIMUM_NAME).collect(), cursor };
                let choices = people::choices(server, user, &wanted).await;
                let shown = picker::page(server, understood, signed_in, &wanted, choices);
                Ok(shown.recorded(server, exchange, agent.clone()).await)
            }
            Some("continue" | "without") if asks => {
                let chosen = self.picked(chosen).ok_or_else(|| denied(understood))?;
                let shown = match launch_context::next(server, understood, signed_in, chosen).await? {
                    Next::Page(shown) => shown,
                    Next::Decided(context) => page(server, understood, signed_in, &context).await,
                };
                Ok(shown.recorded(server, exchange, agent.clone()).await)
            }
            Some("allow") => {
                let launched = understood.launch.as_ref().is_some_and(|launch| launch.patient.is_some());
                if asks && !launched && chosen.patient.is_none() {
                    return Err(denied(understood));
                }
                // What the consent screen showed is decided once more: what the form carries proves nothing.
                match launch_context::next(server, understood, signed_in, chosen).await? {
                    Next::Decided(context) => self.grant(context, understood, agent).await,
                    Next::Page(_) => Err(denied(understood)),
                }
            }
            _ => self.deny(chosen, understood, agent).await,
        }
    }

    /// What a picker's form says beside what was chosen before; `None` for what no picker offers.
    fn picked(&self, chosen: Chosen) -> Option<Chosen> {
        let id = |name: &str| self.form.field(name).map(LogicalId::parse);
        let Some(patient) = chosen.patient else {
            let patient = id("patient").map_or(Some(None), |parsed| parsed.map(Some))?;
            return Some(Chosen { patient, ..Chosen::default() });
        };
        let encounter = match id("encounter") {
            _ if self.form.field("decision") == Some("without") => ChosenEncounter::Without,
            Some(parsed) => ChosenEncounter::One(parsed?),
            None => ChosenEncounter::Open,
        };
        Some(Chosen { patient: Some(patient), encounter })
    }

    /// The person said no: the app is told, and a launch that it came with has been answered.
    async fn deny(&self, chosen: Chosen, understood: &Understood, agent: &Agent) -> Result<Answer, Stop> {
        let Self { server, exchange, .. } = *self;
        let said = "the person did not allow it";
        let response = understood.request.refuse(AuthorizationError::AccessDenied, said);
        let draft = || reply::see_other(&response.location(&server.settings.public_url));
        // The form could carry anybody's name into the record: only whom this person may open is in it, and a launch says for itself whom it is about.
        let launched = understood.launch.as_ref().and_then(|launch| launch.patient.clone());
        let about = match launched.or(chosen.patient) {
            Some(patient) if people::choice(server, &self.signed_in.user, &patient).await.is_some() => Some(patient),
            _ => None,
        };
        let account = || Account::new(Event::Consent, agent.clone(), Outcome::Denied, said).about(about.clone());
        // Whoever the launch does not admit, or who may not see whom it is about, answers for nobody: it waits for the person for whom it was made.
        let for_them =
            |launch: &&Launch| launch.admits(&self.signed_in.user.id).is_ok() && (launch.patient.is_none() || about.is_some());
        if let Some(launch) = understood.launch.as_deref().filter(for_them) {
            let change = Change::SpendLaunch { launch: launch.hash, then: Box::new(Change::Nothing) };
            match reply::changed(server, exchange, change, account(), draft()).await {
                // Somebody was faster; no is no all the same.
                Err(RegistryError::Conflict(_)) => {}
                answered => return Ok(answered?),
            }
        }
        Ok(reply::recorded(server, exchange, account(), draft()).await)
    }

    async fn grant(&self, context: Chosen, understood: &Understood, agent: &Agent) -> Result<Answer, Stop> {
        let Self { server, exchange, form, signed_in } = *self;
        let request = &understood.request;
        let scopes = kept(form, &request.scopes);
        if !scopes.iter().any(|scope| Group::of(scope).is_some() && !is_context(scope)) {
            return Err(refuse(request, AuthorizationError::AccessDenied, "the person allowed nothing of what was asked"));
        }
        let allowed = Allowed { context, scopes, told: "allowed", over: Vec::new() };
        granting::allow(server, exchange, (understood, signed_in), allowed, agent).await
    }
}

/// The scopes that stayed ticked, in the order and spelling of the request. What cannot be unticked stays. Who ticked parts of one gives those parts,
/// whether the whole stayed ticked or not: the less is meant.
fn kept(form: &Form, requested: &ScopeSet) -> ScopeSet {
    let is_ticked = |field: &str, scope: &Scope| form.ticked(field).any(|ticked| ticked == scope.as_str());
    let kept = |scope: &Scope| -> Vec<Scope> {
        let parts: Vec<Scope> = narrower(scope).into_iter().filter(|part| is_ticked(field::PART, part)).collect();
        if !parts.is_empty() {
            return parts;
        }
        if is_context(scope) || is_ticked(field::SCOPE, scope) { vec![scope.clone()] } else { Vec::new() }
    };
    requested.iter().flat_map(kept).collect()
}

async fn expired(server: &Server, exchange: &Exchange, detail: &str) -> Answer {
    let draft = reply::error(
        exchange,
        StatusCode::FORBIDDEN,
        [
            "This page has expired",
            "You were signed out, or the page was open for too long.",
            "Nothing was shared.",
            "Go back to the app and start again.",
        ],
        [
            "Esta página ya venció",
            "Se cerró su sesión, o la página estuvo abierta demasiado tiempo.",
            "No se compartió nada.",
            "Vuelva a la aplicación y empiece de nuevo.",
        ],
    );
    let account = Account::new(Event::Consent, exchange.agent(), Outcome::Denied, detail);
    reply::recorded(server, exchange, account, draft).await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_handle_reads_back_and_a_forged_patient_does_not() {
        let chosen = Chosen { patient: LogicalId::parse("pat-1"), encounter: ChosenEncounter::Without };
        assert_eq!(read_handle(&handle(&chosen, "a=b")), Some((chosen.clone(), "a=b")));
        assert_eq!(read_handle(&handle(&Chosen::default(), "a=b")), Some((Chosen::default(), "a=b")));
        assert_eq!(read_handle("pat-1/\r\na=b"), Some((chosen, "a=b")));
        assert_eq!(read_handle("a b\na=b"), None);
        assert_eq!(read_handle("a=b"), None);
    }
}
