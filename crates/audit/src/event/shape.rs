//! Which codes an event has: the table of BALP, by kind of event and interaction.

use super::codes::{
    APPLICATION, APPLICATION_ACTIVITY, APPLICATION_SERVER, APPLICATION_START, APPLICATION_STOP, AUTHOR, AUTHORIZATION_SERVER,
    CONSENT_DECISION, CUSTODIAN, DESTINATION, EMERGENCY_STARTED, EMERGENCY_STOPPED, GET_ACCESS_TOKEN, IMPORT,
    INFORMATION_RECIPIENT, INTERACTION, LOGIN, LOGOUT, OAUTH_SERVICE, PATIENT_RECORD, REST, SECURITY_ALERT,
    SECURITY_CONFIGURATION, SECURITY_SERVER, SOURCE, USER_AUTHENTICATION, USER_SECURITY_CHANGED,
};
use super::resource::Coding;
use crate::record::Event;

/// What an event's entities show about the interaction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Subject {
    /// The resource that was touched.
    Data,
    /// The query that was asked.
    Query,
    /// The resource, where one is named.
    DataIfAny,
    /// The query, where there was one.
    QueryIfAny,
    /// The request as it came, where it is known: it was not understood.
    RequestIfAny,
}

/// The codes of one event.
#[derive(Clone, Copy, Debug)]
pub(super) struct Shape {
    pub event_type: Coding,
    pub subtype: Option<Coding>,
    pub action: &'static str,
    /// The role of the client; `None` where the server acts by itself.
    pub client: Option<Coding>,
    pub server: Coding,
    pub user: Coding,
    pub source: Coding,
    pub subject: Subject,
    /// The profile for a success without and with a patient.
    pub profiles: Option<(&'static str, Option<&'static str>)>,
}

/// A restful interaction: its code, display, action and, where BALP has them, its profiles without and with a patient.
struct Interaction {
    code: &'static str,
    action: &'static str,
    profiles: Option<(&'static str, Option<&'static str>)>,
}

const READ: Option<(&str, Option<&str>)> = Some(("IHE.BasicAudit.Read", Some("IHE.BasicAudit.PatientRead")));
const QUERY: Option<(&str, Option<&str>)> = Some(("IHE.BasicAudit.Query", Some("IHE.BasicAudit.PatientQuery")));
const CREATE: Option<(&str, Option<&str>)> = Some(("IHE.BasicAudit.Create", Some("IHE.BasicAudit.PatientCreate")));
const UPDATE: Option<(&str, Option<&str>)> = Some(("IHE.BasicAudit.Update", Some("IHE.BasicAudit.PatientUpdate")));
const DELETE: Option<(&str, Option<&str>)> = Some(("IHE.BasicAudit.Delete", Some("IHE.BasicAudit.PatientDelete")));

/// <https://hl7.org/fhir/R4/codesystem-restful-interaction.html>; history, batch, operation and capabilities have no profile in BALP.
const INTERACTIONS: [Interaction; 17] = [
    Interaction { code: "read", action: "R", profiles: READ },
    Interaction { code: "vread", action: "R", profiles: READ },
    Interaction { code: "create", action: "C", profiles: CREATE },
    Interaction { code: "update", action: "U", profiles: UPDATE },
    Interaction { code: "patch", action: "U", profiles: UPDATE },
    Interaction { code: "delete", action: "D", profiles: DELETE },
    Interaction { code: "search-type", action: "E", profiles: QUERY },
    Interaction { code: "search-system", action: "E", profiles: QUERY },
    Interaction { code: "search", action: "E", profiles: QUERY },
    Interaction { code: "history-instance", action: "R", profiles: None },
    Interaction { code: "history-type", action: "R", profiles: None },
    Interaction { code: "history-system", action: "R", profiles: None },
    Interaction { code: "history", action: "R", profiles: None },
    Interaction { code: "capabilities", action: "R", profiles: None },
    Interaction { code: "transaction", action: "E", profiles: None },
    Interaction { code: "batch", action: "E", profiles: None },
    // Last: every code that is not known is an operation.
    Interaction { code: "operation", action: "E", profiles: None },
];

