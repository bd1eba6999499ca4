//! Why a sign-in elsewhere ends without one here, and what the person reads. Nothing half-made is left.

use http::{StatusCode, header};
use portcullis_audit::record::{Event, Outcome};
use portcullis_oauth::federation::{Provider, VerifiedIdentity};
use portcullis_store::RegistryError;
use portcullis_store::federation::{FederationChange, STATE_USED};
use portcullis_store::registry::Change;

use super::attempt::{Bound, clear_cookie};
use crate::answer::{Answer, Draft};
use crate::authorization_server::reply::{self, Account};
use crate::context::Server;
use crate::resource_server::Exchange;

/// Why.
#[derive(Debug)]
pub enum Failure {
    /// There is no such provider.
    UnknownProvider,
    /// The app's request does not fit into a cookie.
    RequestTooLong,
    /// No attempt of this browser fits: another browser's, too old, or another provider's.
    NotThisBrowser,
    /// The sign-in here is too long ago for a change of how a person signs in, or the account waits for a confirmation.
    SignInFirst,
    /// The state came back before.
    StateUsed,
    /// The answer names another provider.
    OtherIssuer(String),
    /// The provider says that the person did not want to, or may not.
    Refused(String, String),
    /// The answer is malformed.
    Malformed(String),
    /// The provider does not answer.
    Unreachable(String, String),
    /// The provider's answer is not believed.
    Unbelievable(String, String),
    /// The provider did not ask for the sign-in again, though it had to.
    NotAskedAgain(String),
    /// Nobody here is linked with this person there.
    NotLinked(String),
    /// The person there is linked with another account here.
    LinkedElsewhere(String),
    /// The provider and the account name different FHIR resources.
    OtherPerson(String),
    /// The registry failed.
    Registry(RegistryError),
}

impl From<RegistryError> for Failure {
    fn from(error: RegistryError) -> Self {
        match error {
            RegistryError::Conflict(STATE_USED) => Self::StateUsed,
            error => Self::Registry(error),
        }
    }
}

impl Failure {
    /// The provider does not answer, or not with what was asked for.
    pub fn unreachable(provider: &Provider, error: &dyn std::error::Error) -> Self {
        let source = error.source().map(|source| format!(": {source}")).unwrap_or_default();
        Self::Unreachable(provider.name.clone(), format!("{error}{source}"))
    }

    /// The provider's answer is not believed.
    pub fn unbelievable(provider: &Provider, reason: impl ToString) -> Self {
        Self::Unbelievable(provider.name.clone(), reason.to_string())
    }

    /// Nobody here is linked.
    pub fn not_linked(provider: &Provider, _identity: &VerifiedIdentity) -> Self {
        Self::NotLinked(provider.name.clone())
    }

    /// For the record.
    fn detail(&self) -> String {
        match self {
            Self::UnknownProvider => "unknown provider".to_owned(),
            Self::RequestTooLong => "the app's request is too long to be carried through another provider".to_owned(),
            Self::NotThisBrowser => "the state fits no attempt of this browser".to_owned(),
            Self::SignInFirst => "an account elsewhere is linked only after a recent sign-in".to_owned(),
            Self::StateUsed => "the state was used before".to_owned(),
            Self::OtherIssuer(name) => format!("{name}: the answer names another issuer"),
            Self::Refused(name, code) => format!("{name} refused: {code}"),
            Self::Malformed(name) => format!("{name}: the answer is malformed"),
            Self::Unreachable(name, reason) => format!("{name} cannot be reached: {reason}"),
            Self::Unbelievable(name, reason) => format!("{name} is not believed: {reason}"),
            Self::NotAskedAgain(name) => format!("{name} did not ask again"),
            Self::NotLinked(name) => format!("{name}: this person is linked with no account"),
            Self::LinkedElsewhere(name) => format!("{name}: this person is linked with another account"),
            Self::OtherPerson(name) => format!("{name} names another FHIR resource than the account"),
            Self::Registry(error) => format!("registry failed: {error}"),
        }
    }

    fn outcome(&self) -> Outcome {
        match self {
            Self::UnknownProvider | Self::RequestTooLong | Self::Malformed(_) => Outcome::Rejected,
            Self::Unreachable(..) | Self::Registry(_) => Outcome::Failed,
            _ => Outcome::Denied,
        }
    }

