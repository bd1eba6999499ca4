//! Rules of the repository as tests: crate edges, call sites of proof types, file sizes, words that must not occur.

#![expect(clippy::unwrap_used, reason = "a test that cannot be set up has failed")]

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

/// Which crates of ours each crate may depend on (docs/ARCHITECTURE.md).
const EDGES: &[(&str, &[&str])] = &[
    ("fhir", &["mutants"]),
    ("jose", &[]),
    ("verifies", &[]),
    ("mutants", &[]),
    ("generator", &[]),
    ("outbound", &[]),
    ("oauth", &["fhir", "jose", "mutants"]),
    ("policy", &["fhir", "mutants", "oauth"]),
    ("audit", &["fhir", "jose", "oauth", "policy"]),
    ("store", &["audit", "fhir", "jose", "oauth", "policy"]),
    ("backends", &["audit", "fhir", "jose", "mutants", "oauth", "policy", "store"]),
    ("server", &["audit", "fhir", "jose", "mutants", "oauth", "outbound", "policy", "store"]),
    ("testkit", &["audit", "backends", "fhir", "generator", "jose", "oauth", "outbound", "policy", "server", "store"]),
];

/// Crates without async, clock, randomness, file or socket.
const PURE: &[&str] = &["fhir", "oauth", "policy"];

/// Words that a pure crate must not contain.
const IMPURE: &[&str] =
    &["async fn", "SystemTime::now", "Instant::now", "std::fs", "std::net", "tokio::", "rand::fill", "std::env"];

