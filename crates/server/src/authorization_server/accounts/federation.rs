//! Signing in with an account at another OpenID Connect provider.
//!
//! The browser goes to the provider with PKCE, a nonce and a state that only this browser can bring back (`attempt`); what it brings back is checked
//! and exchanged (`callback`). Who that is here, the link of issuer and subject says, which the person made on the own page (`own`) or an operator at
//! the command line: an e-mail address is never looked at, and no account is made. The rules of the protocol are in [`portcullis_oauth::federation`].

mod attempt;
mod begin;
mod callback;
mod exchange;
mod failure;
mod own;

use std::sync::Arc;

use http::Method;
use portcullis_audit::record::Outcome;
use portcullis_jose::ClientKeySet;
use portcullis_oauth::federation::{Provider, ProviderMetadata};
use portcullis_outbound::{DocumentCache, Outbound, Purpose};

pub use self::begin::buttons;
use crate::answer::Answer;
use crate::context::Server;
use crate::federation_route::FederationRoute;
use crate::listener::Incoming;
use crate::resource_server::Exchange;
use crate::ui;

/// The providers, and what is known of them.
#[derive(Debug)]
pub struct Federation {
    providers: Vec<Provider>,
    outbound: Arc<Outbound>,
    metadata: DocumentCache<ProviderMetadata>,
    keys: DocumentCache<ClientKeySet>,
}

impl Federation {
    /// With these providers, and this client to ask them.
    pub fn new(providers: Vec<Provider>, outbound: Arc<Outbound>) -> Self {
        let keys = |bytes: &[u8]| ClientKeySet::parse(bytes).ok();
        Self {
            providers,
            metadata: DocumentCache::new(Arc::clone(&outbound), Purpose::ProviderMetadata, ProviderMetadata::parse),
            keys: DocumentCache::new(Arc::clone(&outbound), Purpose::ProviderKeys, keys),
            outbound,
        }
    }

    /// The providers, in the order of the configuration.
    pub fn providers(&self) -> &[Provider] {
        &self.providers
    }

    /// The provider of an id.
    pub fn provider(&self, id: &str) -> Option<&Provider> {
        self.providers.iter().find(|provider| provider.id == id)
    }
}

/// Serves one of the pages.
pub async fn serve(server: &Server, exchange: &Exchange, route: FederationRoute, body: Incoming) -> Answer {
    let reading = matches!(exchange.method, Method::GET | Method::HEAD);
    match route {
        FederationRoute::Begin if reading => begin::begin(server, exchange).await,
        FederationRoute::Callback(id) if reading => callback::come_back(server, exchange, &id).await,
        FederationRoute::Own if reading => own::show(server, exchange).await,
        FederationRoute::Unlink if exchange.method == Method::POST => own::unlink(server, exchange, body).await,
        other => server.record_page(exchange, Outcome::Rejected, ui::method_not_allowed(exchange, other.methods())).await,
    }
}
