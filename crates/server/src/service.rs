//! From a request to its route, and the headers that every answer carries.

use std::sync::Arc;

use http::{HeaderValue, Method, Request, StatusCode, header};
use hyper::body::Body as _;
use portcullis_audit::record::{Event, Outcome};
use portcullis_audit::{Counted, LedgerError};

use crate::admin;
use crate::answer::{Answer, Draft};
use crate::authorization_server as oauth;
use crate::context::Server;
use crate::dpop;
use crate::face::Face;
use crate::health;
use crate::interrupted::Begun;
use crate::listener::{Handler, Incoming, Peer};
use crate::middleware::cors::Asker;
use crate::middleware::framing::FramingError;
use crate::middleware::refusals::{self, Admission, Standing};
use crate::middleware::{cors, headers};
use crate::peer_address;
use crate::resource_server::{Exchange, app_state, pipeline};
use crate::route::{ClientRoute, Route};
use crate::ui;

impl Handler for Server {
    /// The task of the request begins before this returns: whoever hangs up, at whatever moment, leaves a record.
    fn handle(self: Arc<Self>, peer: Peer, request: Request<Incoming>) -> impl Future<Output = Answer> + Send {
        let face = Face::of_path(request.uri().path(), self.settings.language);
        let begun = Begun::of(&self, peer.clone(), &request);
        let address = peer_address::of(peer.address.ip(), request.headers(), &self.settings.authorization.trusted_proxies);
        // Boxed here: whatever holds it would have room for it twice, where it came from and where it stays.
        in_own_task(face, begun.finish(Box::pin(peer_address::during(address, Box::pin(self.answer(peer, request))))))
    }

    /// There was nothing that could be answered, and yet it was an attempt.
    async fn unreadable(self: Arc<Self>, peer: Peer) {
        refusals::record_unreadable(&self, peer.address.ip()).await;
        refusals::follow(&self);
    }
}

impl Server {
    async fn answer(self: Arc<Self>, peer: Peer, request: Request<Incoming>) -> Answer {
        let (parts, body) = request.into_parts();
        let framing = FramingError::check(parts.version, &parts.uri, &parts.headers, !body.is_end_stream());
        let route = Route::of(parts.uri.path());
        let language = match Face::of_route(&route, self.settings.language) {
            Face::Page(default) => ui::language(&parts.uri, &parts.headers, default),
            Face::Fhir | Face::OAuth => self.settings.language,
        };
        let asker = Asker::of(&parts.headers);
        let exchange = Exchange {
            id: format!("{:032x}", self.random_u128()),
            received: self.clock.now_milliseconds(),
            peer,
            method: parts.method,
            target: parts.uri,
            headers: parts.headers,
            language,
            within: None,
            asker: asker.clone(),
        };
        let speaks_dpop = dpop::speaks(&exchange.headers);
        let (id, head) = (exchange.id.clone(), exchange.method == Method::HEAD);
        let openness = cors::openness(&route);
        let origin = exchange.headers.get(header::ORIGIN).cloned();
        let preflight = cors::is_preflight(&exchange.method, &exchange.headers);
        let mut answer = if let Err(error) = framing {
            let draft = error.draft(Face::of(&exchange));
            self.record_page(&exchange, Outcome::Rejected, draft).await
        } else if preflight && openness != cors::Openness::Closed {
            Answer::counted(Counted::Discovery, &self.counters, Draft::new(StatusCode::NO_CONTENT))
        } else {
            dispatch(&self, exchange, route, body).await
        };
        refusals::follow(&self);
        if openness != cors::Openness::Closed {
            answer.headers_mut().entry(header::VARY).or_insert(HeaderValue::from_static("Authorization, Origin"));
        }
        if speaks_dpop {
            dpop::add_nonce(&self, answer.headers_mut());
        }
        headers::name_language(answer.headers_mut(), language);
        headers::secure(answer.headers_mut(), &id, self.settings.demo.is_none());
        if let Some(origin) = &origin {
            let allowed = openness == cors::Openness::Registered && asker.allows(&self, origin).await;
            cors::allow(answer.headers_mut(), openness, origin, allowed);
            if preflight && answer.headers_mut().contains_key(header::ACCESS_CONTROL_ALLOW_ORIGIN) {
                cors::allow_preflight(answer.headers_mut());
            }
        }
        if head { answer.without_body() } else { answer }
    }

