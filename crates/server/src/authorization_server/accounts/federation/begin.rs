//! From the sign-in page, or the own page, to a provider.

use http::header;
use portcullis_audit::record::{Event, Outcome};
use portcullis_oauth::federation::AuthorizationOrder;
use portcullis_oauth::parameters::Parameters;
use portcullis_oauth::session::LIFETIME_SECONDS as SESSION_SECONDS;

use super::attempt::{Attempt, Bound, Intent};
use super::failure::{self, Failure};
use super::{exchange, own};
use crate::answer::Answer;
use crate::authorization_server::accounts::login::return_path;
use crate::authorization_server::authorization::authorize;
use crate::authorization_server::csrf::Purpose;
use crate::authorization_server::own_page::account;
use crate::authorization_server::page_query;
use crate::authorization_server::reply::{self, Account};
use crate::authorization_server::session;
use crate::context::Server;
use crate::federation_route::FederationRoute;
use crate::resource_server::Exchange;
use crate::ui::pages::ProviderButton;

/// The buttons of the sign-in page.
pub fn buttons(server: &Server, return_to: &str) -> Vec<ProviderButton> {
    let button = |provider: &portcullis_oauth::federation::Provider| {
        let mut query = url::form_urlencoded::Serializer::new(String::new());
        query.append_pair("provider", &provider.id).append_pair("return_to", return_to);
        ProviderButton { name: provider.name.clone(), href: format!("/login/federated?{}", query.finish()) }
    };
    server.federation.providers().iter().map(button).collect()
}

/// `GET /login/federated`
pub async fn begin(server: &Server, exchange: &Exchange) -> Answer {
    let query = match page_query::received(server, exchange, &["provider", "link", "return_to"]).await {
        Ok(query) => query,
        Err(answer) => return answer,
    };
    match prepare(server, exchange, &query).await {
        Ok((bound, location)) => {
            let draft = reply::see_other(&location).with_text(header::SET_COOKIE, &bound.set_cookie(server));
            let detail = format!("sent to provider {}", bound.attempt.provider);
            reply::recorded(server, exchange, Account::new(Event::Login, exchange.agent(), Outcome::Success, detail), draft).await
        }
        Err(failure) => failure::answer(server, exchange, failure).await,
    }
}

/// Where the provider redirects back to.
pub fn redirect_uri(server: &Server, provider: &str) -> String {
    format!("{}{}{provider}", server.settings.public_url, FederationRoute::CALLBACK)
}

async fn prepare(server: &Server, request: &Exchange, query: &Parameters) -> Result<(Bound, String), Failure> {
    let field = |name: &str| query.value(name).ok().flatten();
    let provider = field("provider").and_then(|id| server.federation.provider(id)).ok_or(Failure::UnknownProvider)?;
    let now = server.clock.now_seconds();
    let intent = match field("link") {
        None => Intent::SignIn,
        Some(token) => {
            let signed_in = session::current(server, request).await?;
            let session = signed_in.map(|signed_in| signed_in.session.id.as_str().to_owned()).ok_or(Failure::NotThisBrowser)?;
            // Nobody else's page starts a link: it would tie the account here to whoever is signed in there.
            if !server.form_tokens.accepts(Purpose::OwnPage, &session, token) {
                return Err(Failure::NotThisBrowser);
            }
            // The token stands on the own page, too, which any session opens; a way in is added only by whoever has just signed in.
            if account::owner(server, request, own::PAGE).await?.is_err() {
                return Err(Failure::SignInFirst);
            }
            Intent::Link(session)
        }
    };
    let linking = intent != Intent::SignIn;
    let return_to = if linking { own::PAGE.to_owned() } else { return_path(field("return_to")) };
    let waiting = authorize::waiting_request(server, &return_to).await;
    let demanded = waiting.as_ref().is_some_and(|waiting| waiting.request.demands_sign_in());
    // The same clock for both: what the app asks for, the provider is asked for.
    let again = linking || demanded || return_to.starts_with("/me/");
    let maximum_age = waiting.as_ref().and_then(|waiting| waiting.request.max_age_seconds);
    let not_before = if again { Some(now) } else { maximum_age.map(|age| now.saturating_sub(age)) };
    let attempt = Attempt {
        provider: provider.id.clone(),
        intent,
        return_to,
        began_at: now,
        not_before,
        unique: format!("{:032x}", server.random_u128()),
    };
    let bound = Bound::new(attempt).ok_or(Failure::RequestTooLong)?;
    let metadata = exchange::metadata(server, provider).await?;
    let order = AuthorizationOrder {
        redirect_uri: &redirect_uri(server, &provider.id),
        state: &bound.state(server),
        nonce: &bound.nonce(server),
        verifier: &bound.verifier(server),
        again,
        // Always asked, so that the provider always says when the sign-in was.
        maximum_age_seconds: maximum_age.unwrap_or(SESSION_SECONDS).min(SESSION_SECONDS),
        login_hint: waiting.as_ref().and_then(|waiting| waiting.request.login_hint.as_deref()),
    };
    let location = order.url(provider, &metadata);
    Ok((bound, location))
}