    fn page(&self, exchange: &Exchange) -> Draft {
        // Title, what happened, what to do; what it means is always the same.
        let page = |status, [title, happened, to_do]: [&str; 3], [title_es, happened_es, to_do_es]: [&str; 3]| {
            let english = [title, happened, "You are not signed in, and nothing was changed.", to_do];
            let spanish = [title_es, happened_es, "Su sesión no se abrió y no se cambió nada.", to_do_es];
            reply::error(exchange, status, english, spanish)
        };
        match self {
            Self::UnknownProvider => page(
                StatusCode::NOT_FOUND,
                [
                    "There is no such way to sign in",
                    "The link names a service that this server does not work with.",
                    "Go back to the sign-in page and choose one of the buttons there.",
                ],
                [
                    "No existe esa forma de iniciar sesión",
                    "El enlace nombra un servicio con el que este servidor no trabaja.",
                    "Vuelva a la página de inicio de sesión y elija uno de los botones.",
                ],
            ),
            Self::RequestTooLong => page(
                StatusCode::BAD_REQUEST,
                [
                    "This app cannot be opened this way",
                    "The app sent a request that is too long to be kept while you sign in elsewhere.",
                    "Sign in with your name and password here. Tell the people who make the app to push its request (RFC 9126).",
                ],
                [
                    "Esta aplicación no se puede abrir así",
                    "La aplicación envió una solicitud muy larga. No podemos guardarla mientras usted inicia sesión en otro sitio.",
                    "Inicie sesión aquí con su nombre de usuario y su contraseña. Pida a quienes hacen la aplicación que la envíen antes (RFC 9126).",
                ],
            ),
            Self::NotThisBrowser => page(
                StatusCode::FORBIDDEN,
                [
                    "This sign-in did not begin here",
                    "The answer does not belong to a sign-in that was begun in this browser a short time ago.",
                    "Start again from the sign-in page. If somebody sent you a link that led here, do not use it.",
                ],
                [
                    "Este inicio de sesión no empezó aquí",
                    "La respuesta no es de un inicio de sesión que empezó hace poco en este navegador.",
                    "Empiece de nuevo en la página de inicio de sesión. Si alguien le envió un enlace para llegar aquí, no lo use.",
                ],
            ),
            // That page asks for the sign-in, or says what else is missing.
            Self::SignInFirst => reply::see_other(super::own::PAGE),
            Self::StateUsed => page(
                StatusCode::FORBIDDEN,
                [
                    "This sign-in was used before",
                    "The same answer came a second time. Each one works once.",
                    "Start again from the sign-in page.",
                ],
                [
                    "Este inicio de sesión ya se usó",
                    "La misma respuesta llegó por segunda vez. Cada una sirve una sola vez.",
                    "Empiece de nuevo en la página de inicio de sesión.",
                ],
            ),
            Self::OtherIssuer(name) => page(
                StatusCode::FORBIDDEN,
                [
                    "The answer came from somebody else",
                    &format!("We sent you to {name}, and another service answered."),
                    "Start again from the sign-in page. If this happens again, tell the people who run this server.",
                ],
                [
                    "La respuesta vino de otro servicio",
                    &format!("Usted fue a {name}, pero respondió otro servicio."),
                    "Empiece de nuevo en la página de inicio de sesión. Si vuelve a pasar, avise a quienes administran este servidor.",
                ],
            ),
            Self::Refused(name, code) if code == "access_denied" => page(
                StatusCode::FORBIDDEN,
                [
                    "You did not finish signing in",
                    &format!("{name} told us that you stopped, or that it does not let you in."),
                    "Start again from the sign-in page, or sign in another way.",
                ],
                [
                    "Usted no terminó de iniciar sesión",
                    &format!("{name} nos dijo que usted se detuvo, o que no le permite entrar."),
                    "Empiece de nuevo en la página de inicio de sesión, o inicie sesión de otra forma.",
                ],
            ),
            Self::Refused(name, _) | Self::Malformed(name) | Self::Unbelievable(name, _) => page(
                StatusCode::BAD_GATEWAY,
                [
                    &format!("{name} gave an answer that we cannot accept"),
                    &format!("We could not make sure that it was you who signed in at {name}."),
                    "Start again from the sign-in page. If this happens again, tell the people who run this server.",
                ],
                [
                    &format!("{name} dio una respuesta que no podemos aceptar"),
                    &format!("No pudimos comprobar que fue usted quien inició sesión en {name}."),
                    "Empiece de nuevo en la página de inicio de sesión. Si vuelve a pasar, avise a quienes administran este servidor.",
                ],
            ),
            Self::Unreachable(name, _) => page(
                StatusCode::SERVICE_UNAVAILABLE,
                [
                    &format!("{name} does not answer"),
                    &format!("We could not reach {name} to sign you in."),
                    "Try again in a minute, or sign in another way.",
                ],
                [
                    &format!("{name} no responde"),
                    &format!("No pudimos comunicarnos con {name} para su inicio de sesión."),
                    "Inténtelo de nuevo en un minuto, o inicie sesión de otra forma.",
                ],
            )
            .with(header::RETRY_AFTER, "60"),
            Self::NotAskedAgain(name) => page(
                StatusCode::FORBIDDEN,
                [
                    "Please sign in once more",
                    &format!("A new sign-in was needed, and {name} did not ask you for one."),
                    "Sign out there first, then start again from the sign-in page.",
                ],
                [
                    "Inicie sesión una vez más",
                    &format!("Hacía falta iniciar sesión de nuevo, y {name} no se lo pidió."),
                    "Primero cierre su sesión allí. Después empiece de nuevo en la página de inicio de sesión.",
                ],
            ),
            Self::NotLinked(name) => page(
                StatusCode::FORBIDDEN,
                [
                    "Your account is not linked yet",
                    &format!("You signed in at {name}, and no account here belongs to that sign-in."),
                    &format!(
                        "Sign in here another way, open your page, and link {name} there. If you have no account here, ask the people who run this server."
                    ),
                ],
                [
                    "Su cuenta todavía no está vinculada",
                    &format!("Usted inició sesión en {name}, pero ninguna cuenta de aquí corresponde a ese inicio de sesión."),
                    &format!(
                        "Inicie sesión aquí de otra forma, abra su página y vincule {name}. Si no tiene una cuenta aquí, pregunte a quienes administran este servidor."
                    ),
                ],
            ),
            Self::LinkedElsewhere(name) => page(
                StatusCode::CONFLICT,
                [
                    "This sign-in belongs to another account",
                    &format!("The person who signed in at {name} is linked with another account here."),
                    "Use another account there, or ask the people who run this server.",
                ],
                [
                    "Este inicio de sesión es de otra cuenta",
                    &format!("La persona que inició sesión en {name} está vinculada con otra cuenta de aquí."),
                    "Use otra cuenta allí, o pregunte a quienes administran este servidor.",
                ],
            ),
            Self::OtherPerson(name) => page(
                StatusCode::FORBIDDEN,
                [
                    "Two different people",
                    &format!("{name} says that you are somebody else than the account here."),
                    "Ask the people who run this server to look at it.",
                ],
                [
                    "Dos personas distintas",
                    &format!("Según {name}, usted no es la persona de la cuenta de aquí."),
                    "Pida a quienes administran este servidor que lo revisen.",
                ],
            ),
            Self::Registry(error) => reply::unavailable(exchange, error),
        }
    }

