//! What every page keeps to, whatever it shows: escaping, size, no inline code, form tokens, headings.

use super::*;
use crate::ui::{Language, Reader, field};

const HOSTILE: &str = "<script>alert(1)</script>\"'&";

/// Every page and its important states, with the given text wherever a text goes.
fn all_pages(reader: &Reader, text: &str) -> Vec<(&'static str, String)> {
    let linked =
        LinkedAccount { provider: text.to_owned(), issuer: text.to_owned(), subject: text.to_owned(), since: text.to_owned() };
    let button = ProviderButton { name: text.to_owned(), href: text.to_owned() };
    let federation =
        FederationPage { reader: reader.clone(), linked: vec![linked], providers: vec![button], csrf: text.to_owned() };
    let mut pages = vec![("signed_out", SignedOutPage { reader: reader.clone() }.render()), ("federation", federation.render())];
    pages.extend(start_pages(reader, text));
    pages.extend(login_pages(reader, text));
    pages.extend(account_pages(reader, text));
    pages.extend(consent_pages(reader, text));
    pages.extend(launch_pages(reader, text));
    pages.extend(person_pages(reader, text));
    pages.extend(developers::pages(reader, text));
    pages.extend(security::pages(reader, text));
    pages.extend(own_consents::pages(reader, text));
    let text = || text.to_owned();
    let error = ErrorPage {
        reader: reader.clone(),
        title: text(),
        what_happened: text(),
        what_it_means: text(),
        what_to_do: text(),
        status: 400,
    };
    pages.push(("error", error.render()));
    let going_back = GoingBackPage {
        reader: reader.clone(),
        problem: text(),
        host: text(),
        scheme: None,
        has_lookalike_host: true,
        location: format!("https://app.example/{}", text()),
    };
    let device = GoingBackPage { scheme: Some(text()), has_lookalike_host: false, ..going_back.clone() };
    pages.extend([("going_back", going_back.render()), ("going_back_device", device.render())]);
    for (name, app_url) in [("docs", Some(text())), ("docs_without_demo", None)] {
        let docs = DocsPage { reader: reader.clone(), fhir_base: text(), issuer: text(), is_demo: app_url.is_some(), app_url };
        pages.push((name, docs.render()));
    }
    pages
}

fn start_pages(reader: &Reader, text: &str) -> Vec<(&'static str, String)> {
    let text = || text.to_owned();
    let names = vec![SignInName { username: text(), what: text() }];
    let demo = StartPage {
        reader: reader.clone(),
        version: text(),
        fhir_base: text(),
        is_demo: true,
        app_url: Some(text()),
        sign_in_names: names,
    };
    let plain = StartPage { is_demo: false, app_url: None, sign_in_names: Vec::new(), ..demo.clone() };
    vec![("start", demo.render()), ("start_plain", plain.render())]
}

fn login_pages(reader: &Reader, text: &str) -> Vec<(&'static str, String)> {
    let form = passkey_form(text);
    let text = || text.to_owned();
    let page = LoginPage {
        reader: reader.clone(),
        app_name: Some(text()),
        csrf: text(),
        return_to: text(),
        username: text(),
        again: false,
        passkey: form,
        providers: vec![super::ProviderButton { name: text(), href: text() }],
        forgotten: true,
        error: None,
    };
    let again = LoginPage { again: true, app_name: None, error: Some(LoginError::Locked), ..page.clone() };
    let passkey = LoginPage { error: Some(LoginError::UnknownPasskey), ..page.clone() };
    let wrong = LoginPage { error: Some(LoginError::WrongCredentials), ..page.clone() };
    let locked =
        LoginPage { reader: reader.clone(), error: Some(LoginError::Wait { minutes: 15 }), app_name: None, ..page.clone() };
    let expired = LoginPage { error: Some(LoginError::ExpiredForm), username: String::new(), ..page.clone() };
    let another = LoginPage { error: Some(LoginError::AnotherAccount), ..page.clone() };
    vec![
        ("login", page.render()),
        ("login_wrong", wrong.render()),
        ("login_locked", locked.render()),
        ("login_expired", expired.render()),
        ("login_again", again.render()),
        ("login_passkey", passkey.render()),
        ("login_another", another.render()),
    ]
}