    /// Records a request of nobody that is neither FHIR nor OAuth, then answers it.
    pub async fn record_page(&self, exchange: &Exchange, outcome: Outcome, draft: Draft) -> Answer {
        if outcome != Outcome::Success
            && let Admission::Gather(gathered) = refusals::admit(self, exchange.peer.address.ip(), Standing::Stranger)
        {
            return Answer::gathered(gathered, Face::of(exchange));
        }
        let event = if outcome == Outcome::Success { Event::Page } else { Event::Refused };
        let mut record = exchange.record(event, exchange.agent(), outcome, draft.status());
        record.operations = vec![exchange.raw_operation()];
        match self.ledger.append(record).await {
            Ok(receipt) => Answer::recorded(receipt, draft),
            Err(error) => Answer::unrecorded(&error, Face::of(exchange)),
        }
    }
}

async fn dispatch(server: &Arc<Server>, exchange: Exchange, route: Route, body: Incoming) -> Answer {
    let counted = |route, draft| Answer::counted(route, &server.counters, draft);
    let reading = matches!(exchange.method, Method::GET | Method::HEAD);
    match route {
        Route::Fhir(path) if reading && path == "/metadata" => match pipeline::check_metadata(server, &exchange, &path).await {
            Ok(draft) => counted(Counted::Discovery, draft),
            Err(answer) => answer,
        },
        Route::Fhir(path) => Box::pin(pipeline::serve(Arc::clone(server), exchange, path, body)).await,
        Route::AppState(path) => Box::pin(app_state::serve(server, exchange, path, body)).await,
        Route::Start if reading => counted(Counted::StaticFile, ui::start(server, &exchange)),
        Route::Docs if reading => counted(Counted::StaticFile, ui::docs(server, &exchange)),
        Route::Language if reading => counted(Counted::StaticFile, ui::change_language(&exchange)),
        Route::Static(name) if reading => match ui::asset(&name).or_else(|| ui::logo(server, &name)) {
            Some(draft) => counted(Counted::StaticFile, draft),
            None => not_found(server, &exchange).await,
        },
        Route::Health if reading => counted(Counted::Health, health::live(server)),
        Route::Ready if reading => counted(Counted::Health, health::ready(server).await),
        Route::SmartConfiguration if reading => counted(Counted::Discovery, oauth::discovery::smart_configuration(server)),
        Route::OpenIdConfiguration if reading => counted(Counted::Discovery, oauth::discovery::openid_configuration(server)),
        Route::OAuthMetadata if reading => counted(Counted::Discovery, oauth::discovery::oauth_metadata(server)),
        Route::Brands if reading => counted(Counted::Discovery, crate::brand::bundle(&server.settings, &exchange.headers)),
        Route::Jwks if reading => counted(Counted::Discovery, oauth::discovery::jwks(server)),
        Route::Clients(route @ (ClientRoute::All | ClientRoute::One(_))) => {
            Box::pin(admin::https::serve(server, &exchange, route, body)).await
        }
        Route::Explain => Box::pin(admin::explain_https::serve(server, &exchange, body)).await,
        Route::Clients(route) => Box::pin(oauth::clients::registration::serve(server, &exchange, route, body)).await,
        Route::Authorize
        | Route::Token
        | Route::Revoke
        | Route::Introspect
        | Route::UserInfo
        | Route::PushedRequest
        | Route::Launch
        | Route::Chart
        | Route::BreakGlass
        | Route::Security
        | Route::Login
        | Route::Logout
        | Route::Consent
        | Route::Person
        | Route::History(_)
        | Route::Account(_)
        | Route::Federation(_)
        | Route::Developers(_)
        // Boxed, since every request has room for the largest way that it could have taken.
        | Route::PersonRevoke => Box::pin(oauth::serve(Arc::clone(server), exchange, route, body)).await,
        Route::Start
        | Route::Docs
        | Route::Language
        | Route::Static(_)
        | Route::Health
        | Route::Ready
        | Route::SmartConfiguration
        | Route::OpenIdConfiguration
        | Route::OAuthMetadata
        | Route::Brands
        | Route::Jwks => server.record_page(&exchange, Outcome::Rejected, ui::method_not_allowed(&exchange, "GET, HEAD")).await,
        Route::Unknown => not_found(server, &exchange).await,
    }
}

async fn not_found(server: &Server, exchange: &Exchange) -> Answer {
    server.record_page(exchange, Outcome::Rejected, ui::not_found(exchange)).await
}

/// Begins a request in a task that ends with its record, whatever becomes of the connection.
fn in_own_task(face: Face, work: impl Future<Output = Answer> + Send + 'static) -> impl Future<Output = Answer> + Send {
    // Boxed, since Tokio aligns tasks to cache lines, and allocators are slow at large aligned blocks.
    let task = tokio::spawn(Box::pin(work));
    async move {
        match task.await {
            Ok(answer) => answer,
            Err(error) => {
                tracing::error!(%error, "a request ended without an answer");
                Answer::unrecorded(&LedgerError::Stopped, face)
            }
        }
    }
}
