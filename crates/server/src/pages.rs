//! Pages and files that say nothing about anybody.

use http::{StatusCode, header};

use crate::answer::Draft;
use crate::authorization_server::reply;
use crate::context::Server;
use crate::ui::assets;
use crate::ui::pages::{DocsPage, SignInName, StartPage};

/// `GET /`
pub fn start(server: &Server) -> Draft {
    let settings = &server.settings;
    let demo = settings.demo.as_ref();
    let names = demo.map(|demo| demo.users.as_slice()).unwrap_or_default().iter();
    let page = StartPage {
        version: settings.version.to_owned(),
        fhir_base: settings.fhir_base.clone(),
        is_demo: demo.is_some(),
        app_url: demo.map(|demo| demo.app_url.clone()),
        signed_in_as: None,
        sign_in_names: names.map(|(username, what)| SignInName { username: username.clone(), what: what.clone() }).collect(),
    };
    reply::page(StatusCode::OK, page.render(), None)
}

/// `GET /docs`
pub fn docs(server: &Server) -> Draft {
    let settings = &server.settings;
    let page = DocsPage {
        fhir_base: settings.fhir_base.clone(),
        issuer: settings.public_url.clone(),
        is_demo: settings.demo.is_some(),
        app_url: settings.demo.as_ref().map(|demo| demo.app_url.clone()),
        token_commands: String::new(),
    };
    reply::page(StatusCode::OK, page.render(), None)
}

/// `GET /static/...`
pub fn asset(name: &str) -> Option<Draft> {
    let (media_type, bytes) = assets::find(name)?;
    Some(Draft::new(StatusCode::OK).body(media_type, bytes).with(header::CACHE_CONTROL, "public, max-age=3600"))
}

/// Where nothing is.
pub fn not_found() -> Draft {
    reply::error(
        StatusCode::NOT_FOUND,
        "There is no such page",
        "The address leads nowhere on this server.",
        "Nothing is wrong with your account.",
        "Check the address, or go to the start page.",
    )
}