fn passkey_form(text: &str) -> PasskeyForm {
    let text = || text.to_owned();
    PasskeyForm { csrf: text(), challenge: text(), relying_party: text(), return_to: text() }
}

fn account_pages(reader: &Reader, text: &str) -> Vec<(&'static str, String)> {
    let (words, text) = (text, || text.to_owned());
    let second = SecondFactorPage {
        reader: reader.clone(),
        csrf: text(),
        pending: text(),
        return_to: text(),
        has_app: true,
        has_recovery_codes: true,
        in_session: false,
        passkey: Some(passkey_form(words)),
        error: Some(SecondFactorError::WrongCode),
    };
    let wait = SecondFactorPage {
        reader: reader.clone(),
        passkey: None,
        error: Some(SecondFactorError::Wait { minutes: 2 }),
        ..second.clone()
    };
    let keys = SecondFactorPage { has_app: false, has_recovery_codes: false, in_session: true, error: None, ..second.clone() };
    let app = AuthenticatorPage {
        reader: reader.clone(),
        person_name: text(),
        sign_out_csrf: text(),
        csrf: text(),
        secret: text(),
        spaced_secret: text(),
        proof: text(),
        picture: Some(QrPicture { width: 1, path: text() }),
        uri: text(),
        replaces: false,
        is_wrong: false,
    };
    let wrong = AuthenticatorPage { replaces: true, is_wrong: true, picture: None, ..app.clone() };
    let codes = RecoveryCodesPage { reader: reader.clone(), person_name: text(), sign_out_csrf: text(), codes: vec![text()] };
    let passkey = NewPasskeyPage {
        reader: reader.clone(),
        person_name: text(),
        sign_out_csrf: text(),
        csrf: text(),
        challenge: text(),
        relying_party: text(),
        user_handle: text(),
        username: text(),
        known: text(),
        problem: Some(text()),
    };
    let link = NewPasswordPage {
        reader: reader.clone(),
        username: text(),
        csrf: text(),
        link: Some(text()),
        sign_out_csrf: None,
        problem: Some(text()),
    };
    let mail = MailAddressPage {
        reader: reader.clone(),
        person_name: text(),
        sign_out_csrf: text(),
        csrf: text(),
        current: Some(text()),
        waiting: None,
        problem: Some(text()),
    };
    let waiting = MailConfirmation { address: text(), made_at: text() };
    let code = MailAddressPage { waiting: Some(waiting), problem: None, ..mail.clone() };
    let no_mail = MailAddressPage { current: None, problem: None, ..mail.clone() };
    let own = NewPasswordPage { link: None, sign_out_csrf: Some(text()), problem: None, ..link.clone() };
    vec![
        ("second", second.render()),
        ("second_wait", wait.render()),
        ("second_passkey", keys.render()),
        ("authenticator", app.render()),
        ("authenticator_wrong", wrong.render()),
        ("recovery_codes", codes.render()),
        ("new_passkey", passkey.render()),
        ("password_link", link.render()),
        ("password_own", own.render()),
        ("mail", mail.render()),
        ("mail_code", code.render()),
        ("mail_first", no_mail.render()),
    ]
}

fn line(text: &str) -> ConsentLine {
    ConsentLine {
        scope: text.to_owned(),
        words: text.to_owned(),
        checked: true,
        sensitive: false,
        required: false,
        is_new: false,
        had_before: false,
        covers_future: false,
        parts: vec![super::ConsentPart { scope: text.to_owned(), words: text.to_owned() }],
    }
}

/// Whatever an app can say of itself.
fn asking(text: &str) -> AskingApp {
    let link = || Some(OutsideLink { url: format!("https://app.example/{text}"), host: text.to_owned() });
    AskingApp {
        name: text.to_owned(),
        logo: Some("/static/logo-0123456789abcdef.png".to_owned()),
        redirect_host: text.to_owned(),
        has_lookalike_host: true,
        registered_itself: true,
        site: link(),
        policy: link(),
        terms: link(),
        ..AskingApp::default()
    }
}

