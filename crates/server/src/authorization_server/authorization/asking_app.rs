//! What the consent screen tells of the app that asks: from the registration and the redirect URI of this request, with nothing that could deceive.

use portcullis_oauth::client_display::{ShownHost, shown};
use portcullis_oauth::clients::Client;
use portcullis_oauth::redirect_uri::RedirectTarget;
use portcullis_oauth::software_statement::vouched_by;

use crate::context::Server;
use crate::ui::pages::{AskingApp, OutsideLink};

/// The longest name that is shown, in characters.
const LONGEST_NAME: usize = 100;

/// The app behind a request.
pub async fn asking_app(server: &Server, client: &Client, redirect: &RedirectTarget) -> AskingApp {
    let properties = &client.properties;
    let issuers = &server.settings.authorization.statement_issuers;
    let (redirect_host, has_lookalike_host) = shown_host(redirect);
    let logo = match &properties.logo_uri {
        Some(elsewhere) => server.logos.address(elsewhere).await,
        None => None,
    };
    AskingApp {
        name: shown_name(client),
        logo,
        redirect_host,
        has_lookalike_host,
        redirect_scheme: redirect.private_scheme().map(str::to_owned),
        registered_itself: properties.dynamic,
        registered_by_developer: properties.owner.is_some(),
        verified: properties.verified,
        vouched_by: vouched_by(client, issuers, server.clock.now_seconds()).map(|issuer| shown(&issuer.name, LONGEST_NAME)),
        site: outside(properties.client_uri.as_deref()),
        policy: outside(properties.policy_uri.as_deref()),
        terms: outside(properties.tos_uri.as_deref()),
    }
}

/// The host that a request's answer goes to, as people are shown it, and whether it has letters that may look like others; empty where it goes to an app on
/// the device.
pub fn shown_host(redirect: &RedirectTarget) -> (String, bool) {
    match ShownHost::of(redirect.as_str()) {
        Some(host) if redirect.private_scheme().is_none() => (host.text, host.is_internationalised),
        _ => (String::new(), false),
    }
}

/// A client's name as people are shown it; its identifier where nothing of the name is left.
pub fn shown_name(client: &Client) -> String {
    let name = shown(&client.name, LONGEST_NAME);
    if name.is_empty() { client.id.as_str().to_owned() } else { name }
}

fn outside(address: Option<&str>) -> Option<OutsideLink> {
    let url = address.filter(|address| address.starts_with("https://"))?;
    Some(OutsideLink { host: ShownHost::of(url)?.text, url: url.to_owned() })
}