/// Constructors that must cross a crate, and the only files that may call them outside tests.
const CALL_SITES: &[(&str, &[&str])] = &[
    ("Authorized::new(", &["crates/policy/src/authorized.rs"]),
    ("PermittedOperation::new(", &["crates/policy/src/combine.rs"]),
    (
        "Unreleased::new(",
        &[
            "crates/backends/src/sqlite/store.rs",
            "crates/backends/src/sqlite/audit_store.rs",
            "crates/backends/src/sqlite/registry/app_state.rs",
        ],
    ),
    ("Released {", &["crates/policy/src/release.rs"]),
    ("AuthorizedAppState {", &["crates/policy/src/app_state.rs"]),
    (
        "AppStatePermit {",
        &["crates/policy/src/app_state.rs", "crates/policy/src/app_state/narrowed.rs", "crates/policy/src/release.rs"],
    ),
    ("AuditReceipt::for_durable(", &["crates/audit/src/ledger.rs", "crates/audit/src/pending.rs"]),
    (
        "PendingRecord::new(",
        &[
            "src/application/in_force.rs",
            "crates/audit/src/pending.rs",
            "crates/server/src/resource_server/purpose.rs",
            "crates/server/src/admin/service.rs",
            "crates/server/src/authorization_server/reply.rs",
            "crates/server/src/mail/delivery.rs",
            "crates/server/src/resource_server/app_state/mod.rs",
        ],
    ),
    ("UnfinishedRecord::complete(", &["crates/backends/src/sqlite/commit.rs"]),
    ("Sought::found(", &["crates/backends/src/sqlite/seek.rs"]),
    ("Acknowledgement::of_stored(", &["crates/backends/src/sqlite/store.rs", "crates/backends/src/sqlite/registry/mod.rs"]),
    ("TokenStatus::from_registry(", &["crates/backends/src/sqlite/registry/token_status.rs"]),
    ("Principal::establish(", &["crates/server/src/resource_server/authenticate.rs"]),
    // Whoever reads FHIR decides for the purpose that the request states.
    (
        ".beside_fhir(",
        &[
            "crates/server/src/admin/https.rs",
            "crates/server/src/authorization_server/clients/introspect.rs",
            "crates/server/src/authorization_server/clients/userinfo.rs",
        ],
    ),
    // A permit without an operation is for words about it.
    (
        "decide_change(",
        &[
            "crates/policy/src/combine.rs",
            "crates/server/src/admin/explain.rs",
            "crates/server/src/authorization_server/clients/introspect_consent.rs",
        ],
    ),
    (
        "Principal::imagined(",
        &[
            "crates/server/src/admin/explain.rs",
            "crates/server/src/authorization_server/clients/introspect_consent.rs",
            "src/commands/policy/cases.rs",
        ],
    ),
    // What consents say goes into a decision or into words about one.
    ("store.evidence(", &["crates/backends/src/sqlite/audit_store.rs", "crates/server/src/admin/explain_reasons.rs"]),
    (
        "store.consult(",
        &[
            "crates/backends/src/sqlite/audit_store.rs",
            "crates/server/src/resource_server/app_state/mod.rs",
            "crates/server/src/authorization_server/clients/introspect_consent.rs",
        ],
    ),
    // A decision of the server has the operator's rules with it.
    ("DecisionId(self", &["crates/server/src/context.rs"]),
    ("Principal::choosing_patient(", &["crates/server/src/authorization_server/authorization/people.rs"]),
    ("Principal::breaking_glass(", &["crates/server/src/authorization_server/break_glass/patient.rs"]),
    ("Principal::opening_app(", &["crates/server/src/authorization_server/authorization/people.rs"]),
    ("Principal::viewing_own_page(", &["crates/server/src/authorization_server/authorization/people.rs"]),
    (
        "Principal::command_line_operator(",
        &["crates/server/src/admin/service.rs", "crates/server/src/admin/mod.rs", "crates/server/src/admin/import.rs"],
    ),
    ("Answer::counted(", &["crates/server/src/service.rs", "crates/server/src/demo_app/handler.rs"]),
    (
        "Answer::gathered(",
        &[
            "crates/server/src/service.rs",
            "crates/server/src/resource_server/pipeline.rs",
            "crates/server/src/authorization_server/reply.rs",
        ],
    ),
    (
        "Answer::unrecorded(",
        &[
            "crates/server/src/service.rs",
            "crates/server/src/interrupted.rs",
            "crates/server/src/resource_server/pipeline.rs",
            "crates/server/src/resource_server/representation.rs",
            "crates/server/src/authorization_server/reply.rs",
        ],
    ),
    // What is no form of a page but carries a tag of ours; a form is judged by `UncheckedForm::checked` alone.
    (
        "form_tokens.accepts(",
        &[
            "crates/server/src/authorization_server/accounts/federation/begin.rs",
            "crates/server/src/authorization_server/accounts/passkeys.rs",
            "crates/server/src/authorization_server/accounts/second_factor.rs",
            "crates/server/src/authorization_server/authorization/authorize.rs",
            "crates/server/src/authorization_server/own_page/factors.rs",
            "crates/server/src/authorization_server/session.rs",
        ],
    ),
    ("PresentedAssertion::parse(", &["crates/oauth/src/client_request.rs"]),
    ("VerifiedProof::verify(", &["crates/server/src/dpop.rs"]),
    (
        "Change::SpendProof {",
        &[
            "crates/server/src/authorization_server/clients/client_authentication.rs",
            "crates/backends/src/sqlite/registry/change.rs",
            "crates/backends/src/sqlite/registry/client_cache.rs",
        ],
    ),
    ("credentials.authenticate(", &["crates/server/src/authorization_server/clients/client_authentication.rs"]),
    ("client_authentication::authenticate(", &["crates/server/src/authorization_server/clients/client_endpoint.rs"]),
    (
        "Change::SpendAssertion {",
        &[
            "crates/server/src/authorization_server/clients/client_authentication.rs",
            "crates/backends/src/sqlite/registry/change.rs",
            "crates/backends/src/sqlite/registry/client_cache.rs",
        ],
    ),
    (
        "Boundary::Whole,",
        &[
            "crates/policy/src/app_state/narrowed.rs",
            "crates/policy/src/rules/break_glass.rs",
            "crates/policy/src/rules/membership.rs",
            "crates/policy/src/rules/operator.rs",
            "crates/policy/src/rules/system_context.rs",
            "crates/policy/src/rules/user_context.rs",
        ],
    ),
    (".where_nobody_consented(", &["crates/backends/src/sqlite/consents/sight.rs"]),
    (".where_owners_said_nothing(", &["crates/backends/src/sqlite/consents/sight.rs"]),
    (".where_agreed(", &["crates/backends/src/sqlite/consents/sight.rs", "crates/policy/src/constraint.rs"]),
    ("Consulted::nobody_has_any(", &["crates/backends/src/sqlite/consents/sight.rs"]),
    (".consulting(", &["crates/backends/src/sqlite/store.rs"]),
    (
        "Change::ConfirmConsent(",
        &[
            "crates/server/src/admin/consents.rs",
            "crates/server/src/authorization_server/own_page/own_consents.rs",
            "crates/backends/src/sqlite/registry/change.rs",
        ],
    ),
    ("verification::add(", &["crates/backends/src/sqlite/consents/write.rs", "crates/backends/src/sqlite/registry/consents.rs"]),
    ("CertificateNames::of_trusted(", &["crates/server/src/listener/client_authorities.rs"]),
    ("TcpStream::connect", &["crates/outbound/src/client.rs"]),
    ("hyper::client", &["crates/outbound/src/client.rs"]),
    ("lookup_host", &["crates/outbound/src/client.rs"]),
    ("ClientConfig", &["crates/outbound/src/client.rs"]),
    ("AsyncSmtpConnection", &["crates/outbound/src/mail.rs"]),
    ("UnixStream::connect", &["src/commands/channel.rs"]),
];

