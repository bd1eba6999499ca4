//! The authorization server: sign-in, consent, codes, tokens.
//!
//! SMART App Launch 2.2.0, OAuth 2.0 (RFC 6749, RFC 9700), OpenID Connect Core 1.0. Protocol rules live in the oauth crate; here they meet HTTP,
//! people and the registry. Every exchange ends with a record; changes are stored together with theirs.

pub mod accounts;
pub mod authorization;
pub mod break_glass;
pub mod clients;
pub mod csrf;
pub mod developers;
pub mod discovery;
pub mod form;
pub mod own_page;
pub mod page_query;
pub mod place;
pub mod reply;
pub mod role_assurance;
pub mod security;
pub mod session;
pub mod signing_keys;

use std::sync::Arc;

use http::{Method, StatusCode, header};
use portcullis_audit::record::Outcome;
use portcullis_oauth::capabilities::Capability;
use portcullis_oauth::token_error::TokenError;

use crate::answer::Answer;
use crate::context::Server;
use crate::listener::Incoming;
use crate::resource_server::Exchange;
use crate::route::Route;
use crate::ui;

/// Serves one request to a page or endpoint of the authorization server.
pub async fn serve(server: Arc<Server>, exchange: Exchange, route: Route, body: Incoming) -> Answer {
    let server = &*server;
    let method = exchange.method.clone();
    let reading = matches!(method, Method::GET | Method::HEAD);
    let posting = method == Method::POST;
    let authorizes_by_post = server.settings.authorization.capabilities.has(Capability::AuthorizePost);
    match route {
        Route::Federation(page) => Box::pin(accounts::federation::serve(server, &exchange, page, body)).await,
        Route::Developers(page) => Box::pin(developers::serve(server, &exchange, page, body)).await,
        Route::Account(page) => Box::pin(own_page::account_pages::serve(server, &exchange, page, body)).await,
        Route::Authorize if reading => Box::pin(authorization::authorize::show(server, &exchange)).await,
        Route::Authorize if posting && authorizes_by_post => {
            Box::pin(authorization::authorize::redirect_to_get(server, &exchange, body)).await
        }
        Route::Login if reading => Box::pin(accounts::login::show(server, &exchange)).await,
        Route::Login if posting => Box::pin(accounts::login::submit(server, &exchange, body)).await,
        Route::Logout if posting => Box::pin(accounts::login::sign_out(server, &exchange, body)).await,
        Route::Consent if posting => Box::pin(authorization::consent::submit(server, &exchange, body)).await,
        Route::Token if posting => {
            Box::pin(clients::client_endpoint::serve::<clients::token::Token>(server, &exchange, body)).await
        }
        Route::Revoke if posting => {
            Box::pin(clients::client_endpoint::serve::<clients::revoke::Revocation>(server, &exchange, body)).await
        }
        Route::Introspect if posting => Box::pin(clients::introspect::serve(server, &exchange, body)).await,
        Route::UserInfo if reading || posting => Box::pin(clients::userinfo::serve(server, &exchange)).await,
        Route::PushedRequest if posting => {
            Box::pin(clients::client_endpoint::serve::<clients::pushed::PushedRequests>(server, &exchange, body)).await
        }
        Route::Launch if posting => {
            Box::pin(clients::client_endpoint::serve::<clients::launch::LaunchEndpoint>(server, &exchange, body)).await
        }
        Route::Chart if reading => Box::pin(authorization::chart::show(server, &exchange)).await,
        Route::Chart if posting => Box::pin(authorization::chart::submit(server, &exchange, body)).await,
        Route::BreakGlass if reading => Box::pin(break_glass::show(server, &exchange)).await,
        Route::BreakGlass if posting => Box::pin(break_glass::submit(server, &exchange, body)).await,
        Route::Security if reading => Box::pin(security::show(server, &exchange)).await,
        Route::Security if posting => Box::pin(security::submit(server, &exchange, body)).await,
        Route::Person if reading => Box::pin(own_page::person::show(server, &exchange)).await,
        Route::History(form) if reading => Box::pin(own_page::history::show(server, &exchange, form)).await,
        Route::PersonRevoke if posting => Box::pin(own_page::person::revoke(server, &exchange, body)).await,
        other => {
            let allow = match other {
                Route::Authorize if !authorizes_by_post => "GET, HEAD",
                Route::Authorize | Route::Chart | Route::Login | Route::BreakGlass | Route::Security => "GET, HEAD, POST",
                Route::UserInfo => "GET, HEAD, POST",
                Route::Person | Route::History(_) => "GET, HEAD",
                _ => "POST",
            };
            let draft = match other {
                Route::Launch | Route::Token | Route::Revoke | Route::Introspect | Route::PushedRequest => {
                    reply::oauth_error(TokenError::InvalidRequest("the method must be POST"))
                        .with_status(StatusCode::METHOD_NOT_ALLOWED)
                        .with(header::ALLOW, allow)
                }
                Route::UserInfo => reply::oauth_error(TokenError::InvalidRequest("the method must be GET or POST"))
                    .with_status(StatusCode::METHOD_NOT_ALLOWED)
                    .with(header::ALLOW, allow),
                _ => ui::method_not_allowed(&exchange, allow),
            };
            server.record_page(&exchange, Outcome::Rejected, draft).await
        }
    }
}
