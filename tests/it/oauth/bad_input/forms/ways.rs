//! Who comes by which form, and what each field of it is answered.

use portcullis_oauth::passkey::user_handle;
use portcullis_oauth::totp::TotpSecret;
use portcullis_testkit::Reply;
use portcullis_testkit::app::hidden;
use portcullis_testkit::authenticator::Authenticator;
use portcullis_testkit::server::PASSWORD;

use super::{DONE, DONE_ONCE, EXPIRED, Judge, OUTDATED, Row, Sheet, Told, fields};
use crate::account::Visitor;
use crate::account::links::{CHOSEN, link, reset};
use crate::pages::emergencies;

const NO_MATCH: Told = (401, "This username and password do not match.");
const NO_SUCH_LINK: Told = (410, "This link does not work any more");
const TOO_SHORT: Told = (400, "This password is too short.");
const TOO_LONG: Told = (400, "This password is too long.");
const NO_PASSKEY: Told = (401, "This passkey does not open an account here.");
const NOT_ADDED: Told = (400, "This passkey could not be added.");
const WRONG_CODE: Told = (401, "This code does not work.");
const OWN_PAGE: Told = (303, "/me");
const NOT_APPROVED: Told = (409, "Nothing was changed:");
const NO_CHART: Told = (404, "This chart cannot be opened");
const TO_THE_APP: Told = (303, "error=");

async fn signed_in<'a>(judge: &Judge<'a>, name: &str) -> Visitor<'a> {
    let mut visitor = Visitor::new(&judge.hospital.world);
    visitor.sign_in(name).await;
    visitor
}

/// Whoever is not signed in.
pub async fn strangers(judge: &mut Judge<'_>) {
    let hospital = judge.hospital;
    let mut visitor = Visitor::new(&hospital.world);
    let page = visitor.get("/login").await;
    let typed = [("username", "rosa"), ("password", PASSWORD)];
    let rows: [Row; 3] = [("return_to", DONE, DONE), ("username", NO_MATCH, NO_MATCH), ("password", NO_MATCH, NO_MATCH)];
    judge
        .form(&mut visitor, Sheet { path: "/login", page: &page, typed: &typed, token: EXPIRED, rows: &rows, done: OWN_PAGE })
        .await;

    let mut visitor = Visitor::new(&hospital.world);
    let page = visitor.get("/login/forgotten").await;
    let rows: [Row; 1] = [("username", (400, "Nothing was typed, so nothing was sent."), DONE)];
    let done = (200, "Check your email");
    let sheet =
        Sheet { path: "/login/forgotten", page: &page, typed: &[("username", "maria")], token: EXPIRED, rows: &rows, done };
    judge.form(&mut visitor, sheet).await;

    let path = link(&hospital.world, "first", reset("lost", false)).await;
    let page = visitor.get(&path).await;
    // The name is there for whoever keeps passwords.
    let rows: [Row; 3] =
        [("link", NO_SUCH_LINK, NO_SUCH_LINK), ("username", DONE_ONCE, DONE_ONCE), ("password", TOO_SHORT, TOO_LONG)];
    let typed = [("password", CHOSEN)];
    let done = (303, "/login");
    judge
        .form(&mut visitor, Sheet { path: "/set-password", page: &page, typed: &typed, token: EXPIRED, rows: &rows, done })
        .await;
}