fn consent(reader: &Reader, text: &str) -> ConsentPage {
    let plain = line(text);
    let sensitive = ConsentLine { sensitive: true, checked: false, ..plain.clone() };
    let required = ConsentLine { required: true, is_new: true, ..plain.clone() };
    let text = || text.to_owned();
    ConsentPage {
        reader: reader.clone(),
        app: asking(&text()),
        patient_name: Some(text()),
        person_name: text(),
        groups: vec![
            ConsentGroup { title: text(), lines: vec![required] },
            ConsentGroup { title: text(), lines: vec![plain, sensitive] },
        ],
        may_write: false,
        csrf: text(),
        request_handle: text(),
        left_out: vec![text()],
        reaches_others: false,
        may_last: true,
        may_last_online: true,
        return_to: text(),
    }
}

fn consent_pages(reader: &Reader, text: &str) -> Vec<(&'static str, String)> {
    let page = consent(reader, text);
    let user = ConsentPage { patient_name: None, may_write: true, ..page.clone() };
    let text = || text.to_owned();
    let people = vec![PatientChoice { id: text(), name: Some(text()), birth_date: text() }];
    let picker = PatientPickerPage {
        reader: reader.clone(),
        app_name: text(),
        person_name: text(),
        can_search: true,
        name: text(),
        people,
        next: Some(text()),
        csrf: text(),
        request_handle: text(),
        return_to: text(),
    };
    let nobody = PatientPickerPage { people: Vec::new(), can_search: false, next: None, ..picker.clone() };
    let nobody_fits = PatientPickerPage { can_search: true, ..nobody.clone() };
    vec![
        ("consent", page.render()),
        ("consent_user", user.render()),
        ("picker", picker.render()),
        ("picker_nobody", nobody.render()),
        ("picker_nobody_fits", nobody_fits.render()),
    ]
}

fn visit(text: &str) -> EncounterChoice {
    let text = || text.to_owned();
    EncounterChoice { id: text(), what: VisitKind::Told(text()), why: text(), when: text() }
}

fn launch_pages(reader: &Reader, text: &str) -> Vec<(&'static str, String)> {
    let visits = vec![visit(text)];
    let text = || text.to_owned();
    let patient = PatientChoice { id: text(), name: Some(text()), birth_date: text() };
    let picker = EncounterPickerPage {
        reader: reader.clone(),
        app_name: text(),
        person_name: text(),
        patient_name: text(),
        encounters: visits.clone(),
        next: Some(text()),
        csrf: text(),
        request_handle: text(),
        return_to: text(),
    };
    let none = EncounterPickerPage { encounters: Vec::new(), next: None, ..picker.clone() };
    let list = ChartListPage {
        reader: reader.clone(),
        person_name: text(),
        may_break_glass: true,
        can_search: true,
        name: text(),
        people: vec![patient.clone()],
        next: Some(text()),
        csrf: text(),
        sign_out_csrf: text(),
    };
    let nobody = ChartListPage { people: Vec::new(), can_search: false, next: None, ..list.clone() };
    let app = LaunchableApp { value: text(), name: text(), host: text() };
    let chart = ChartPage {
        reader: reader.clone(),
        person_name: text(),
        patient,
        encounters: visits,
        apps: vec![app],
        csrf: text(),
        sign_out_csrf: text(),
    };
    let bare = ChartPage { encounters: Vec::new(), apps: Vec::new(), ..chart.clone() };
    vec![
        ("encounters", picker.render()),
        ("encounters_none", none.render()),
        ("charts", list.render()),
        ("charts_nobody", nobody.render()),
        ("chart", chart.render()),
        ("chart_bare", bare.render()),
    ]
}

