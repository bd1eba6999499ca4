//! Ending the own sessions: one of them, or all but this one. Both work from any session, also one that somebody else's recovery opened.

use portcullis_audit::record::{Event, Outcome};
use portcullis_jose::base64url;
use portcullis_oauth::grant::RefreshBinding;
use portcullis_oauth::identifiers::SessionId;
use portcullis_store::RegistryError;
use portcullis_store::registry::{Change, Session, StandingGrant};
use portcullis_store::sign_in::SignInChange;

use super::account::{PAGE, submitted_in_any_session};
use crate::answer::Answer;
use crate::authorization_server::form::Form;
use crate::authorization_server::reply::{self, Account};
use crate::authorization_server::session::{self, SignedIn};
use crate::context::Server;
use crate::listener::Incoming;
use crate::resource_server::Exchange;

/// What a form calls a session by: its id is sent to nobody.
pub fn handle(server: &Server, session: &SessionId) -> String {
    base64url::encode(server.form_tokens.fingerprint("session", session.as_str()))
}

/// The sessions of a person that count at this moment, this one first. One in which nobody has opened a page for long counts as long as an app goes on
/// by it (`online_access`): whoever ends it ends that, too.
pub async fn listed(server: &Server, signed_in: &SignedIn, grants: &[StandingGrant]) -> Result<Vec<Session>, RegistryError> {
    let now = server.clock.now_seconds();
    let mut sessions = server.registry.sessions_of(&signed_in.user.id, now).await?;
    let carries_app = |session: &Session| {
        let online = Some(RefreshBinding::Online(session.id.clone()));
        grants.iter().any(|standing| standing.ends_at > now && standing.grant.refresh_binding() == online)
    };
    sessions.retain(|session| !session::is_idle(session, now) || carries_app(session));
    sessions.sort_by_key(|session| session.id != signed_in.session.id);
    Ok(sessions)
}

/// `POST /me/sessions/end`
pub async fn end(server: &Server, exchange: &Exchange, body: Incoming) -> Answer {
    submitted_in_any_session(server, exchange, body, async |signed_in: SignedIn, form: Form| {
        let (user, here) = (signed_in.user.id.clone(), signed_in.session.id.clone());
        let change = match form.field("session") {
            Some("others") => Some((SignInChange::EndOtherSessions { user, but: here }, "all other sessions ended")),
            Some(wanted) => {
                let others = server.registry.sessions_of(&user, server.clock.now_seconds()).await?;
                let found = others.into_iter().find(|session| session.id != here && handle(server, &session.id) == wanted);
                found.map(|session| (SignInChange::EndSession { user, session: session.id }, "a session ended"))
            }
            None => None,
        };
        let agent = reply::agent(exchange, &signed_in);
        let draft = reply::see_other(PAGE);
        match change {
            Some((change, detail)) => {
                let account = Account::new(Event::Credential, agent, Outcome::Success, detail);
                reply::changed(server, exchange, Change::SignIn(Box::new(change)), account, draft).await
            }
            None => {
                let account = Account::new(Event::Credential, agent, Outcome::Denied, "no session to end");
                Ok(reply::recorded(server, exchange, account, draft).await)
            }
        }
    })
    .await
}