/// Maria, of her own.
pub async fn own_page(judge: &mut Judge<'_>) {
    let hospital = judge.hospital;
    hospital.things_happen().await;
    hospital.rules_are_made().await;
    hospital.link_elsewhere("maria").await;
    let mut elsewhere = signed_in(judge, "maria").await;
    let mut maria = signed_in(judge, "maria").await;
    let page = maria.get("/me").await;
    let done = (303, "/me?stopped=");
    let rows: [Row; 1] = [("grant", OWN_PAGE, OWN_PAGE)];
    judge.form(&mut maria, Sheet { path: "/me/revoke", page: &page, typed: &[], token: OUTDATED, rows: &rows, done }).await;

    let page = maria.get("/me/consents").await;
    let done = (303, "/me/consents?agreed=");
    let rows: [Row; 2] = [("consent", OWN_PAGE, OWN_PAGE), ("version", OWN_PAGE, OWN_PAGE)];
    judge.form(&mut maria, Sheet { path: "/me/consents", page: &page, typed: &[], token: OUTDATED, rows: &rows, done }).await;

    let page = maria.get("/me/federation").await;
    let linked = (303, "/me/federation");
    let rows: [Row; 2] = [("issuer", linked, linked), ("subject", linked, linked)];
    let sheet = Sheet { path: "/me/federation/unlink", page: &page, typed: &[], token: OUTDATED, rows: &rows, done: linked };
    judge.form(&mut maria, sheet).await;

    let page = maria.get("/me/mail").await;
    let no_address = (400, "Type an email address, such as name@example.org.");
    let rows: [Row; 1] = [("address", no_address, no_address)];
    let typed = [("address", "maria@example.org")];
    let done = (200, "name=\"made_at\"");
    let sent =
        judge.form(&mut maria, Sheet { path: "/me/mail", page: &page, typed: &typed, token: OUTDATED, rows: &rows, done }).await;
    let wrong = (400, "This code is wrong or too old. Ask for a new one.");
    let typed = [("address", "maria@example.org"), ("made_at", &hidden(&sent, "made_at")), ("code", "wrong")];
    let csrf = hidden_in(&sent, "/me/mail", "csrf");
    let reply = maria.post("/me/mail", &[&[("csrf", csrf.as_str())], &typed[..]].concat()).await;
    assert_eq!((reply.status.as_u16(), reply.text().contains(wrong.1)), (400, true), "{}", reply.text());
    // Without the time of a code another one is sent.
    let rows: [Row; 3] = [("address", no_address, no_address), ("made_at", DONE_ONCE, wrong), ("code", wrong, wrong)];
    let typed = [("code", "wrong")];
    judge.form(&mut maria, Sheet { path: "/me/mail", page: &sent, typed: &typed, token: OUTDATED, rows: &rows, done }).await;

    let page = maria.get("/me").await;
    let rows: [Row; 1] = [("session", OWN_PAGE, OWN_PAGE)];
    let sheet = Sheet {
        path: "/me/sessions/end",
        page: &page,
        typed: &[("session", "others")],
        token: OUTDATED,
        rows: &rows,
        done: OWN_PAGE,
    };
    judge.form(&mut maria, sheet).await;
    assert_eq!(elsewhere.get("/me").await.status, 303, "the other session has ended");

    let page = maria.get("/me/password").await;
    let rows: [Row; 2] = [("username", DONE, DONE), ("password", TOO_SHORT, TOO_LONG)];
    let typed = [("password", PASSWORD)];
    judge
        .form(
            &mut maria,
            Sheet { path: "/me/password", page: &page, typed: &typed, token: OUTDATED, rows: &rows, done: OWN_PAGE },
        )
        .await;

    let page = maria.get("/me").await;
    let done = (200, "You are signed out");
    judge.form(&mut maria, Sheet { path: "/logout", page: &page, typed: &[], token: OUTDATED, rows: &[], done }).await;
}

