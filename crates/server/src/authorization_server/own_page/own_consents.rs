//! `/me/consents`: what patients have said about their own record, what of it holds, and what waits for them to agree.
//!
//! What an app wrote in a patient's name forbids at once and allows nothing before the patient has agreed here, signed in a short time ago and with the second factor
//! of who has one, or an officer has confirmed it (docs/adr/0018-consent-storage.md). Who acts for a patient sees the same and agrees to nothing that says something about
//! that person or about everybody: the store holds to that in the transaction. What is listed and agreed to is recorded.

use http::StatusCode;
use portcullis_audit::record::{Event, Outcome};
use portcullis_fhir::json::{self, Value};
use portcullis_fhir::types::LogicalId;
use portcullis_store::RegistryError;
use portcullis_store::consents::{ConsentConfirmation, ConsentEntry, ConsentsListed, How, NOT_CURRENT};
use portcullis_store::registry::Change;

use super::account::{self, Owner};
use super::consent_words::Words;
use crate::answer::{Answer, Draft};
use crate::authorization_server::authorization::authorize::field;
use crate::authorization_server::authorization::people;
use crate::authorization_server::form::Form;
use crate::authorization_server::page_query;
use crate::authorization_server::reply::{self, Account};
use crate::authorization_server::role_assurance;
use crate::context::Server;
use crate::listener::Incoming;
use crate::resource_server::Exchange;
use crate::ui::pages::{MovedConsent, OwnConsent, OwnConsentsPage, RuleLine};

/// Where the page is.
const PAGE: &str = "/me/consents";
/// The parameter that names a Consent that was just agreed to.
const AGREED: &str = "agreed";

/// `GET /me/consents`
pub async fn show(server: &Server, exchange: &Exchange) -> Answer {
    let query = match page_query::received(server, exchange, &[AGREED]).await {
        Ok(query) => query,
        Err(answer) => return answer,
    };
    account::guarded(server, exchange, PAGE, async |owner: Owner| {
        if let Some(missing) = role_assurance::missing(server, exchange, &owner.signed_in, PAGE).await? {
            return Ok(missing);
        }
        let agreed = field(&query, AGREED).and_then(LogicalId::parse);
        let (draft, patients) = page(server, &owner, Notice::Agreed(agreed)).await?;
        let account = Account::new(Event::Page, reply::agent(exchange, &owner.signed_in), Outcome::Success, "");
        Ok(reply::recorded(server, exchange, account.about(patients), draft).await)
    })
    .await
}

/// `POST /me/consents`: agrees to the version that was shown.
pub async fn submit(server: &Server, exchange: &Exchange, body: Incoming) -> Answer {
    account::submitted(server, exchange, PAGE, body, async |owner: Owner, form: Form| {
        if let Some(missing) = role_assurance::missing(server, exchange, &owner.signed_in, PAGE).await? {
            return Ok(missing);
        }
        let wanted = |name: &str| form.field(name).and_then(LogicalId::parse);
        let (Some(consent), Some(version)) = (wanted("consent"), wanted("version")) else {
            return Ok(account::nothing(server, exchange, &owner).await);
        };
        let listed = listed(server, &owner).await?;
        let Some(entry) = listed.iter().find(|entry| entry.id == consent) else {
            return Ok(account::nothing(server, exchange, &owner).await);
        };
        let detail = format!("consent confirmed by the patient: Consent/{consent} version {version}");
        let agent = reply::agent(exchange, &owner.signed_in);
        let about = |outcome, detail: String| {
            Account::new(Event::Consent, agent.clone(), outcome, detail).about(entry.patient.iter().map(ToString::to_string))
        };
        let user = &owner.signed_in.user;
        let confirmation = ConsentConfirmation {
            consent: consent.clone(),
            version,
            by: user.id.clone(),
            person: user.fhir_user.as_ref().map(ToString::to_string),
            how: How::Patient,
        };
        let change = Change::ConfirmConsent(Box::new(confirmation));
        let draft = reply::see_other(&format!("{PAGE}?{AGREED}={consent}"));
        match reply::changed(server, exchange, change, about(Outcome::Success, detail.clone()), draft).await {
            Err(RegistryError::Conflict(reason)) => {
                let (draft, _) = page(server, &owner, Notice::Refused(reason)).await?;
                let account = about(Outcome::Denied, format!("{detail}: not done: {reason}"));
                Ok(reply::recorded(server, exchange, account, draft).await)
            }
            other => other,
        }
    })
    .await
}