/// Where rules stand that builds with mutants switch off (ADR 0023): nowhere else is there a switch.
const SWITCHED: &[&str] = &[
    "crates/fhir/src/care.rs",
    "crates/fhir/src/compartment.rs",
    "crates/fhir/src/redaction/",
    "crates/oauth/src/scopes/compiled.rs",
    "crates/policy/src/",
    "crates/backends/src/sqlite/",
    "crates/server/src/resource_server/",
];

/// Proof types, where they are declared. They derive nothing that makes or copies one.
const PROOFS: &[(&str, &str)] = &[
    ("pub struct Authorized<", "crates/policy/src/authorized.rs"),
    ("pub struct Unreleased<", "crates/policy/src/release.rs"),
    ("pub struct Released<", "crates/policy/src/release.rs"),
    ("pub struct Permit {", "crates/policy/src/decision.rs"),
    ("pub struct AppStatePermit {", "crates/policy/src/app_state.rs"),
    ("pub struct AuthorizedAppState<", "crates/policy/src/app_state.rs"),
    ("pub struct AuditReceipt {", "crates/audit/src/receipt.rs"),
    ("pub struct Acknowledgement {", "crates/audit/src/pending.rs"),
    ("pub struct PendingRecord {", "crates/audit/src/pending.rs"),
    ("pub struct UnfinishedRecord {", "crates/audit/src/pending.rs"),
    ("pub struct Sought {", "crates/audit/src/sought.rs"),
    ("pub struct Principal {", "crates/oauth/src/principal.rs"),
    ("pub struct VerifiedAssertion {", "crates/oauth/src/client_assertion.rs"),
    ("pub struct VerifiedProof {", "crates/oauth/src/dpop.rs"),
    ("pub struct RegisteredCertificate {", "crates/oauth/src/client_certificate.rs"),
    ("pub struct VerifiedStatement {", "crates/oauth/src/software_statement.rs"),
    ("pub struct Credentials {", "crates/server/src/resource_server/authenticate.rs"),
    ("pub struct AuthenticatedClient {", "crates/oauth/src/token_request.rs"),
    ("pub struct TokenStatus(", "crates/oauth/src/principal.rs"),
    ("pub struct Form(", "crates/server/src/authorization_server/form.rs"),
    ("pub struct Answer {", "crates/server/src/answer.rs"),
];

/// The longest source file, in lines.
const LONGEST_FILE: usize = 600;

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

fn sources(folder: &Path, found: &mut Vec<PathBuf>) {
    let Ok(entries) = fs::read_dir(folder) else { return };
    for entry in entries {
        let path = entry.unwrap().path();
        if path.is_dir() {
            sources(&path, found);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push(path);
        }
    }
}

/// Every source file of the product by its path in the repository.
fn product() -> BTreeMap<String, String> {
    let mut found = Vec::new();
    for folder in ["src", "crates", "xtask"] {
        sources(&root().join(folder), &mut found);
    }
    let name = |path: &PathBuf| path.strip_prefix(root()).unwrap().display().to_string();
    found.iter().map(|path| (name(path), fs::read_to_string(path).unwrap())).collect()
}

