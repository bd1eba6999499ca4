//! The pages and files that depend on nothing but the settings: start, guide, style sheet, and "nothing is here".

use http::{StatusCode, header};

use super::pages::{DocsPage, ErrorPage, SignInName, StartPage};
use super::{MEDIA_TYPE, Reader, assets, content_security_policy};
use crate::answer::Draft;
use crate::context::Server;
use crate::resource_server::Exchange;

/// `GET /`. It reads no session, so it says the same to everybody and may be counted instead of recorded.
pub fn start(server: &Server, exchange: &Exchange) -> Draft {
    let settings = &server.settings;
    let users = settings.demo.iter().flat_map(|demo| demo.users.iter().cloned());
    let html = StartPage {
        reader: exchange.reader(),
        version: settings.version.to_owned(),
        fhir_base: settings.fhir_base.clone(),
        is_demo: settings.demo.is_some(),
        app_url: settings.demo.as_ref().map(|demo| demo.app_url.clone()),
        sign_in_names: users.map(|(username, what)| SignInName { username, what: roles(&exchange.reader(), &what) }).collect(),
    };
    page(StatusCode::OK, html.render())
}

/// The roles of somebody in the demo, as people say them.
fn roles(reader: &Reader, names: &str) -> String {
    let spoken = |name| match name {
        "patient" => reader.say("patient", "paciente"),
        "representative" => reader.say("representative", "representante"),
        "clinician" => reader.say("clinician", "personal clínico"),
        "auditor" => reader.say("auditor", "auditoría"),
        "security-officer" => reader.say("security officer", "seguridad"),
        "administrator" => reader.say("administrator", "administración"),
        "developer" => reader.say("developer", "desarrollo"),
        other => other,
    };
    names.split(", ").map(spoken).collect::<Vec<_>>().join(", ")
}

/// `GET /docs`
pub fn docs(server: &Server, exchange: &Exchange) -> Draft {
    let settings = &server.settings;
    let html = DocsPage {
        reader: exchange.reader(),
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
pub fn not_found(exchange: &Exchange) -> Draft {
    error(
        &exchange.reader(),
        StatusCode::NOT_FOUND,
        [
            "Nothing is here",
            "The address that you opened leads to no page of this server.",
            "The address may have a typing error, or the page was moved.",
            "Check the address, or begin at the start page.",
        ],
        [
            "Aquí no hay nada",
            "La dirección que usted abrió no lleva a ninguna página de este servidor.",
            "Puede que la dirección tenga un error, o que la página haya cambiado de lugar.",
            "Revise la dirección, o empiece en la página de inicio.",
        ],
    )
}

/// The answer to a method that an address does not have; `allow` lists those that it has.
pub fn method_not_allowed(exchange: &Exchange, allow: &'static str) -> Draft {
    let draft = error(
        &exchange.reader(),
        StatusCode::METHOD_NOT_ALLOWED,
        [
            "This address works in another way",
            "The request used a method that this address does not know.",
            "Nothing was shown or changed.",
            "Go back to the page that you came from and try again.",
        ],
        [
            "Esta dirección funciona de otra manera",
            "La solicitud usó un método que esta dirección no conoce.",
            "No se mostró ni se cambió nada.",
            "Vuelva a la página anterior e inténtelo de nuevo.",
        ],
    );
    draft.with(header::ALLOW, allow)
}

/// An error page for a person. In each language: the title, what happened, what it means, what to do.
pub fn error(reader: &Reader, status: StatusCode, english: [&str; 4], spanish: [&str; 4]) -> Draft {
    let [title, what_happened, what_it_means, what_to_do] = reader.say(english, spanish).map(str::to_owned);
    let html = ErrorPage { reader: reader.clone(), title, what_happened, what_it_means, what_to_do, status: status.as_u16() };
    page(status, html.render())
}

fn page(status: StatusCode, html: String) -> Draft {
    Draft::new(status).body(MEDIA_TYPE, html).with_text(header::CONTENT_SECURITY_POLICY, &content_security_policy(None))
}
