//! The developer's pages in their important states.

use super::*;

pub(super) fn pages(reader: &Reader, text: &str) -> Vec<(&'static str, String)> {
    let text = || text.to_owned();
    let own = OwnSandboxClient {
        name: text(),
        client_id: text(),
        href: "/developers/clients/a1".into(),
        kind: reader.say("Public: keeps no secret", "Pública: no guarda ningún secreto"),
        refusals: 3,
    };
    let list = DevelopersPage {
        reader: reader.clone(),
        person_name: text(),
        sign_out_csrf: text(),
        clients: vec![OwnSandboxClient { refusals: 0, ..own.clone() }, own],
        may_register: false,
        limit: 2,
        anybody_may_connect: false,
    };
    let problems = SandboxProblems {
        name: Some(text()),
        redirect_uris: Some(text()),
        kind: Some(text()),
        jwks: Some(text()),
        jwks_uri: Some(text()),
        scope: Some(text()),
        whole: Some(text()),
    };
    let form = SandboxFormPage {
        reader: reader.clone(),
        person_name: text(),
        sign_out_csrf: text(),
        csrf: text(),
        action: "/developers/new".into(),
        back: "/developers".into(),
        is_new: true,
        name: text(),
        redirect_uris: text(),
        comes_back_here: true,
        callback: text(),
        kind: "public".into(),
        jwks: text(),
        jwks_uri: text(),
        scope: text(),
        problems: SandboxProblems::default(),
    };
    let refused = SandboxFormPage { is_new: false, problems, ..form.clone() };
    vec![
        ("developers", list.render()),
        ("sandbox_form", form.render()),
        ("sandbox_form_refused", refused.render()),
        ("sandbox_client", client(reader, text())),
        ("sandbox_callback", callback(reader, text())),
    ]
}

fn client(reader: &Reader, text: String) -> String {
    let text = || text.clone();
    let refusal = SandboxRefusalLine { when: text(), times: 2, endpoint: text(), code: text(), wrong: text(), remedy: text() };
    let one = SandboxTry { redirect_uri: text(), href: "/oauth/authorize?a=b".into(), url: text(), comes_back_here: true };
    SandboxClientPage {
        reader: reader.clone(),
        person_name: text(),
        sign_out_csrf: text(),
        csrf: text(),
        href: "/developers/clients/a1".into(),
        name: text(),
        client_id: text(),
        kind: reader.say("Confidential: keeps a secret", "Confidencial: guarda un secreto"),
        has_secret: true,
        secret: Some(text()),
        redirect_uris: vec![text()],
        scope: text(),
        anybody_may_connect: false,
        fhir_base: text(),
        issuer: text(),
        authorization_endpoint: text(),
        token_endpoint: text(),
        tries: vec![one.clone(), SandboxTry { comes_back_here: false, ..one }],
        curl: text(),
        refusals: vec![refusal; 25],
    }
    .render()
}

fn callback(reader: &Reader, text: String) -> String {
    let text = || text.clone();
    SandboxCallbackPage {
        reader: reader.clone(),
        client_name: text(),
        href: "/developers/clients/a1".into(),
        client_id: text(),
        is_public: true,
        error: Some(text()),
        error_description: Some(text()),
        code: Some(text()),
        state: text(),
        issuer: Some(text()),
        issuer_is_ours: true,
        redirect_uri: text(),
        verifier: text(),
        curl: text(),
    }
    .render()
}
