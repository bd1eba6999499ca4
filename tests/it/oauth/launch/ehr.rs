//! EHR launch: the EHR makes a launch, the app brings it, and whoever consents must be able to see what it names.

use portcullis_audit::record::{Event, Outcome};
use portcullis_oauth::launch::LAUNCH_LIFETIME_SECONDS;
use portcullis_testkit::app::{cookie, hidden};
use portcullis_testkit::resources::encounter;
use portcullis_testkit::server::PASSWORD;
use portcullis_testkit::{App, Reply};
use portcullis_verifies::verifies;
use serde_json::json;

use super::{Ehr, LAUNCH_URL, opened, send, told};

const EHR_SCOPE: &str = "launch openid patient/*.rs";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_launch_that_does_not_count_is_refused_by_name() {
    verifies!("SMART-13");
    let ehr = Ehr::start().await;
    let come = async |handle: &str, username: &str| told(&ehr.come(EHR_SCOPE, handle, username).await.page);
    let get = async |app: &App, handle: &str| {
        let query = format!("{}&launch={handle}", app.authorization_query(EHR_SCOPE));
        told(&app.client.get(&format!("/oauth/authorize?{query}")).send().await)
    };
    let invalid = |what: &str| ("invalid_request".to_owned(), format!("launch {what}; open the app from the EHR again"));
    assert_eq!(get(&ehr.app, "guessed").await, invalid("is not known"));

    let other = ehr.world.server.add_app("other", super::SCOPE, false).await;
    let handle = ehr.handle(&[("patient", "ann")]).await;
    assert_eq!(get(&other, &handle).await, invalid("is not known"), "a launch for another app");

    let whos = ehr.handle(&[("patient", "ann"), ("user", "who")]).await;
    assert_eq!(come(&whos, "nurse").await, ("access_denied".to_owned(), "launch was made for another person".to_owned()));

    assert_eq!(ehr.tokens(EHR_SCOPE, &handle, "who").await["patient"], "ann");
    assert_eq!(get(&ehr.app, &handle).await, invalid("was used before"));
    assert_eq!(get(&other, &handle).await, invalid("is not known"), "a used launch of another app");

    ehr.world.server.clock.advance_seconds(LAUNCH_LIFETIME_SECONDS);
    assert_eq!(get(&ehr.app, &whos).await, invalid("has expired"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_hidden_context_and_an_absent_one_are_answered_alike() {
    let ehr = Ehr::start().await;
    ehr.world.server.import(&[encounter("enc-ann-2", "ann", "other", "elsewhere")]).await;
    let report = |id: &str| json!([{"reference": format!("Observation/{id}")}]).to_string();
    let (hidden, absent) = (report("obs-bob-1"), report("nothing"));
    let denied = ("access_denied".to_owned(), "this person may not open that record".to_owned());
    for fields in [
        &[("patient", "bob")][..],
        &[("patient", "nobody")],
        // A visit of another patient, and none.
        &[("patient", "ann"), ("encounter", "enc-bob")],
        &[("patient", "ann"), ("encounter", "nothing")],
        &[("patient", "ann"), ("fhirContext", &hidden)],
        &[("patient", "ann"), ("fhirContext", &absent)],
    ] {
        let handle = ehr.handle(fields).await;
        let at = ehr.come(EHR_SCOPE, &handle, "who").await;
        assert_eq!(told(&at.page), denied, "{fields:?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_visit_of_another_patient_is_no_context_even_for_whoever_treats_both() {
    let ehr = Ehr::start().await;
    ehr.world.server.import(&[encounter("enc-bob-who", "bob", "who", "hospital")]).await;
    let denied = ("access_denied".to_owned(), "this person may not open that record".to_owned());
    let come = async |patient: &str, visit: &str| {
        let handle = ehr.handle(&[("patient", patient), ("encounter", visit)]).await;
        ehr.come(EHR_SCOPE, &handle, "who").await
    };
    assert_eq!(told(&come("ann", "enc-bob-who").await.page), denied);
    assert_eq!(come("bob", "enc-bob-who").await.page.status, 200, "the clinician may see both");
    // Nor by choice, whatever the form says.
    let scope = "launch/patient launch/encounter patient/*.rs";
    let query = ehr.app.authorization_query(scope);
    let at = ehr.app.sign_in(&query, "who", PASSWORD).await;
    let csrf = hidden(&at.page, "csrf");
    for (decision, chosen) in [("continue", "ann"), ("allow", "ann/enc-bob-who")] {
        let request = format!("{chosen}\n{query}");
        let fields = [("csrf", csrf.as_str()), ("request", &request), ("encounter", "enc-bob-who"), ("decision", decision)];
        let fields = [&fields[..], &[("scope", "patient/*.rs")]].concat();
        let reply = ehr.app.client.post("/consent").header("cookie", &at.cookies).form(&fields).send().await;
        assert_eq!(told(&reply), denied, "{decision}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_form_carries_changes_no_context_of_a_launch() {
    let ehr = Ehr::start().await;
    let handle = ehr.handle(&[("patient", "ann")]).await;
    let query = ehr.query(EHR_SCOPE, &handle);
    let at = ehr.app.sign_in(&query, "who", PASSWORD).await;
    let csrf = hidden(&at.page, "csrf");
    for chosen in ["bob", "bob/enc-bob", "/enc-ann"] {
        let request = format!("{chosen}\n{query}");
        let fields = [("csrf", csrf.as_str()), ("request", &request), ("scope", "patient/*.rs"), ("decision", "continue")];
        let page = ehr.app.client.post("/consent").header("cookie", &at.cookies).form(&fields).send().await;
        assert!(page.text().contains("Test Ann") && !page.text().contains("Test Bob"), "{chosen}: {}", page.text());
    }
    let request = format!("bob/enc-bob\n{query}");
    let fields = [("csrf", csrf.as_str()), ("request", &request), ("scope", "patient/*.rs"), ("decision", "allow")];
    let back = ehr.app.client.post("/consent").header("cookie", &at.cookies).form(&fields).send().await;
    let tokens = ehr.app.exchange(&portcullis_testkit::app::query_value(&back, "code").unwrap()).await.json();
    assert_eq!((&tokens["patient"], tokens.get("encounter")), (&json!("ann"), None), "{tokens}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_context_of_a_launch_comes_with_the_tokens_and_again_with_a_refresh() {
    verifies!("SMART-13", "SMART-32", "SMART-46", "SMART-47");
    let ehr = Ehr::start().await;
    let items = json!([{"reference": "Observation/obs-ann-1"}, {"canonical": "https://forms.example/q|2", "type": "Questionnaire", "role": "launch"},
        {"identifier": {"system": "urn:ward", "value": "7"}, "type": "Location"}]);
    let handle = ehr
        .handle(&[
            ("patient", "ann"),
            ("encounter", "enc-ann"),
            ("fhirContext", &items.to_string()),
            ("intent", "reconcile-medications"),
            ("tenant", "ward-7"),
            ("need_patient_banner", "false"),
            ("smart_style_url", "https://ehr.example/style.json"),
            ("user", "who"),
        ])
        .await;
    let tokens = ehr.tokens("launch openid fhirUser offline_access patient/*.rs", &handle, "who").await;
    let refreshed = ehr
        .app
        .token_request(&[("grant_type", "refresh_token"), ("refresh_token", tokens["refresh_token"].as_str().unwrap())])
        .await
        .json();
    for response in [&tokens, &refreshed] {
        assert_eq!(response["scope"], "launch openid fhirUser offline_access patient/*.rs");
        assert_eq!((&response["patient"], &response["encounter"]), (&json!("ann"), &json!("enc-ann")));
        assert_eq!(response["fhirContext"], items);
        assert_eq!((&response["intent"], &response["tenant"]), (&json!("reconcile-medications"), &json!("ward-7")));
        assert_eq!(response["need_patient_banner"], json!(false));
        assert_eq!(response["smart_style_url"], "https://ehr.example/style.json");
    }
    // The token opens the record in context, with the rights of the clinician.
    let read = async |path: &'static str| {
        let token = refreshed["access_token"].as_str().unwrap();
        ehr.world.server.client.get(path).bearer(token).send().await.status.as_u16()
    };
    assert_eq!((read("/fhir/Patient/ann").await, read("/fhir/Patient/bob").await), (200, 404));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_unsupported_launch_scope_does_not_keep_the_context_away() {
    verifies!("SMART-48");
    let ehr = Ehr::start().await;
    let items = json!([{"reference": "Observation/obs-ann-1", "role": "https://roles.example/trend"}]);
    let handle = ehr.handle(&[("patient", "ann"), ("fhirContext", &items.to_string())]).await;
    let scope = "launch launch/observation?role=https://roles.example/trend patient/*.rs";
    let tokens = ehr.tokens(scope, &handle, "who").await;
    assert_eq!((&tokens["fhirContext"], &tokens["scope"]), (&items, &json!("launch patient/*.rs")));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_launch_without_a_patient_leaves_the_choice_to_the_person() {
    let ehr = Ehr::start().await;
    let handle = ehr.handle(&[("intent", "new-patient")]).await;
    let tokens = ehr.tokens("launch openid user/*.rs", &handle, "who").await;
    assert_eq!((tokens.get("patient"), &tokens["intent"]), (None, &json!("new-patient")));
    assert_eq!(tokens.get("need_patient_banner"), None, "nobody's banner");
    let handle = ehr.handle(&[]).await;
    let tokens = ehr.tokens("launch launch/patient patient/*.rs", &handle, "who").await;
    assert_eq!(tokens["patient"], "ann", "the one patient in care");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_person_who_says_no_has_answered_the_launch() {
    let ehr = Ehr::start().await;
    let handle = ehr.handle(&[("patient", "ann")]).await;
    let at = ehr.come(EHR_SCOPE, &handle, "who").await;
    assert_eq!(told(&send(&ehr, &at, &[("decision", "deny")]).await).0, "access_denied");
    // What a form carries gets nobody into the record.
    let query = ehr.app.authorization_query("launch/patient patient/*.rs");
    let (csrf, refused) = (hidden(&at.page, "csrf"), "the person did not allow it");
    for chosen in ["bob", "ann", ""] {
        let request = format!("{chosen}\n{query}");
        let fields = [("csrf", csrf.as_str()), ("request", &request), ("decision", "deny")];
        let reply = ehr.app.client.post("/consent").header("cookie", &at.cookies).form(&fields).send().await;
        assert_eq!(told(&reply), ("access_denied".to_owned(), refused.to_owned()), "{chosen}");
    }
    let records = ehr.world.server.records();
    let denials = records.iter().filter(|record| record.detail.as_deref() == Some(refused));
    let named: Vec<Vec<String>> = denials
        .map(|record| record.operations.iter().flat_map(|operation| &operation.patients).map(ToString::to_string).collect())
        .collect();
    assert_eq!(named, [vec![], vec!["ann".to_owned()], vec![], vec!["ann".to_owned()]], "newest first");
    let again = send(&ehr, &at, &[("decision", "allow"), ("scope", "patient/*.rs")]).await;
    assert_eq!(told(&again).1, "launch was used before; open the app from the EHR again");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_no_of_somebody_else_leaves_the_launch_to_the_person_for_whom_it_was_made() {
    let ehr = Ehr::start().await;
    // One names its person, the other a patient whom Bob may not see.
    for (fields, other) in [(&[("patient", "ann"), ("user", "who")][..], "nurse"), (&[("patient", "ann")], "bob")] {
        let handle = ehr.handle(fields).await;
        let query = ehr.query(EHR_SCOPE, &handle);
        // Whoever holds the handle makes the form of a consent screen without having seen one.
        let at = ehr.app.sign_in(&ehr.app.authorization_query("openid fhirUser user/*.rs"), other, PASSWORD).await;
        let (csrf, request) = (hidden(&at.page, "csrf"), format!("ann\n{query}"));
        for decision in ["deny", "", "allow"] {
            let fields = [("csrf", csrf.as_str()), ("request", &request), ("decision", decision), ("scope", "patient/*.rs")];
            let reply = ehr.app.client.post("/consent").header("cookie", &at.cookies).form(&fields).send().await;
            assert_eq!(told(&reply).0, "access_denied", "{other} {decision}");
        }
        assert_eq!(ehr.tokens(EHR_SCOPE, &handle, "who").await["patient"], "ann", "{other} spent the launch");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_answers_to_one_launch_at_once_give_one_code() {
    let ehr = Ehr::start().await;
    let handle = ehr.handle(&[("patient", "ann")]).await;
    let at = ehr.come(EHR_SCOPE, &handle, "who").await;
    let allow = || send(&ehr, &at, &[("decision", "allow"), ("scope", "patient/*.rs")]);
    let (first, second) = tokio::join!(allow(), allow());
    let codes = [&first, &second].into_iter().filter(|reply| reply.header("location").contains("code=")).count();
    assert_eq!(codes, 1, "{} {}", first.header("location"), second.header("location"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn only_a_registered_launcher_makes_launches_and_every_bad_input_is_named() {
    verifies!("SMART-13");
    let ehr = Ehr::start().await;
    let error = |reply: &Reply| {
        let body = reply.json();
        let text = |name: &str| body[name].as_str().unwrap_or_default().to_owned();
        (reply.status.as_u16(), text("error"), text("error_description"))
    };
    let refused =
        async |app: &App| error(&app.token_request_to("/oauth/launch", &[("app", "launched"), ("patient", "ann")]).await);
    let confidential = ehr.world.server.add_app("confidential", "openid", true).await;
    let unauthorized = (400, "unauthorized_client".to_owned(), "this client is not registered as a launcher".to_owned());
    assert_eq!(refused(&confidential).await, unauthorized);
    assert_eq!(refused(&ehr.app).await, unauthorized, "a public client");
    let stranger = App { secret: Some("guessed".into()), ..ehr.ehr.clone() };
    assert_eq!(refused(&stranger).await.1, "invalid_client");
    for (fields, named) in [
        (&[("app", "nobody")][..], "app must be a client that has a launch URL"),
        (&[("app", "app")], "app must be a client that has a launch URL"),
        (&[("launch_url", "https://evil.example/")], "launch_url must be one that the app has registered"),
        (&[("user", "nobody")], "user must be the name"),
        (&[("encounter", "enc-ann")], "encounter needs patient"),
        (&[("patient", "../ann")], "patient must be the id of a Patient"),
        (&[("fhirContext", "[{}]")], "each item of fhirContext needs"),
        (&[("need_patient_banner", "1")], "need_patient_banner must be true or false"),
        (&[("smart_style_url", "javascript:alert(1)")], "smart_style_url must be an https URL"),
    ] {
        let fields = if fields[0].0 == "app" { fields.to_vec() } else { [&[("app", "launched")], fields].concat() };
        let (status, code, description) = error(&ehr.ehr.token_request_to("/oauth/launch", &fields).await);
        assert_eq!((status, code.as_str()), (400, "invalid_request"), "{fields:?}");
        assert!(description.contains(named), "{fields:?}: {description}");
    }
    let reply = ehr.ask(&[("patient", "ann")]).await;
    let (status, cache) = (reply.status.as_u16(), reply.header("cache-control").to_owned());
    let body = reply.json();
    let (target, issuer, handle) = opened(body["launch_url"].as_str().unwrap());
    assert_eq!((status, cache.as_str(), target.as_str()), (201, "no-store", LAUNCH_URL));
    assert_eq!((issuer.as_str(), json!(handle)), (ehr.world.server.fhir_base.as_str(), body["launch"].clone()));
    assert_eq!((handle.len(), &body["expires_in"]), (43, &json!(600)), "256 random bits");
}

/// A signed-in browser: its cookies.
async fn signed_in(ehr: &Ehr, username: &str) -> String {
    let client = &ehr.world.server.client;
    let login = client.get("/login?return_to=/ehr").send().await;
    let (bound, csrf) = (cookie(&login), hidden(&login, "csrf"));
    let fields = [("csrf", csrf.as_str()), ("return_to", "/ehr"), ("username", username), ("password", PASSWORD)];
    let reply = client.post("/login").header("cookie", &bound).form(&fields).send().await;
    assert_eq!((reply.status.as_u16(), reply.header("location")), (303, "/ehr"), "{}", reply.text());
    format!("{bound}; {}", cookie(&reply))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_clinician_opens_an_app_from_a_chart() {
    verifies!("SMART-13");
    let ehr = Ehr::start().await;
    let client = &ehr.world.server.client;
    let cookies = signed_in(&ehr, "who").await;
    let list = client.get("/ehr").header("cookie", &cookies).send().await;
    assert!(list.text().contains("Test Ann") && !list.text().contains("Test Bob"), "{}", list.text());
    let csrf = hidden(&list, "csrf");
    let csrf_of_list = list.text().split("name=\"csrf\" value=\"").nth(2).unwrap().split('"').next().unwrap().to_owned();
    assert_ne!(csrf, csrf_of_list, "the form that signs out has its own token");
    let post = async |fields: &[(&str, &str)]| {
        let fields = [&[("csrf", csrf_of_list.as_str())], fields].concat();
        client.post("/ehr").header("cookie", &cookies).form(&fields).send().await
    };
    let chart = post(&[("patient", "ann"), ("decision", "continue")]).await;
    let text = chart.text();
    assert!(text.contains("Test Ann") && text.contains("enc-ann") && text.contains("App launched"), "{text}");
    assert!(
        chart.header("content-security-policy").contains("form-action 'self' https://127.0.0.1:9;"),
        "Chromium follows the redirect"
    );
    // An app that registered itself stands on no chart, whatever launch URL it names.
    ehr.world.server.change_client("launched", |client| client.properties.dynamic = true).await;
    assert!(!post(&[("patient", "ann"), ("decision", "continue")]).await.text().contains("App launched"));
    assert_eq!(post(&[("patient", "ann"), ("app", "launched 0")]).await.status, 404);
    ehr.world.server.change_client("launched", |client| client.properties.dynamic = false).await;
    for fields in [
        &[("patient", "bob")][..],
        &[("patient", "nobody")],
        &[("patient", "../x")],
        &[("patient", "ann"), ("app", "launched 1")],
        &[("patient", "ann"), ("app", "app 0")],
        &[("patient", "ann"), ("app", "launched 0"), ("encounter", "enc-bob")],
        &[("patient", "ann"), ("app", "launched 0"), ("encounter", "no id!")],
        &[("patient", "bob"), ("app", "launched 0")],
    ] {
        let reply = post(fields).await;
        assert_eq!((reply.status.as_u16(), reply.header("location")), (404, ""), "{fields:?}");
    }
    let opening = post(&[("patient", "ann"), ("encounter", "enc-ann"), ("app", "launched 0")]).await;
    let (target, issuer, handle) = opened(opening.header("location"));
    assert_eq!((target.as_str(), issuer.as_str()), (LAUNCH_URL, ehr.world.server.fhir_base.as_str()));
    let refused = ehr.come(EHR_SCOPE, &handle, "nurse").await;
    assert_eq!(told(&refused.page).1, "launch was made for another person");
    let tokens = ehr.tokens(EHR_SCOPE, &handle, "who").await;
    assert_eq!((&tokens["patient"], &tokens["encounter"]), (&json!("ann"), &json!("enc-ann")));
    assert_eq!(tokens["need_patient_banner"], json!(true));
    let records = ehr.world.server.records();
    let made = records.iter().filter(|record| record.detail.as_deref() == Some("launch of launched made"));
    assert!(made.clone().all(|record| record.event == Event::Page && record.outcome == Outcome::Success));
    assert_eq!(made.map(|record| record.operations[0].patients.clone()).collect::<Vec<_>>(), [["ann"]]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn charts_are_for_signed_in_clinicians_and_forms_of_ours() {
    let ehr = Ehr::start().await;
    let client = &ehr.world.server.client;
    for reply in [client.get("/ehr").send().await, client.post("/ehr").form(&[("patient", "ann")]).send().await] {
        assert_eq!((reply.status.as_u16(), reply.header("location")), (303, "/login?return_to=/ehr"));
    }
    for username in ["ann", "carer", "audit", "admin"] {
        let cookies = signed_in(&ehr, username).await;
        let reply = client.get("/ehr").header("cookie", &cookies).send().await;
        assert_eq!(reply.status, 403, "{username}");
        assert!(reply.text().contains("for people who treat patients") && !reply.text().contains("Test Ann"));
    }
    let cookies = signed_in(&ehr, "who").await;
    for csrf in ["", "guessed"] {
        let fields = [("csrf", csrf), ("patient", "ann"), ("app", "launched 0")];
        let reply = client.post("/ehr").header("cookie", &cookies).form(&fields).send().await;
        assert_eq!((reply.status.as_u16(), reply.header("location")), (403, ""));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_sandbox_app_is_opened_from_no_chart() {
    let ehr = Ehr::start().await;
    assert_eq!(ehr.ask(&[("patient", "ann")]).await.status, 201);
    let owner = portcullis_oauth::identifiers::UserId::parse("user-ann").unwrap();
    ehr.world.server.change_client("launched", |client| client.properties.owner = Some(owner)).await;
    let refused = ehr.ask(&[("patient", "ann")]).await;
    assert_eq!((refused.status.as_u16(), refused.json()["error"].as_str()), (400, Some("invalid_request")), "{}", refused.text());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_posted_request_of_an_app_that_an_ehr_opened_leads_to_a_token_with_its_context() {
    verifies!("SMART-20", "SMART-13");
    let ehr = Ehr::start().await;
    let scope = "launch launch/encounter openid fhirUser patient/*.rs";
    let context =
        [("patient", "ann"), ("encounter", "enc-ann"), ("intent", "reconcile-medications"), ("need_patient_banner", "false")];
    let handle = ehr.handle(&context).await;
    let query = ehr.query(scope, &handle);
    let pairs: Vec<(String, String)> = url::form_urlencoded::parse(query.as_bytes()).into_owned().collect();
    let fields: Vec<(&str, &str)> = pairs.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
    let post = async |fields: &[(&str, &str)]| ehr.app.client.post("/oauth/authorize").form(fields).send().await;
    // A handle that is none is refused when it comes by POST, too, and by the same words.
    let guessed: Vec<(&str, &str)> =
        fields.iter().map(|(name, value)| (*name, if *name == "launch" { "guessed" } else { *value })).collect();
    let refused = post(&guessed).await;
    let refused = ehr.app.client.get(refused.header("location")).send().await;
    assert_eq!(told(&refused), ("invalid_request".into(), "launch is not known; open the app from the EHR again".into()));

    let posted = post(&fields).await;
    assert_eq!(posted.status, 303, "{}", posted.text());
    let query = posted.header("location").strip_prefix("/oauth/authorize?").unwrap().to_owned();
    let at = ehr.app.sign_in(&query, "who", PASSWORD).await;
    assert_eq!(at.page.status, 200, "no picker, and nothing asked twice: {}", at.page.text());
    let back = ehr.app.consent(&at, &scope.split(' ').collect::<Vec<_>>(), "allow").await;
    let code = portcullis_testkit::app::query_value(&back, "code").unwrap();
    let tokens = ehr.app.exchange(&code).await.json();
    assert_eq!(tokens["scope"], scope);
    for (name, value) in [("patient", json!("ann")), ("encounter", json!("enc-ann")), ("intent", json!("reconcile-medications"))]
    {
        assert_eq!(tokens[name], value, "{tokens}");
    }
    assert_eq!(tokens["need_patient_banner"], false);
    let read = async |path: &str| {
        let request = ehr.app.client.get(&format!("/fhir/{path}")).bearer(tokens["access_token"].as_str().unwrap());
        request.send().await.status.as_u16()
    };
    assert_eq!((read("Encounter/enc-ann").await, read("Encounter/enc-bob").await), (200, 404));
    // The handle counted once.
    let again = post(&fields).await;
    let again = ehr.app.client.get(again.header("location")).send().await;
    assert_eq!(told(&again), ("invalid_request".into(), "launch was used before; open the app from the EHR again".into()));
}
