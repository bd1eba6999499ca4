//! Pages in the reader's language: what the app asks for, what the person chose, what the browser likes.

use portcullis_oauth::consent_groups::ConsentGroup;
use portcullis_oauth::language::Language;
use portcullis_oauth::metadata::SCOPES;
use portcullis_oauth::scopes::{Scope, plain_words};
use portcullis_testkit::server::PASSWORD;
use portcullis_testkit::{App, Reply};
use portcullis_verifies::verifies;

use crate::account::Visitor;
use crate::fhir::{SCOPE, World};

const ASKED: &str = "launch/patient patient/Patient.rs patient/Coverage.rs patient/*.cud";

fn is_in(reply: &Reply, tag: &str) -> bool {
    reply.text().contains(&format!("<html lang=\"{tag}\">")) && reply.header("content-language") == tag
}

async fn asking(world: &World, path: &str, accept: &str) -> Reply {
    world.server.client.get(path).header("accept-language", accept).send().await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_browser_is_answered_in_the_language_that_it_likes_and_programs_in_english() {
    let world = World::start().await;
    for path in ["/", "/docs", "/login", "/nowhere", "/oauth/authorize", "/set-password?link=x"] {
        let spanish = asking(&world, path, "fr, es-MX;q=0.8, en;q=0.7").await;
        assert!(is_in(&spanish, "es"), "{path}: {}", spanish.text());
        assert!(spanish.header("vary").contains("Accept-Language"), "{path}: {}", spanish.header("vary"));
        assert!(is_in(&asking(&world, path, "fr, ;;q=x, en;q=0.1, es;q=0").await, "en"), "{path}");
        assert!(is_in(&asking(&world, path, "xx").await, "en"), "{path}: the operator's setting");
    }
    let refused = asking(&world, "/fhir/Patient/ann", "es").await;
    assert_eq!((refused.status.as_u16(), refused.header("content-language")), (401, ""));
    assert!(!refused.header("vary").contains("Accept-Language"));
    let metadata = asking(&world, "/.well-known/openid-configuration", "es").await;
    assert_eq!(metadata.json()["ui_locales_supported"], serde_json::json!(["en", "es"]));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_app_that_asks_for_spanish_gets_it_from_the_sign_in_to_the_consent_screen() {
    let world = World::start().await;
    let app = world.server.add_app("spanish", "launch/patient patient/*.cruds", false).await;
    let query = format!("{}&ui_locales=fr+es-419", app.authorization_query(ASKED));
    let first = asking(&world, &format!("/oauth/authorize?{query}"), "en").await;
    assert!(is_in(&first, "es") && first.text().contains("action=\"/login?ui_locales=es\""), "{}", first.text());
    let wrong = world.server.client.post("/login?ui_locales=es").header("accept-language", "en").form(&[]).send().await;
    assert!(is_in(&wrong, "es") && wrong.status == 403, "{}", wrong.text());

    let at = app.sign_in(&query, "ann", PASSWORD).await;
    let page = at.page.text();
    assert!(is_in(&at.page, "es"), "{page}");
    for words in [
        "quiere ver y cambiar partes del expediente médico de",
        "Su nombre, fecha de nacimiento, dirección y datos de contacto",
        "Agregar, cambiar o borrar datos en su expediente",
        ">Sensible</span>",
        "las leyes de privacidad de la salud, como HIPAA, pueden no cubrir a la aplicación",
        ">Permitir</button>",
        ">No permitir</button>",
        "action=\"/consent?ui_locales=es\"",
    ] {
        assert!(page.contains(words), "{words}: {page}");
    }
    assert!(!page.contains("Untick") && !page.contains(">Sensitive<"), "{page}");
    let back = app.consent(&at, &["launch/patient", "patient/Coverage.rs"], "allow").await;
    assert!(back.header("location").contains("code="), "{}", back.header("location"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_pushed_request_carries_its_language_to_the_pages() {
    let world = World::start().await;
    let app: App = world.server.add_app("backoffice", SCOPE, true).await;
    let query = app.authorization_query("launch/patient patient/Patient.r");
    let mut fields: Vec<(String, String)> =
        url::form_urlencoded::parse(query.as_bytes()).into_owned().filter(|(name, _)| name != "client_id").collect();
    fields.push(("ui_locales".to_owned(), "es".to_owned()));
    let fields: Vec<(&str, &str)> = fields.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
    let uri = app.token_request_to("/oauth/par", &fields).await.json()["request_uri"].as_str().unwrap().to_owned();
    let uri: String = url::form_urlencoded::byte_serialize(uri.as_bytes()).collect();
    let on = asking(&world, &format!("/oauth/authorize?client_id=backoffice&request_uri={uri}"), "en").await;
    assert!(on.header("location").ends_with("&ui_locales=es"), "{}", on.header("location"));
    assert!(is_in(&asking(&world, on.header("location"), "en").await, "es"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_person_changes_the_language_by_a_link_that_leads_nowhere_else() {
    let world = World::start().await;
    let mut ann = Visitor::new(&world);
    ann.sign_in("ann").await;
    let page = ann.get("/me?stopped=x").await;
    assert!(is_in(&page, "en") && page.text().contains("href=\"/language?to=es&#38;return_to=%2Fme%3Fstopped%3Dx\""));
    let changed = ann.get("/language?to=es&return_to=%2Fme%3Fstopped%3Dx").await;
    assert_eq!((changed.status.as_u16(), changed.header("location")), (303, "/me?stopped=x"));
    let cookie = changed.header("set-cookie");
    assert!(cookie.starts_with("__Host-portcullis-language=es; Path=/; Secure; HttpOnly; SameSite=Lax; Max-Age="), "{cookie}");
    let page = ann.get("/me").await;
    assert!(is_in(&page, "es") && page.text().contains("Quién puede ver su expediente médico"), "{}", page.text());
    assert!(page.text().contains("Sesión iniciada con contraseña el 21 de noviembre de 2020 a las "), "{}", page.text());
    let table = ann.get("/me/history.csv").await.text();
    assert!(table.contains("\"Qué se hizo\"") && !table.contains("What was done"), "{table}");
    // An app that asks for a language is heard before; the person's click changes what it asks for.
    let asked = ann.get("/login?return_to=%2Foauth%2Fauthorize%3Fui_locales%3Den%26a%3Db").await;
    assert!(is_in(&asked, "en"));
    let changed = ann.get("/language?to=es&return_to=/oauth/authorize?a=b%26ui_locales=en%26c=d").await;
    assert_eq!(changed.header("location"), "/oauth/authorize?a=b&c=d&ui_locales=es");

    for elsewhere in ["https://evil.example/", "//evil.example/", "/%5Cevil.example", "/a%0d%0aSet-Cookie:x", "me", ""] {
        let reply = ann.get(&format!("/language?to=en&return_to={elsewhere}")).await;
        assert_eq!((reply.status.as_u16(), reply.header("location")), (303, "/"), "{elsewhere}");
    }
    for unknown in ["/language", "/language?to=fr", "/language?to=", "/language?to=en-US", "/language?to=es%3B+Domain=x"] {
        let reply = ann.get(unknown).await;
        assert_eq!((reply.status.as_u16(), reply.header("set-cookie")), (303, ""), "{unknown}");
    }
}

/// The text of a page, without tags and what stands in them.
fn visible(html: &str) -> String {
    html.split('<').filter_map(|piece| piece.split_once('>')).map(|(_, text)| text).collect::<Vec<_>>().join(" ")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_scope_stands_under_a_heading_and_in_a_phrase_of_the_readers_language_and_never_as_itself() {
    verifies!("BP-08");
    let world = World::start().await;
    let asked: Vec<&str> = SCOPES.into_iter().filter(|scope| !scope.starts_with("system/") && *scope != "launch").collect();
    let app = world.server.add_app("everything", &asked.join(" "), false).await;
    for (tag, language, other) in [("en", Language::English, Language::Spanish), ("es", Language::Spanish, Language::English)] {
        let query = format!("{}&ui_locales={tag}", app.authorization_query(&asked.join(" ")));
        let page = app.sign_in(&query, "ann", PASSWORD).await.page;
        assert!(is_in(&page, tag), "{}", page.text());
        let text = visible(&page.text());
        for scope in &asked {
            let scope = Scope::parse(scope).unwrap();
            let Some(group) = ConsentGroup::of(&scope) else { continue };
            let words = plain_words(&scope, language);
            assert!(text.contains(group.title(language)) && text.contains(&words), "{scope}: {words}: {text}");
            assert_ne!(words, plain_words(&scope, other), "{scope}");
            assert!(!text.contains(scope.as_str()), "{scope} stands there as itself: {text}");
        }
    }
}