/// The shape of an event, for this interaction where it has one, and with a patient entity or without.
pub(super) fn shape(event: Event, interaction: Option<&str>, has_patient: bool) -> Shape {
    let base = Shape {
        event_type: SECURITY_ALERT,
        subtype: None,
        action: "E",
        client: Some(APPLICATION),
        server: DESTINATION,
        user: INFORMATION_RECIPIENT,
        source: SECURITY_SERVER,
        subject: Subject::DataIfAny,
        profiles: None,
    };
    match event {
        Event::Rest => interaction.map_or(refused(base), |code| rest(base, code)),
        Event::Refused => refused(base),
        Event::Import => imported(interaction.map_or(base, |code| rest(base, code))),
        Event::Login => Shape { event_type: USER_AUTHENTICATION, subtype: Some(LOGIN), ..base },
        Event::Logout => Shape { event_type: USER_AUTHENTICATION, subtype: Some(LOGOUT), ..base },
        Event::Token => Shape {
            event_type: USER_AUTHENTICATION,
            subtype: Some(GET_ACCESS_TOKEN),
            server: OAUTH_SERVICE,
            subject: Subject::QueryIfAny,
            profiles: Some(("IHE.IUA.71", None)),
            ..base
        },
        Event::Consent => Shape { subtype: Some(CONSENT_DECISION), server: AUTHORIZATION_SERVER, ..base },
        Event::AuthorizationRequest => Shape { server: OAUTH_SERVICE, ..base },
        Event::Introspection | Event::UserInfo => Shape { event_type: USER_AUTHENTICATION, server: OAUTH_SERVICE, ..base },
        Event::Revocation | Event::Credential => Shape { subtype: Some(USER_SECURITY_CHANGED), ..base },
        Event::Administration => Shape { subtype: Some(SECURITY_CONFIGURATION), ..base },
        Event::BreakGlass => Shape { subtype: Some(EMERGENCY_STARTED), ..base },
        Event::BreakGlassEnd => Shape { subtype: Some(EMERGENCY_STOPPED), ..base },
        Event::Start => lifecycle(base, APPLICATION_START),
        Event::Stop => lifecycle(base, APPLICATION_STOP),
        Event::Page => {
            let event_type = if has_patient { PATIENT_RECORD } else { APPLICATION_ACTIVITY };
            Shape { event_type, action: "R", client: Some(DESTINATION), server: SOURCE, source: APPLICATION_SERVER, ..base }
        }
    }
}

fn rest(base: Shape, code: &str) -> Shape {
    let known = INTERACTIONS.iter().find(|interaction| interaction.code == code);
    let Some(Interaction { code, action, profiles }) = known.or(INTERACTIONS.last()) else { return refused(base) };
    // Read turns the roles round: the data flow from the server to the client. In a query the parameters flow to the server.
    let (client, server) = match *action {
        "R" => (DESTINATION, SOURCE),
        "D" => (APPLICATION, CUSTODIAN),
        _ => (SOURCE, DESTINATION),
    };
    Shape {
        event_type: REST,
        subtype: Some(Coding { system: INTERACTION, code, display: code }),
        action,
        client: Some(client),
        server,
        user: if matches!(*action, "C" | "U" | "D") { AUTHOR } else { INFORMATION_RECIPIENT },
        source: APPLICATION_SERVER,
        subject: match *code {
            "search" | "search-type" | "search-system" => Subject::Query,
            "capabilities" | "batch" | "transaction" | "operation" | "history-type" | "history-system" => Subject::DataIfAny,
            _ => Subject::Data,
        },
        profiles: *profiles,
    }
}

fn imported(shape: Shape) -> Shape {
    // An import replaces what is stored under the same id.
    let action = if shape.action == "U" { "U" } else { "C" };
    Shape {
        event_type: IMPORT,
        action,
        client: Some(SOURCE),
        server: DESTINATION,
        user: AUTHOR,
        source: APPLICATION_SERVER,
        subject: Subject::DataIfAny,
        profiles: None,
        ..shape
    }
}

/// It is not known what was asked: there is no subtype, and the roles are those of a request.
fn refused(base: Shape) -> Shape {
    Shape { event_type: REST, client: Some(SOURCE), source: APPLICATION_SERVER, subject: Subject::RequestIfAny, ..base }
}

fn lifecycle(base: Shape, subtype: Coding) -> Shape {
    Shape {
        event_type: APPLICATION_ACTIVITY,
        subtype: Some(subtype),
        client: None,
        server: APPLICATION,
        source: APPLICATION_SERVER,
        ..base
    }
}