/// Maria, how she signs in.
pub async fn factors(judge: &mut Judge<'_>) {
    let mut maria = signed_in(judge, "maria").await;
    let page = maria.get("/me/authenticator").await;
    let secret = TotpSecret::from_base32(&hidden(&page, "secret")).unwrap();
    let code = judge.hospital.world.code(&secret);
    let (anew, wrong) = ((303, "/me/authenticator"), (400, "This code does not match."));
    let rows: [Row; 3] = [("secret", anew, anew), ("proof", anew, anew), ("code", wrong, wrong)];
    let typed = [("code", code.as_str())];
    let done = (200, "<li><code>");
    judge
        .form(&mut maria, Sheet { path: "/me/authenticator", page: &page, typed: &typed, token: OUTDATED, rows: &rows, done })
        .await;
    let page = maria.get("/me").await;
    judge.form(&mut maria, Sheet { path: "/me/recovery-codes", page: &page, typed: &[], token: OUTDATED, rows: &[], done }).await;

    judge.hospital.world.server.clock.advance_seconds(30);
    let mut again = Visitor::new(&judge.hospital.world);
    let page = again.password("maria", "/me").await;
    let code = judge.hospital.world.code(&secret);
    let typed = [("code", code.as_str())];
    let rows: [Row; 3] = [("return_to", DONE_ONCE, DONE_ONCE), ("pending", EXPIRED, EXPIRED), ("code", WRONG_CODE, WRONG_CODE)];
    let sheet = Sheet { path: "/login/second", page: &page, typed: &typed, token: EXPIRED, rows: &rows, done: OWN_PAGE };
    judge.form(&mut again, sheet).await;

    let mut device = Authenticator::new(&judge.hospital.world.server.server.settings.public_url, "maria-phone");
    let page = maria.get("/me/passkey").await;
    let answer = device.register(&hidden_in(&page, "/me/passkey", "challenge"));
    let typed: Vec<(&str, &str)> =
        answer.iter().map(|(name, value)| (*name, value.as_str())).chain([("name", "Phone")]).collect();
    let rows: [Row; 4] = [
        ("challenge", NOT_ADDED, NOT_ADDED),
        ("client_data", NOT_ADDED, NOT_ADDED),
        ("attestation", NOT_ADDED, NOT_ADDED),
        ("name", DONE_ONCE, DONE_ONCE),
    ];
    judge
        .form(&mut maria, Sheet { path: "/me/passkey", page: &page, typed: &typed, token: OUTDATED, rows: &rows, done: OWN_PAGE })
        .await;

    let mut again = Visitor::new(&judge.hospital.world);
    let page = again.get("/login").await;
    let answer = device.sign_in(&hidden_in(&page, "/login/passkey", "challenge"), &user_handle("user-maria"));
    let typed: Vec<(&str, &str)> = answer.iter().map(|(name, value)| (*name, value.as_str())).collect();
    let fields = ["credential", "client_data", "authenticator_data", "signature", "user_handle"];
    let mut rows: Vec<Row> = fields.map(|name| (name, NO_PASSKEY, NO_PASSKEY)).to_vec();
    rows.extend([("return_to", DONE_ONCE, DONE_ONCE), ("challenge", EXPIRED, EXPIRED)]);
    let sheet = Sheet { path: "/login/passkey", page: &page, typed: &typed, token: EXPIRED, rows: &rows, done: OWN_PAGE };
    judge.form(&mut again, sheet).await;

    let page = maria.get("/me").await;
    let rows: [Row; 1] = [("passkey", OWN_PAGE, OWN_PAGE)];
    let sheet = Sheet { path: "/me/passkey/remove", page: &page, typed: &[], token: OUTDATED, rows: &rows, done: OWN_PAGE };
    judge.form(&mut maria, sheet).await;
    let page = maria.get("/me").await;
    let sheet = Sheet { path: "/me/authenticator/remove", page: &page, typed: &[], token: OUTDATED, rows: &[], done: OWN_PAGE };
    judge.form(&mut maria, sheet).await;
}

fn hidden_in(page: &Reply, path: &str, name: &str) -> String {
    fields(page, path).1.into_iter().find(|(known, _)| known == name).unwrap().1
}