fn person_pages(reader: &Reader, text: &str) -> Vec<(&'static str, String)> {
    let text = || text.to_owned();
    let app = ConnectedApp {
        grant_id: text(),
        app_name: text(),
        patient_name: Some(text()),
        lines: vec![text()],
        since: text(),
        last_used: Some(text()),
        ends: Some(text()),
        is_online: true,
    };
    let never = ConnectedApp { last_used: None, patient_name: None, ends: None, ..app.clone() };
    let session = SessionLine {
        handle: text(),
        browser: text(),
        network: text(),
        how: reader.say("Signed in with a password", "Sesión iniciada con contraseña"),
        since: text(),
        last_used: text(),
        is_here: true,
        recovered_by: Some(text()),
    };
    let elsewhere = SessionLine { is_here: false, ..session.clone() };
    let passkey = PasskeyLine { handle: text(), name: text(), since: text(), last_used: None, is_copied: true };
    let account = PersonAccount {
        recovered_by: None,
        sessions: vec![session, elsewhere],
        has_password: true,
        totp_since: Some(text()),
        passkeys: vec![passkey],
        recovery_codes: 1,
        has_mail: true,
        mail_address: Some(text()),
        may_link: true,
    };
    let recovered = PersonAccount { recovered_by: Some(text()), ..account.clone() };
    let look = Look { who: text(), what: text(), when: text() };
    let page = PersonPage {
        reader: reader.clone(),
        person_name: text(),
        notice: Some(text()),
        apps: vec![app, never],
        reach: vec![Reach { who: text(), why: text() }],
        looks: vec![look],
        has_record: true,
        is_officer: true,
        account,
        csrf: text(),
        sign_out_csrf: text(),
    };
    let back = PersonPage { account: recovered, apps: Vec::new(), ..page.clone() };
    let empty =
        PersonPage { account: PersonAccount::default(), notice: None, apps: Vec::new(), looks: Vec::new(), ..page.clone() };
    vec![("person", page.render()), ("person_empty", empty.render()), ("person_recovered", back.render())]
}

/// A page without the one script that it may run: ours, by its address.
fn without_own_script(html: &str) -> String {
    html.replace(&format!("<script src=\"{}\" defer></script>", crate::ui::assets::url("passkey.js")), "")
}

/// The opening tags of a page: its name and the rest.
fn tags(html: &str) -> Vec<(&str, &str)> {
    html.split('<')
        .skip(1)
        .filter(|piece| !piece.starts_with(['/', '!']))
        .map(|piece| {
            let tag = piece.split('>').next().unwrap();
            tag.split_once(|c: char| c.is_whitespace()).unwrap_or((tag, ""))
        })
        .collect()
}

/// The forms of a page, from `<form` to `</form>`.
fn forms(html: &str) -> Vec<&str> {
    html.split("<form").skip(1).map(|rest| rest.split("</form>").next().unwrap()).collect()
}

#[test]
fn every_value_is_escaped() {
    for (name, html) in all_pages(&Reader::default(), HOSTILE) {
        assert!(!without_own_script(&html).contains("<script"), "{name}");
        assert!(!html.contains("\"'&"), "{name} shows a quotation mark as written");
        if name != "signed_out" {
            assert!(html.contains("alert(1)"), "{name} shows the values at all");
        }
    }
}

#[test]
fn no_page_has_inline_code_or_style() {
    for (name, html) in all_pages(&Reader::default(), "plain") {
        for (tag, attributes) in tags(&without_own_script(&html)) {
            assert!(!["script", "style", "iframe", "object", "base"].contains(&tag), "{name}: <{tag}>");
            for attribute in attributes.split_whitespace() {
                assert!(!attribute.starts_with("style="), "{name}: <{tag} {attributes}>");
                assert!(!(attribute.starts_with("on") && attribute.contains('=')), "{name}: <{tag} {attributes}>");
            }
            assert!(!attributes.contains("javascript:"), "{name}: <{tag} {attributes}>");
        }
    }
}

#[test]
fn every_page_is_smaller_than_30_kilobytes() {
    let words = "Your test results, vital signs and answers to health questions";
    for language in Language::ALL {
        for (name, html) in all_pages(&Reader::of(language), words) {
            assert!(html.len() < 30_000, "{name} has {} bytes", html.len());
        }
    }
    let wide = ConsentPage {
        // Two types have parts.
        groups: (0..9)
            .map(|group| {
                let plain = || ConsentLine { parts: Vec::new(), ..line(words) };
                let lines = if group == 0 { vec![line(words), line(words), plain(), plain(), plain()] } else { vec![plain(); 5] };
                ConsentGroup { title: words.to_owned(), lines }
            })
            .collect(),
        ..consent(&Reader::default(), words)
    };
    assert!(wide.render().len() < 30_000, "a consent page with 45 lines has {} bytes", wide.render().len());
}

