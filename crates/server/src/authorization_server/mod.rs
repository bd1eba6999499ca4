//! The authorization server: sign-in, consent, codes, tokens.
//!
//! SMART App Launch 2.2.0, OAuth 2.0 (RFC 6749, RFC 9700), OpenID Connect Core 1.0. Protocol rules live in the oauth crate; here they meet HTTP,
//! people and the registry. Every exchange ends with a record; changes are stored together with theirs.

pub mod account;
pub mod account_pages;
pub mod asking_app;
pub mod attempts;
pub mod authorize;
pub mod breached;
pub mod chart;
pub mod client_authentication;
pub mod client_endpoint;
pub mod client_keys;
pub mod consent;
pub mod csrf;
pub mod discovery;
pub mod encounters;
pub mod factors;
pub mod federation;
pub mod form;
pub mod history;
pub mod history_table;
pub mod introspect;
pub mod launch;
pub mod launch_context;
pub mod login;
pub mod logo_image;
pub mod logos;
pub mod looks;
pub mod new_password;
pub mod own_sessions;
pub mod passkeys;
pub mod password;
pub mod people;
pub mod person;
pub mod picker;
pub mod place;
pub mod pushed;
pub mod registration;
pub mod reply;
pub mod revoke;
pub mod second_factor;
pub mod session;
pub mod sign_in;
pub mod signing_keys;
pub mod step_up;
pub mod token;

use std::sync::Arc;

use http::{Method, StatusCode, header};
use portcullis_audit::record::Outcome;
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
    match route {
        Route::Federation(page) => federation::serve(server, &exchange, page, body).await,
        Route::Account(page) => account_pages::serve(server, &exchange, page, body).await,
        Route::Authorize if reading => authorize::show(server, &exchange).await,
        Route::Authorize if posting => authorize::redirect_to_get(server, &exchange, body).await,
        Route::Login if reading => login::show(server, &exchange).await,
        Route::Login if posting => login::submit(server, &exchange, body).await,
        Route::Logout if posting => login::sign_out(server, &exchange, body).await,
        Route::Consent if posting => consent::submit(server, &exchange, body).await,
        Route::Token if posting => client_endpoint::serve::<token::Token>(server, &exchange, body).await,
        Route::Revoke if posting => client_endpoint::serve::<revoke::Revocation>(server, &exchange, body).await,
        Route::Introspect if posting => introspect::serve(server, &exchange, body).await,
        Route::PushedRequest if posting => client_endpoint::serve::<pushed::PushedRequests>(server, &exchange, body).await,
        Route::Launch if posting => client_endpoint::serve::<launch::LaunchEndpoint>(server, &exchange, body).await,
        Route::Chart if reading => chart::show(server, &exchange).await,
        Route::Chart if posting => chart::submit(server, &exchange, body).await,
        Route::Person if reading => person::show(server, &exchange).await,
        Route::History(form) if reading => history::show(server, &exchange, form).await,
        Route::PersonRevoke if posting => person::revoke(server, &exchange, body).await,
        other => {
            let allow = match other {
                Route::Authorize | Route::Chart | Route::Login => "GET, HEAD, POST",
                Route::Person | Route::History(_) => "GET, HEAD",
                _ => "POST",
            };
            let draft = match other {
                Route::Launch | Route::Token | Route::Revoke | Route::Introspect | Route::PushedRequest => {
                    reply::oauth_error(TokenError::InvalidRequest("the method must be POST"))
                        .with_status(StatusCode::METHOD_NOT_ALLOWED)
                        .with(header::ALLOW, allow)
                }
                _ => ui::method_not_allowed(allow),
            };
            server.record_page(&exchange, Outcome::Rejected, draft).await
        }
    }
}