/// What people answer to apps: whose record, which visit, what of it.
pub async fn apps(judge: &mut Judge<'_>) {
    const PAGE: Told = (403, "This page has expired");
    let hospital = judge.hospital;
    let mut rosa = signed_in(judge, "rosa").await;
    let asks = |scope: &str| hospital.asks(&hospital.growth, scope).replace(&hospital.url(""), "");
    let page = rosa.get(&asks("launch/patient patient/Patient.r patient/Immunization.rs")).await;
    // Whoever presses a button without a choice is asked again; a form without an answer is a no.
    let rows: [Row; 3] =
        [("request", PAGE, PAGE), ("patient", (200, "Whose record"), TO_THE_APP), ("decision", TO_THE_APP, TO_THE_APP)];
    let typed = [("patient", "theo"), ("decision", "continue")];
    let done = (200, "value=\"allow\"");
    let page =
        judge.form(&mut rosa, Sheet { path: "/consent", page: &page, typed: &typed, token: PAGE, rows: &rows, done }).await;
    let rows: [Row; 3] = [("request", PAGE, PAGE), ("scope", TO_THE_APP, TO_THE_APP), ("decision", TO_THE_APP, TO_THE_APP)];
    let typed = [("scope", "patient/Patient.r"), ("decision", "allow")];
    let done = (303, "code=");
    judge.form(&mut rosa, Sheet { path: "/consent", page: &page, typed: &typed, token: PAGE, rows: &rows, done }).await;

    // Whoever signs out here lets somebody else decide; where the app's request is not what comes back, that goes nowhere but to the own page.
    let mut leaving = signed_in(judge, "rosa").await;
    let page = leaving.get(&asks("launch/patient patient/Patient.r")).await;
    let rows: [Row; 1] = [("return_to", DONE_ONCE, DONE_ONCE)];
    let sheet = Sheet { path: "/logout", page: &page, typed: &[], token: OUTDATED, rows: &rows, done: OWN_PAGE };
    judge.form(&mut leaving, sheet).await;
    assert_eq!(leaving.get("/me").await.status, 303, "signed out");

    let mut maria = signed_in(judge, "maria").await;
    let page = maria.get(&asks("launch/patient launch/encounter patient/Encounter.rs")).await;
    let rows: [Row; 3] =
        [("request", PAGE, PAGE), ("encounter", (200, "Which visit"), TO_THE_APP), ("decision", TO_THE_APP, TO_THE_APP)];
    let typed = [("encounter", "visit-maria-1"), ("decision", "continue")];
    let done = (200, "value=\"allow\"");
    judge.form(&mut maria, Sheet { path: "/consent", page: &page, typed: &typed, token: PAGE, rows: &rows, done }).await;
}

/// Amy, with charts, and in an emergency.
pub async fn clinicians(judge: &mut Judge<'_>) {
    emergencies::happen(judge.hospital).await;
    let mut amy = signed_in(judge, "amy").await;
    let page = amy.get("/ehr").await;
    let list = (200, "Whose chart do you want to open?");
    let rows: [Row; 5] = [
        ("patient", list, NO_CHART),
        ("name", DONE, DONE),
        ("page", DONE, DONE),
        ("page_name", DONE, DONE),
        ("decision", DONE, DONE),
    ];
    let typed = [("patient", "maria"), ("decision", "continue")];
    let done = (200, "id=\"visits\"");
    let page = judge.form(&mut amy, Sheet { path: "/ehr", page: &page, typed: &typed, token: OUTDATED, rows: &rows, done }).await;
    let (_, hidden) = fields(&page, "/ehr");
    assert!(hidden.iter().any(|(name, value)| name == "patient" && value == "maria"));
    let app = page.text().split("name=\"app\" value=\"").nth(1).and_then(|rest| rest.split('"').next()).unwrap().to_owned();
    let rows: [Row; 3] = [("patient", list, NO_CHART), ("encounter", DONE, NO_CHART), ("app", (200, "id=\"visits\""), NO_CHART)];
    let typed = [("encounter", "visit-maria-1"), ("app", app.as_str())];
    let done = (303, "https://127.0.0.1:9/launch?iss=");
    judge.form(&mut amy, Sheet { path: "/ehr", page: &page, typed: &typed, token: OUTDATED, rows: &rows, done }).await;

    amy.add_authenticator().await;
    let page = amy.get("/break-glass").await;
    let (why, nobody) = ((422, "Say why, in 10 to 1000 characters."), (422, "No single record fits."));
    let again = (303, "/break-glass");
    let sheet =
        Sheet { path: "/break-glass", page: &page, typed: &[], token: OUTDATED, rows: &[("end", why, again)], done: again };
    let opened = page.text().split("name=\"end\" value=\"").nth(1).and_then(|rest| rest.split('"').next()).unwrap().to_owned();
    judge.form(&mut amy, Sheet { typed: &[("end", opened.as_str())], ..sheet }).await;
    let page = amy.get("/break-glass").await;
    let rows: [Row; 3] = [("who", nobody, nobody), ("born", nobody, nobody), ("reason", why, why)];
    let typed = [("who", "Theo Lopez"), ("born", "2014-10-19"), ("reason", "Unconscious after a fall.")];
    judge
        .form(&mut amy, Sheet { path: "/break-glass", page: &page, typed: &typed, token: OUTDATED, rows: &rows, done: again })
        .await;
}

