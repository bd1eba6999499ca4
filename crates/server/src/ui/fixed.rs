//! The pages and files that depend on nothing but the settings: start, guide, style sheet, and "nothing is here".

use http::{StatusCode, header};

use super::pages::{DocsPage, ErrorPage, SignInName, StartPage};
use super::{MEDIA_TYPE, assets, content_security_policy};
use crate::answer::Draft;
use crate::context::Server;

/// `GET /`. It reads no session, so it says the same to everybody and may be counted instead of recorded.
pub fn start(server: &Server) -> Draft {
    let settings = &server.settings;
    let users = settings.demo.iter().flat_map(|demo| demo.users.iter().cloned());
    let html = StartPage {
        version: settings.version.to_owned(),
        fhir_base: settings.fhir_base.clone(),
        is_demo: settings.demo.is_some(),
        app_url: settings.demo.as_ref().map(|demo| demo.app_url.clone()),
        sign_in_names: users.map(|(username, what)| SignInName { username, what }).collect(),
    };
    page(StatusCode::OK, html.render())
}

/// `GET /docs`
pub fn docs(server: &Server) -> Draft {
    let settings = &server.settings;
    let html = DocsPage {
        fhir_base: settings.fhir_base.clone(),
        issuer: settings.public_url.clone(),
        is_demo: settings.demo.is_some(),
        app_url: settings.demo.as_ref().map(|demo| demo.app_url.clone()),
    };
    page(StatusCode::OK, html.render())
}

/// `GET /static/{name}`. The pages ask by an address that changes with the file, so it may be kept.
pub fn asset(name: &str) -> Option<Draft> {
    let (media_type, bytes) = assets::find(name)?;
    let draft = Draft::new(StatusCode::OK).body(media_type, bytes).with(header::CACHE_CONTROL, assets::CACHE_CONTROL);
    Some(draft.with_text(header::ETAG, &assets::entity_tag(name)?))
}

/// `GET /static/logo-{hash}.png`: the logo of a client, as this server encoded it.
pub fn logo(server: &Server, name: &str) -> Option<Draft> {
    let png = server.logos.find(name)?;
    Some(Draft::new(StatusCode::OK).body("image/png", png).with(header::CACHE_CONTROL, assets::CACHE_CONTROL))
}

/// The answer for every path that nothing is at.
pub fn not_found(_server: &Server) -> Draft {
    let html = ErrorPage {
        title: "Nothing is here".to_owned(),
        what_happened: "The address that you opened leads to no page of this server.".to_owned(),
        what_it_means: "The address may have a typing error, or the page was moved.".to_owned(),
        what_to_do: "Check the address, or begin at the start page.".to_owned(),
        status: StatusCode::NOT_FOUND.as_u16(),
    };
    page(StatusCode::NOT_FOUND, html.render())
}

/// The answer to a method that an address does not have; `allow` lists those that it has.
pub fn method_not_allowed(allow: &'static str) -> Draft {
    let html = ErrorPage {
        title: "This address works in another way".to_owned(),
        what_happened: "The request used a method that this address does not know.".to_owned(),
        what_it_means: "Nothing was shown or changed.".to_owned(),
        what_to_do: "Go back to the page that you came from and try again.".to_owned(),
        status: StatusCode::METHOD_NOT_ALLOWED.as_u16(),
    };
    page(StatusCode::METHOD_NOT_ALLOWED, html.render()).with(header::ALLOW, allow)
}

fn page(status: StatusCode, html: String) -> Draft {
    Draft::new(status).body(MEDIA_TYPE, html).with_text(header::CONTENT_SECURITY_POLICY, &content_security_policy(None))
}