/// The part of a file that ships: tests are cut off, and files of tests are empty.
fn shipped<'a>(path: &str, text: &'a str) -> &'a str {
    let is_test = path.contains("/tests/")
        || path.contains("_tests/")
        || path.ends_with("tests.rs")
        || path.contains("testing")
        || path.starts_with("crates/testkit");
    if is_test { "" } else { text.split("#[cfg(test)]\nmod ").next().unwrap_or_default() }
}

fn code_lines(text: &str) -> impl Iterator<Item = &str> {
    text.lines().filter(|line| !line.trim_start().starts_with("//"))
}

#[test]
fn crates_depend_only_along_the_drawn_edges() {
    let mut seen = Vec::new();
    for entry in fs::read_dir(root().join("crates")).unwrap() {
        let folder = entry.unwrap().path();
        let name = folder.file_name().unwrap().to_str().unwrap().to_owned();
        let manifest = fs::read_to_string(folder.join("Cargo.toml")).unwrap();
        let dependencies = manifest.split("[dependencies]").nth(1).unwrap_or_default().split("\n[").next().unwrap();
        let (_, allowed) =
            EDGES.iter().find(|(crate_name, _)| *crate_name == name).unwrap_or_else(|| panic!("crate {name} is not drawn"));
        for line in dependencies.lines().filter_map(|line| line.strip_prefix("portcullis-")) {
            let dependency = line.split(['.', ' ', '=']).next().unwrap();
            assert!(allowed.contains(&dependency) || dependency == "verifies", "{name} must not depend on {dependency}");
        }
        seen.push(name);
    }
    assert_eq!(seen.len(), EDGES.len(), "{seen:?}");
}

#[test]
fn pure_crates_know_no_clock_file_socket_or_executor() {
    for (path, text) in product() {
        if !PURE.iter().any(|name| path.starts_with(&format!("crates/{name}/src/"))) {
            continue;
        }
        for word in IMPURE {
            let hit = code_lines(shipped(&path, &text)).find(|line| line.contains(word));
            assert_eq!(hit, None, "{path} contains {word}");
        }
    }
}

#[test]
fn proof_types_are_made_only_where_the_list_says() {
    for (path, text) in product() {
        if path.starts_with("xtask") {
            continue;
        }
        let code: Vec<&str> = code_lines(shipped(&path, &text)).collect();
        let code = code.join("\n");
        // The whole file is searched first: line by line, for each constructor, took twenty seconds.
        for (constructor, allowed) in CALL_SITES.iter().filter(|(constructor, _)| code.contains(constructor)) {
            let used = code.lines().any(|line| line.contains(constructor) && !line.contains("struct "));
            assert!(!used || allowed.contains(&path.as_str()), "{path} calls {constructor}");
        }
    }
}

#[test]
fn rules_are_switched_off_only_where_the_list_says_and_nowhere_by_a_feature() {
    let list = fs::read_to_string(root().join("crates/mutants/mutants.txt")).unwrap();
    let listed: Vec<&str> =
        list.lines().filter(|line| !line.starts_with('#')).filter_map(|line| line.split(' ').next()).collect();
    let listed: Vec<&str> = listed.into_iter().filter(|name| !name.is_empty()).collect();
    let mut used = Vec::new();
    for (path, text) in product() {
        let code: String = code_lines(&text).collect::<Vec<_>>().join("\n");
        if path.starts_with("crates/mutants/") || path.starts_with("xtask/") {
            continue;
        }
        assert!(!code.contains("(portcullis_mutant"), "{path} knows how the program was built");
        for name in code.split("off!(\"").skip(1).filter_map(|rest| rest.split('"').next()) {
            assert!(SWITCHED.iter().any(|place| path.starts_with(place)), "{path} switches {name} off");
            assert!(listed.contains(&name), "{path} switches {name} off, which is not in the list");
            used.push(name.to_owned());
        }
    }
    let unused: Vec<&&str> = listed.iter().filter(|name| !used.iter().any(|used| used == **name)).collect();
    assert!(unused.is_empty(), "no rule is switched off by {unused:?}");
    assert!(used.len() > 60, "the switches are not where this looks");
}

