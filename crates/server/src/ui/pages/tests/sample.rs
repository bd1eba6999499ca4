//! The pages with the values that a person would see.

use super::*;

/// Each page, by name.
pub(super) fn pages() -> Vec<(&'static str, String)> {
    vec![
        ("start", start().render()),
        ("login", login().render()),
        ("login_wrong", LoginPage { error: Some(LoginError::WrongCredentials), username: "maria".into(), ..login() }.render()),
        (
            "login_locked",
            LoginPage { error: Some(LoginError::Wait { minutes: 15 }), username: "maria".into(), ..login() }.render(),
        ),
        ("consent", consent().render()),
        ("consent_user", ConsentPage { patient_name: None, may_write: true, ..consent() }.render()),
        ("picker", picker().render()),
        ("person", person().render()),
        ("person_empty", PersonPage { apps: Vec::new(), looks: Vec::new(), notice: None, ..person() }.render()),
        ("error", error().render()),
        ("signed_out", SignedOutPage { reader: Reader::default() }.render()),
        ("docs", docs().render()),
        ("docs_without_demo", DocsPage { app_url: None, is_demo: false, ..docs() }.render()),
    ]
}

fn start() -> StartPage {
    let names = [
        ("maria", "Maria Lopez, a patient"),
        ("james", "James Okafor, a patient"),
        ("rosa", "Rosa Lopez, who acts for Maria Lopez"),
        ("dr-chen", "Dr. Amy Chen, a clinician"),
        ("auditor", "Sam Reed, an auditor"),
    ];
    StartPage {
        reader: Reader::default(),
        version: "0.1.0".into(),
        fhir_base: "https://localhost:8443/fhir".into(),
        is_demo: true,
        app_url: Some("https://127.0.0.1:8444/".into()),
        sign_in_names: names.map(|(username, what)| SignInName { username: username.into(), what: what.into() }).to_vec(),
    }
}

fn login() -> LoginPage {
    LoginPage {
        reader: Reader::default(),
        app_name: Some("Portcullis demo app".into()),
        csrf: "token".into(),
        return_to: "/oauth/authorize?client_id=demo".into(),
        username: String::new(),
        again: false,
        passkey: super::passkey_form("x"),
        providers: Vec::new(),
        forgotten: true,
        error: None,
    }
}

fn line(scope: &str, words: &str) -> ConsentLine {
    ConsentLine {
        scope: scope.into(),
        words: words.into(),
        checked: true,
        sensitive: false,
        required: false,
        is_new: false,
        had_before: false,
        covers_future: false,
        parts: Vec::new(),
    }
}

fn consent() -> ConsentPage {
    let group = |title: &str, lines: Vec<ConsentLine>| ConsentGroup { title: title.into(), lines };
    ConsentPage {
        reader: Reader::default(),
        app: AskingApp { name: "Portcullis demo app".into(), redirect_host: "127.0.0.1:8444".into(), ..AskingApp::default() },
        patient_name: Some("Maria Lopez".into()),
        person_name: "Maria Lopez".into(),
        groups: vec![
            group(
                "Who you are",
                vec![
                    ConsentLine { required: true, ..line("openid fhirUser", "Know who you are, and see your name and details") },
                    line("patient/Patient.rs", "Your name, birth date, address and contact details"),
                ],
            ),
            group(
                "Tests and measurements",
                vec![line("patient/Observation.rs", "Your test results, vital signs and answers to health questions")],
            ),
            group(
                "Conditions",
                vec![ConsentLine {
                    sensitive: true,
                    checked: false,
                    ..line("patient/Condition.rs", "Your health problems and diagnoses")
                }],
            ),
            group("Visits", vec![line("patient/Encounter.rs", "Your visits to clinics and hospitals")]),
            group(
                "Claims and coverage",
                vec![
                    line("patient/ExplanationOfBenefit.rs", "Your insurance claims: visits, prescriptions, what was paid"),
                    ConsentLine { is_new: true, ..line("patient/Coverage.rs", "Your insurance plans") },
                ],
            ),
            group(
                "Everything else",
                vec![line("offline_access", "Keep access when you are not using the app, until you take it back")],
            ),
        ],
        may_write: false,
        csrf: "token".into(),
        request_handle: "request".into(),
        left_out: Vec::new(),
        reaches_others: false,
        may_last: true,
        may_last_online: false,
        return_to: "/oauth/authorize?client_id=demo".into(),
    }
}

fn picker() -> PatientPickerPage {
    let people = [
        ("1", "Maria Lopez", "1951-05-04"),
        ("2", "Theo Lopez", "2014-10-19"),
        ("3", "Ana Sofía Lopez de la Cruz", "2017-01-02"),
    ];
    PatientPickerPage {
        reader: Reader::default(),
        app_name: "Portcullis demo app".into(),
        person_name: "Dr. Amy Chen".into(),
        can_search: true,
        name: String::new(),
        next: Some("bookmark".into()),
        return_to: "/oauth/authorize?client_id=demo".into(),
        people: people
            .map(|(id, name, born)| PatientChoice { id: id.into(), name: Some(name.into()), birth_date: born.into() })
            .to_vec(),
        csrf: "token".into(),
        request_handle: "request".into(),
    }
}

fn person() -> PersonPage {
    let app = ConnectedApp {
        grant_id: "1".into(),
        app_name: "Portcullis demo app".into(),
        patient_name: Some("Maria Lopez".into()),
        ends: None,
        is_online: false,
        lines: vec!["Your insurance claims: visits, prescriptions, what was paid".into(), "Your insurance plans".into()],
        since: "12 March 2026".into(),
        last_used: Some("14 March 2026 at 09:12".into()),
    };
    let look = |who: &str, what: &str, when: &str| Look { who: who.into(), what: what.into(), when: when.into() };
    PersonPage {
        reader: Reader::default(),
        person_name: "Maria Lopez".into(),
        notice: Some("You stopped the access of Growth Chart.".into()),
        apps: vec![
            app.clone(),
            ConnectedApp {
                app_name: "Meal planner".into(),
                patient_name: Some("Theo Lopez".into()),
                last_used: None,
                ends: Some("14 March 2026 at 10:12 UTC".into()),
                is_online: false,
                ..app
            },
        ],
        reach: vec![Reach { who: "Dr. Amy Chen".into(), why: "because a visit names them".into() }],
        looks: vec![
            look("You, with Portcullis demo app,", "saw your insurance plans, twice", "14 March 2026 at 09:12 UTC"),
            look(
                "Dr. Amy Chen, with Hilltop charts,",
                "saw your test results, vital signs and answers to health questions, 3 times",
                "12 March 2026 at 14:05 UTC",
            ),
            look("Dr. Amy Chen, with Hilltop charts,", "added to Theo Lopez’s vaccinations", "12 March 2026 at 08:30 UTC"),
        ],
        has_record: true,
        is_officer: false,
        account: PersonAccount::default(),
        csrf: "token".into(),
        sign_out_csrf: "token".into(),
    }
}

fn error() -> ErrorPage {
    ErrorPage {
        reader: Reader::default(),
        title: "This link was used already".into(),
        what_happened: "The page that you opened belongs to a request that has ended.".into(),
        what_it_means: "Nothing was shared by opening it again.".into(),
        what_to_do: "Go back to the app and start again.".into(),
        status: 400,
    }
}

fn docs() -> DocsPage {
    DocsPage {
        reader: Reader::default(),
        fhir_base: "https://localhost:8443/fhir".into(),
        issuer: "https://localhost:8443".into(),
        is_demo: true,
        app_url: Some("https://127.0.0.1:8444/".into()),
    }
}