/// What was just done, or not.
enum Notice {
    Agreed(Option<LogicalId>),
    Refused(&'static str),
}

/// The consents of everybody for whom the person may act.
async fn listed(server: &Server, owner: &Owner) -> Result<Vec<ConsentEntry>, RegistryError> {
    let mut listed: Vec<ConsentEntry> = Vec::new();
    for patient in &owner.signed_in.user.patients {
        let of_patient = server.registry.consents(ConsentsListed::OfPatient(patient.clone())).await?;
        listed.extend(of_patient.into_iter().filter(|entry| entry.patient.as_ref() == Some(patient)));
    }
    Ok(listed)
}

/// What goes on for the person's patients until somebody confirms that it was moved to another one: of it nothing else is told, and it is not the patient's to confirm.
async fn moved(server: &Server, owner: &Owner) -> Result<Vec<(LogicalId, Value)>, RegistryError> {
    let mut moved = Vec::new();
    for patient in &owner.signed_in.user.patients {
        for entry in server.registry.consents(ConsentsListed::OfPatient(patient.clone())).await? {
            let own = entry.moved.into_iter().filter(|(of, _)| of == patient);
            moved.extend(own.filter_map(|(of, body)| Some((of, parsed(Some(&body))?))));
        }
    }
    Ok(moved)
}

async fn page(server: &Server, owner: &Owner, notice: Notice) -> Result<(Draft, Vec<String>), RegistryError> {
    let signed_in = &owner.signed_in;
    let reader = &signed_in.reader;
    let listed = listed(server, owner).await?;
    let was_agreed = |id: &LogicalId| listed.iter().any(|entry| entry.id == *id && entry.is_confirmed());
    let (status, said, is_problem) = match &notice {
        Notice::Agreed(Some(id)) if was_agreed(id) => {
            let said = reader.say("You agreed. It holds from now on.", "Usted aceptó. Vale desde ahora.");
            (StatusCode::OK, Some(said), false)
        }
        Notice::Agreed(_) => (StatusCode::OK, None, false),
        Notice::Refused(NOT_CURRENT) => {
            let said = reader.say(
                "Nothing was changed: somebody has changed it since you looked. Read it again.",
                "No se cambió nada: alguien lo cambió después de que usted lo vio. Léalo otra vez.",
            );
            (StatusCode::CONFLICT, Some(said), true)
        }
        Notice::Refused(_) => {
            let said = reader.say(
                "Nothing was changed: only the patient can agree to this. Or ask the people who run this server.",
                "No se cambió nada: esto solo lo puede aceptar el paciente. O pregunte a quienes administran este servidor.",
            );
            (StatusCode::CONFLICT, Some(said), true)
        }
    };
    let several = signed_in.user.patients.len() > 1;
    let (mut waiting, mut holding) = (Vec::new(), Vec::new());
    for entry in listed {
        let goes_on = !entry.counting.is_empty() || entry.is_folded;
        let waits = !entry.is_confirmed() && (entry.status == "active" || goes_on);
        let holds = entry.is_confirmed() && entry.status == "active";
        if waits || holds {
            let shown = shown(server, owner, &entry, several).await;
            if waits { waiting.push(shown) } else { holding.push(shown) }
        }
    }
    let mut going_on = Vec::new();
    for (patient, body) in moved(server, owner).await? {
        let rules = Words::new(server, &signed_in.user, reader).rules(&body).await;
        let patient_name = patient_name(server, owner, Some(&patient), several).await;
        going_on.push(MovedConsent { patient_name, rules });
    }
    let html = OwnConsentsPage {
        reader: reader.clone(),
        person_name: signed_in.user.display_name.clone(),
        sign_out_csrf: owner.csrf(server),
        csrf: owner.csrf(server),
        notice: said.map(str::to_owned),
        is_problem,
        has_record: !signed_in.user.patients.is_empty(),
        waiting,
        holding,
        going_on,
    };
    let patients = signed_in.user.patients.iter().map(ToString::to_string).collect();
    Ok((reply::page(status, html.render(), None), patients))
}

async fn shown(server: &Server, owner: &Owner, entry: &ConsentEntry, several: bool) -> OwnConsent {
    let (user, reader) = (&owner.signed_in.user, &owner.signed_in.reader);
    let mut words = Words::new(server, user, reader);
    let current = parsed(entry.body.as_deref()).filter(|_| entry.status == "active");
    let rules = match &current {
        Some(body) => words.rules(body).await,
        None => Vec::new(),
    };
    let mut until_then: Vec<RuleLine> = Vec::new();
    if !entry.is_confirmed() {
        for earlier in &entry.counting {
            if let Some(body) = parsed(Some(earlier)) {
                until_then.extend(words.rules(&body).await);
            }
        }
    }
    if entry.is_folded && !entry.is_confirmed() {
        let text = reader.say(
            "Nobody but you sees your record. Too many changes wait.",
            "Nadie más que usted ve su expediente. Hay demasiados cambios que esperan.",
        );
        until_then.push(RuleLine { text: text.to_owned(), is_exception: false });
    }
    let patient_name = patient_name(server, owner, entry.patient.as_ref(), several).await;
    OwnConsent {
        id: entry.id.to_string(),
        version: entry.version.to_string(),
        patient_name,
        since: current.as_ref().and_then(|body| body.member("dateTime")).and_then(Value::as_str).map(|date| reader.written(date)),
        rules,
        until_then,
        exact: current.as_ref().map(exact),
    }
}

/// The name of a patient, where the person has several.
async fn patient_name(server: &Server, owner: &Owner, patient: Option<&LogicalId>, several: bool) -> Option<String> {
    let (user, patient) = (&owner.signed_in.user, patient.filter(|_| several)?);
    let choice = people::choice(server, user, patient).await.unwrap_or_else(|| people::unnamed(patient));
    Some(choice.shown_name(&owner.signed_in.reader))
}

fn parsed(body: Option<&[u8]>) -> Option<Value> {
    json::parse(body?).ok()
}

/// What is written, for people who want to know it exactly.
fn exact(body: &Value) -> String {
    let provision = body.member("provision").or_else(|| body.member("policyRule"));
    let text = provision.map(|provision| String::from_utf8_lossy(&provision.to_bytes()).into_owned()).unwrap_or_default();
    let parsed: serde_json::Value = serde_json::from_str(&text).unwrap_or_default();
    serde_json::to_string_pretty(&parsed).unwrap_or_default()
}