#[test]
fn every_form_posts_to_this_server_and_has_its_token() {
    let mut count = 0;
    for (name, html) in all_pages(&Reader::default(), "plain") {
        // What an app sends to the token endpoint, a try sends as an app does.
        for form in forms(&html).into_iter().filter(|form| !form.contains(" action=\"/oauth/token\"")) {
            assert!(form.contains(" method=\"post\" action=\"/"), "{name}");
            assert!(form.contains(&format!("type=\"hidden\" name=\"{}\" value=\"plain\"", field::CSRF)), "{name}");
            count += 1;
        }
    }
    let developers = 1 + 2 * 2 + 3;
    let (emergencies, rules) = (5 * 2 + 2 * 3 + 4 + 1 + 3, 3 + 1 + 1 + 1);
    let account = 8 + 4 + 2 * 2 + 1 + 2 + 3 + 8 + 3 * 2;
    assert_eq!(
        count,
        4 + 2 * 2 + 3 * 2 + 7 * 2 + 3 + 1 + 1 + account + developers + emergencies + rules,
        "login, consent, picker, visits and charts, person with two apps, person without, accounts elsewhere, and how people sign in and get mail"
    );
}

#[test]
fn headings_start_with_one_h1_and_skip_no_level() {
    for (name, html) in all_pages(&Reader::default(), "plain") {
        let levels: Vec<u8> = tags(&html).iter().filter_map(|(tag, _)| tag.strip_prefix('h')?.parse().ok()).collect();
        assert_eq!(levels.first(), Some(&1), "{name}: {levels:?}");
        assert_eq!(levels.iter().filter(|level| **level == 1).count(), 1, "{name}: {levels:?}");
        assert!(levels.windows(2).all(|pair| pair[1] <= pair[0] + 1), "{name}: {levels:?}");
    }
}

#[test]
fn every_page_has_language_landmarks_title_and_a_skip_link() {
    for (name, html) in all_pages(&Reader::default(), "plain") {
        for needed in ["<html lang=\"en\">", "<main id=\"main\"", "<header", "<footer", "href=\"#main\"", "<title>"] {
            assert!(html.contains(needed), "{name} has no {needed}");
        }
    }
}

#[test]
fn every_input_has_a_label_and_every_id_is_used_once() {
    for (name, html) in all_pages(&Reader::default(), "plain") {
        let ids: Vec<&str> = html.split(" id=\"").skip(1).map(|rest| rest.split('"').next().unwrap()).collect();
        let unique: std::collections::BTreeSet<&&str> = ids.iter().collect();
        assert_eq!(unique.len(), ids.len(), "{name}: {ids:?}");
        for (tag, attributes) in tags(&html) {
            if tag == "input" && !attributes.contains("type=\"hidden\"") {
                let id = attributes.split("id=\"").nth(1).unwrap().split('"').next().unwrap();
                assert!(html.contains(&format!("for=\"{id}\"")), "{name}: no label for {id}");
            }
        }
    }
}

#[test]
fn a_failed_sign_in_does_not_say_which_of_the_two_was_wrong_and_keeps_no_password() {
    let pages = login_pages(&Reader::default(), "ana");
    let (_, html) = &pages[1];
    assert!(html.contains("This username and password do not match"));
    assert!(
        html.contains("value=\"ana\"")
            && !html.split("type=\"password\"").nth(1).unwrap().split('>').next().unwrap().contains("value=")
    );
    assert!(html.contains("<title>Error: "));
    assert!(pages[2].1.contains("15 minutes"));
}

#[test]
fn the_person_page_does_not_claim_that_nobody_looked() {
    let (_, empty) = &person_pages(&Reader::default(), "plain")[1];
    assert!(!empty.contains("Nobody") && empty.contains("No recent request") && empty.contains("You have allowed no app"));
}

/// Writes the pages to the directory that `PORTCULLIS_PAGES` names, to be looked at in a browser.
#[test]
#[ignore = "writes files, for a look in a browser"]
fn write_the_pages_for_a_look() {
    let directory = std::path::PathBuf::from(std::env::var_os("PORTCULLIS_PAGES").unwrap());
    std::fs::create_dir_all(directory.join("static")).unwrap();
    for name in ["style.css", "mark.svg", "favicon.svg"] {
        std::fs::write(directory.join("static").join(name), crate::ui::assets::find(name).unwrap().1).unwrap();
    }
    for (name, html) in sample::pages() {
        std::fs::write(directory.join(format!("{name}.html")), html).unwrap();
    }
}

mod consent_screen;
mod developers;
mod languages;
mod own_consents;
mod sample;
mod security;