/// Sam, who decides about changes and ends what somebody opened.
pub async fn officers(judge: &mut Judge<'_>) {
    let mut sam = signed_in(judge, "sam").await;
    sam.add_authenticator().await;
    let page = sam.get("/security").await;
    let (shown, again) = ((200, "What you should look at"), (303, "/security"));
    let rows: [Row; 3] =
        [("change", NOT_APPROVED, NOT_APPROVED), ("digest", NOT_APPROVED, NOT_APPROVED), ("decision", shown, shown)];
    let typed = [("decision", "approve")];
    judge
        .form(&mut sam, Sheet { path: "/security", page: &page, typed: &typed, token: OUTDATED, rows: &rows, done: again })
        .await;
    // What is left on the page: the other change, then what Amy opened.
    let page = sam.get("/security").await;
    let typed = [("decision", "refuse")];
    let rows: [Row; 3] = [("change", NOT_APPROVED, NOT_APPROVED), ("digest", DONE_ONCE, DONE_ONCE), ("decision", shown, shown)];
    judge
        .form(&mut sam, Sheet { path: "/security", page: &page, typed: &typed, token: OUTDATED, rows: &rows, done: again })
        .await;
    let page = sam.get("/security").await;
    let opened = page.text().split("name=\"end\" value=\"").nth(1).and_then(|rest| rest.split('"').next()).unwrap().to_owned();
    let rows: [Row; 1] = [("end", shown, shown)];
    let typed = [("end", opened.as_str())];
    judge
        .form(&mut sam, Sheet { path: "/security", page: &page, typed: &typed, token: OUTDATED, rows: &rows, done: again })
        .await;
}

/// Dana, who registers an app, changes it and removes it.
pub async fn developers(judge: &mut Judge<'_>) {
    let mut dana = signed_in(judge, "dana").await;
    let rows: [Row; 7] = [
        ("client_name", (400, "Type a name."), (400, "The app is not registered yet.")),
        ("redirect_uris", (400, "Type at least one redirect URI"), (400, "cannot be used")),
        ("comes_back_here", DONE_ONCE, DONE_ONCE),
        ("kind", (400, "Choose one of the three kinds."), (400, "Choose one of the three kinds.")),
        ("jwks", DONE_ONCE, DONE_ONCE),
        ("jwks_uri", DONE_ONCE, DONE_ONCE),
        ("scope", (400, "Type the scopes that the app may ask for"), (400, "is no scope that this server knows.")),
    ];
    let typed = [
        ("client_name", "Knee pain diary"),
        ("redirect_uris", "https://diary.example/callback"),
        ("kind", "confidential-symmetric"),
        ("scope", "launch/patient patient/*.rs"),
    ];
    let page = dana.get("/developers/new").await;
    let done = (200, "Knee pain diary");
    let sheet = Sheet { path: "/developers/new", page: &page, typed: &typed, token: OUTDATED, rows: &rows, done };
    judge.form(&mut dana, sheet).await;
    let list = dana.get("/developers").await.text();
    let client = list.split("href=\"/developers/clients/").nth(1).and_then(|rest| rest.split('"').next()).unwrap();
    let client = format!("/developers/clients/{client}");
    let (edit, secret, remove) = (format!("{client}/edit"), format!("{client}/secret"), format!("{client}/remove"));
    let page = dana.get(&edit).await;
    let mut rows = rows;
    rows[0].2 = (400, "Nothing was changed yet.");
    // There is no limit for changes.
    for place in [2, 4, 5] {
        rows[place] = (rows[place].0, DONE, DONE);
    }
    let led: &'static str = Box::leak(client.clone().into_boxed_str());
    judge
        .form(&mut dana, Sheet { path: &edit, page: &page, typed: &typed, token: OUTDATED, rows: &rows, done: (303, led) })
        .await;
    let page = dana.get(&client).await;
    judge.form(&mut dana, Sheet { path: &secret, page: &page, typed: &[], token: OUTDATED, rows: &[], done }).await;
    let done = (303, "/developers");
    judge.form(&mut dana, Sheet { path: &remove, page: &page, typed: &[], token: OUTDATED, rows: &[], done }).await;
}