#[test]
fn proof_types_can_be_neither_copied_nor_conjured() {
    let implementations: Vec<(String, Vec<String>)> = product()
        .into_iter()
        .map(|(file, source)| (file, source.lines().filter(|line| line.starts_with("impl")).map(str::to_owned).collect()))
        .collect();
    for (declaration, path) in PROOFS {
        let text = fs::read_to_string(root().join(path)).unwrap();
        let before = text
            .split(declaration)
            .next()
            .filter(|before| before.len() < text.len())
            .unwrap_or_else(|| panic!("{declaration} not in {path}"));
        let attributes: Vec<&str> =
            before.lines().rev().take_while(|line| line.starts_with("#[") || line.starts_with("///")).collect();
        let derives: Vec<&&str> = attributes.iter().filter(|line| line.starts_with("#[derive")).collect();
        assert!(derives.iter().all(|line| **line == "#[derive(Debug)]"), "{declaration} derives {derives:?}");
        let name = declaration.trim_start_matches("pub struct ").trim_end_matches(['<', ' ', '{', '(']);
        for (file, implementations) in &implementations {
            for forbidden in ["Clone for", "Default for", "Copy for", "Deserialize<'de> for"] {
                let implementation = format!("{forbidden} {name}");
                let of_several = format!("{implementation}s");
                let hit = implementations.iter().find(|line| line.contains(&implementation) && !line.contains(&of_several));
                assert_eq!(hit, None, "{file}");
            }
            let converted = implementations.iter().find(|line| {
                let (made, target) = line.split_once(" for ").unwrap_or_default();
                let is_named = target
                    .strip_prefix(name)
                    .is_some_and(|rest| !rest.starts_with(|next: char| next.is_alphanumeric() || next == '_'));
                made.contains("From<") && is_named
            });
            assert_eq!(converted, None, "{file}");
        }
    }
}

#[test]
fn files_stay_readable() {
    for (path, text) in product() {
        let lines = text.lines().count();
        assert!(lines <= LONGEST_FILE, "{path} has {lines} lines; cut it along a concept");
        assert!(text.starts_with("//!") || shipped(&path, &text).is_empty(), "{path} does not say what it is");
        for line in code_lines(&text) {
            let allowed = line.contains(&["#[al", "low("].concat()) || line.contains(&["#![al", "low("].concat());
            assert!(!allowed, "{path}: {line}: expect with a reason instead");
        }
    }
}

#[test]
fn test_files_stay_readable_too() {
    let mut found = Vec::new();
    sources(&root().join("tests"), &mut found);
    assert!(found.len() > 50, "the tests are not where this looks");
    for path in found {
        let text = fs::read_to_string(&path).unwrap();
        let lines = text.lines().count();
        assert!(lines <= LONGEST_FILE, "{} has {lines} lines; cut it along a concept", path.display());
        assert!(text.starts_with("//!"), "{} does not say what it is", path.display());
    }
}

#[test]
fn unsafe_code_is_not_in_this_repository() {
    for (path, text) in product() {
        let hit = code_lines(&text)
            .find(|line| line.contains(&["unsafe", " {"].concat()) || line.contains(&["unsafe", " fn"].concat()));
        assert_eq!(hit, None, "{path}");
    }
}

#[test]
fn nothing_names_the_machine_that_it_was_written_on() {
    let words =
        [["/wo", "rk/"].concat(), ["/ro", "ot/"].concat(), ["index.crates", ".io"].concat(), ["registry.npm", "js"].concat()];
    let mut found = Vec::new();
    sources(&root().join("tests"), &mut found);
    for folder in ["docs", "specs", ".ci"] {
        found.extend(
            fs::read_dir(root().join(folder))
                .into_iter()
                .flatten()
                .map(|entry| entry.unwrap().path())
                .filter(|path| path.is_file()),
        );
    }
    let mut texts = product();
    texts.extend(found.iter().filter_map(|path| Some((path.display().to_string(), fs::read_to_string(path).ok()?))));
    for (path, text) in texts {
        for word in &words {
            assert!(!text.contains(word), "{path} contains {word}");
        }
    }
}