    /// The account of it.
    fn account(&self, exchange: &Exchange) -> Account {
        Account::new(Event::Login, exchange.agent(), self.outcome(), self.detail())
    }
}

/// Answers an attempt that never began.
pub async fn answer(server: &Server, exchange: &Exchange, failure: Failure) -> Answer {
    reply::recorded(server, exchange, failure.account(exchange), failure.page(exchange)).await
}

/// Answers an attempt that came back and failed. Its state is spent, whatever was wrong, and its cookie goes.
pub async fn spent(server: &Server, exchange: &Exchange, bound: &Bound, failure: Failure) -> Answer {
    let draft = failure.page(exchange).with_text(header::SET_COOKIE, &clear_cookie());
    if matches!(failure, Failure::StateUsed | Failure::Registry(_)) {
        return reply::recorded(server, exchange, failure.account(exchange), draft).await;
    }
    let change = spending(server, bound, Change::Nothing);
    match reply::changed(server, exchange, change, failure.account(exchange), draft).await {
        Ok(answer) => answer,
        Err(error) => answer(server, exchange, error.into()).await,
    }
}

/// A change that spends the state of an attempt, together with what follows.
pub fn spending(server: &Server, bound: &Bound, then: Change) -> Change {
    let state = bound.state_hash(server);
    Change::Federation(Box::new(FederationChange::SpendState { state, expires_at: bound.expires_at(), then: Box::new(then) }))
}
