//! Every form of every page: each field missing, empty, repeated, oversized and of the wrong encoding, bodies that are no forms, forms of other sites. Each has
//! its exact status and words, none changes anything, and the form as it should be works after all of them.

mod ways;

use std::collections::BTreeSet;

use portcullis_audit::record::{Event, Outcome};
use portcullis_testkit::{Protocol, Reply};
use portcullis_verifies::verifies;

use crate::account::Visitor;
use crate::pages::people::Hospital;

/// A status, and the words of the page or where it leads: all of it, or what it begins with up to a `=`.
type Told = (u16, &'static str);
/// A field, what is told where it is missing or empty, and where it is far too long.
type Row = (&'static str, Told, Told);

/// What is asked for is done all the same: nothing is made of what the field says. Tried after what must not count, and told as the good form is.
const DONE: Told = (0, "");
/// The same of a form that counts once: the one good form is sent so.
const DONE_ONCE: Told = (1, "");
const OUTDATED: Told = (403, "This page does not count any more");
const EXPIRED: Told = (403, "This page was open for too long.");

const FORM: &str = "application/x-www-form-urlencoded";
/// The fields of which a form has several.
const ROWS: [&str; 2] = ["scope", "part"];
/// What a browser is asked to send in one go: fewer than are recorded one by one in a second.
const AT_ONCE: usize = 80;

/// A form on a page, and what is told about it.
struct Sheet<'a> {
    path: &'a str,
    page: &'a Reply,
    /// What a person or a script puts in; the rest stands in the page.
    typed: &'a [(&'a str, &'a str)],
    /// What is told where the form's token is missing or wrong.
    token: Told,
    rows: &'a [Row],
    /// What is told where all is well.
    done: Told,
}

/// What was wrong with the forms so far.
struct Judge<'a> {
    hospital: &'a Hospital,
    judged: BTreeSet<String>,
    problems: Vec<String>,
}

/// One request that must fail.
struct Case {
    what: String,
    headers: Vec<(&'static str, String)>,
    body: String,
    told: Told,
}

/// The names of the fields of the first form with this address, and those with a value in the page.
fn fields(page: &Reply, path: &str) -> (BTreeSet<String>, Vec<(String, String)>) {
    let text = page.text();
    let ours = |form: &&str| ["\"", "?"].iter().any(|end| form.contains(&format!("action=\"{path}{end}")));
    let form = text.split("<form").skip(1).find(ours).unwrap_or_else(|| panic!("no form {path}: {text}"));
    let attribute = |tag: &str, name: &str| {
        let (_, rest) = tag.split_once(&format!(" {name}=\""))?;
        Some(portcullis_testkit::app::unescape(rest.split('"').next()?))
    };
    let (mut names, mut hidden) = (BTreeSet::new(), Vec::new());
    for tag in form.split("</form>").next().unwrap().split('<') {
        let Some(name) = attribute(tag, "name") else { continue };
        names.insert(name.clone());
        if attribute(tag, "type").as_deref() == Some("hidden") {
            hidden.push((name, attribute(tag, "value").unwrap_or_default()));
        }
    }
    (names, hidden)
}

fn encoded(pairs: &[(String, String)]) -> String {
    url::form_urlencoded::Serializer::new(String::new()).extend_pairs(pairs).finish()
}

fn fits(reply: &Reply, (status, words): Told) -> bool {
    let location = reply.header("location");
    let leads = if words.ends_with('=') || words.ends_with('/') { location.contains(words) } else { location == words };
    reply.status.as_u16() == status && if status == 303 { leads } else { reply.text().contains(words) }
}

/// Bodies that are no form, or none of ours.
fn unreadable(good: &[(String, String)], is_first: bool) -> Vec<Case> {
    let all = encoded(good);
    let case = |what: String, headers, body, told| Case { what, headers, body, told };
    let mut cases = Vec::new();
    let media = ["application/json", "", "text/plain", "multipart/form-data; boundary=x", "application/x-www-form-urlencoded2"];
    for media in media {
        let told = (415, "It came in a form that our pages do not send.");
        cases.push(case(format!("as {media:?}"), vec![("content-type", media.to_owned())], all.clone(), told));
    }
    let too_long = (413, "It is longer than our forms are.");
    let many: String = (0..1100).map(|number| format!("&p{number}=")).collect();
    cases.push(case("1100 fields".into(), Vec::new(), format!("{all}{many}"), too_long));
    if is_first {
        // Once, since the client waits for a body of which nothing is read.
        cases.push(case("65 KiB".into(), Vec::new(), format!("{all}&x={}", "x".repeat(65 * 1024)), too_long));
    }
    let told = (403, "Another site tried to send this form in your name.");
    let foreign = [
        ("sec-fetch-site", ["cross-site", "same-site", "nonsense"]),
        ("origin", ["https://evil.example", "https://localhost", "x"]),
    ];
    for (name, values) in foreign {
        for value in values {
            cases.push(case(format!("{name}: {value}"), vec![(name, value.to_owned())], all.clone(), told));
        }
    }
    let malformed = (400, "It arrived incomplete.");
    for (name, _) in good {
        let rest = encoded(&without(good, name));
        let values = ["%ff", "%zz", "%", "%f", "%c0%80", "%ed%a0%80", "%00"];
        cases.extend(
            values.iter().map(|value| case(format!("{name}={value}"), Vec::new(), format!("{rest}&{name}={value}"), malformed)),
        );
        if !ROWS.contains(&name.as_str()) {
            let told = (400, "A field in it came more than once.");
            let twice = [format!("{all}&{name}="), format!("{all}&{name}=other")];
            cases.extend(twice.into_iter().map(|body| case(format!("{name} twice"), Vec::new(), body, told)));
        }
    }
    cases
}

fn without(pairs: &[(String, String)], name: &str) -> Vec<(String, String)> {
    pairs.iter().filter(|(known, _)| known != name).cloned().collect()
}

fn is_done(told: Told) -> bool {
    told == DONE || told == DONE_ONCE
}

/// What a form may say that makes no difference: the field, and whether it is missing, empty or too long.
fn indifferent(good: &[(String, String)], sheet: &Sheet<'_>) -> Vec<(String, Vec<(String, String)>)> {
    let mut forms = Vec::new();
    for (name, missing, too_long) in sheet.rows {
        let rest = without(good, name);
        let with = |value: String| [rest.clone(), vec![((*name).to_owned(), value)]].concat();
        if *missing == DONE {
            forms.extend([(format!("without {name}"), rest.clone()), (format!("{name} empty"), with(String::new()))]);
        }
        if *too_long == DONE {
            forms.push((format!("{name} too long"), with("x".repeat(30 * 1024))));
        }
    }
    forms
}

/// The form as it is sent in the end: without what may be missing, and with too much of what nobody reads.
fn sent_once(good: Vec<(String, String)>, sheet: &Sheet<'_>) -> Vec<(String, String)> {
    sheet.rows.iter().fold(good, |good, (name, missing, too_long)| match (*missing, *too_long) {
        (_, DONE_ONCE) => [without(&good, name), vec![((*name).to_owned(), "x".repeat(9 * 1024))]].concat(),
        (DONE_ONCE, _) => without(&good, name),
        _ => good,
    })
}

/// What a form says that is not enough.
fn insufficient(good: &[(String, String)], sheet: &Sheet<'_>) -> Vec<Case> {
    let case = |what: String, body, told| Case { what, headers: Vec::new(), body, told };
    let long = "x".repeat(30 * 1024);
    let mut cases = Vec::new();
    for (name, missing, too_long) in sheet.rows.iter().copied().chain([("csrf", sheet.token, sheet.token)]) {
        let rest = encoded(&without(good, name));
        if !is_done(missing) {
            cases.push(case(format!("without {name}"), rest.clone(), missing));
            cases.push(case(format!("{name} empty"), format!("{rest}&{name}="), missing));
        }
        if !is_done(too_long) {
            cases.push(case(format!("{name} too long"), format!("{rest}&{name}={long}"), too_long));
        }
    }
    let guessed = format!("{}&csrf=guessed", encoded(&without(good, "csrf")));
    cases.push(case("csrf guessed".into(), guessed, sheet.token));
    cases
}

impl Judge<'_> {
    /// How many changes are on record. Each comes with its record, so that nothing is half written.
    fn changes(&self) -> usize {
        let is_change = |event: &Event| !matches!(event, Event::Page | Event::Rest);
        let records = self.hospital.world.server.records();
        records.iter().filter(|record| record.outcome == Outcome::Success && is_change(&record.event)).count()
    }

    async fn send(&self, visitor: &Visitor<'_>, path: &str, cases: &[Case]) -> Vec<Reply> {
        let server = &self.hospital.world.server;
        let mut replies = Vec::new();
        for some in cases.chunks(AT_ONCE) {
            let requests = some.iter().map(|case| {
                let request = server.client.post(path).header("cookie", &visitor.cookies()).header("user-agent", visitor.agent);
                let request = if case.headers.iter().any(|(name, _)| *name == "content-type") {
                    request
                } else {
                    request.header("content-type", FORM)
                };
                let request = case.headers.iter().fold(request, |request, (name, value)| request.header(name, value));
                request.bytes(case.body.clone())
            });
            replies.extend(server.client.over(Protocol::Http2).send_in_turn(requests.collect()).await);
            server.clock.advance_seconds(1);
        }
        replies
    }

    /// Sends a form in every way in which it must not count, and then as it should be.
    async fn form(&mut self, visitor: &mut Visitor<'_>, sheet: Sheet<'_>) -> Reply {
        let path = sheet.path;
        let (names, mut good) = fields(sheet.page, path);
        good.retain(|(name, _)| !sheet.typed.iter().any(|(typed, _)| name == typed));
        good.extend(sheet.typed.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())));
        let told: BTreeSet<String> = sheet.rows.iter().map(|(name, ..)| (*name).to_owned()).chain(["csrf".to_owned()]).collect();
        if told != names {
            self.problems.push(format!("{path}: the form has the fields {names:?}, and of {told:?} is told"));
        }
        let before = self.changes();
        let mut cases = unreadable(&good, self.judged.is_empty());
        cases.extend(insufficient(&good, &sheet));
        let replies = self.send(visitor, path, &cases).await;
        for (case, reply) in cases.iter().zip(&replies).filter(|(case, reply)| !fits(reply, case.told)) {
            let what = (reply.status.as_u16(), reply.header("location"), said(reply));
            self.problems.push(format!("{path}, {}: expected {:?}, got {what:?}", case.what, case.told));
        }
        if self.changes() != before {
            self.problems.push(format!("{path}: something was changed"));
        }
        let mut forms = indifferent(&good, &sheet);
        forms.push(("as it should be".to_owned(), sent_once(good, &sheet)));
        self.judged.insert(path.to_owned());
        let mut last = None;
        for (what, form) in forms {
            let fields: Vec<(&str, &str)> = form.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
            let reply = visitor.post(path, &fields).await;
            if !fits(&reply, sheet.done) {
                let got = (reply.status.as_u16(), reply.header("location"), said(&reply));
                self.problems.push(format!("{path}, {what}: expected {:?}, got {got:?}", sheet.done));
            }
            last = Some(reply);
        }
        last.unwrap()
    }
}

/// The words of a page that matter, for whoever reads what went wrong.
pub fn said(reply: &Reply) -> String {
    let text = reply.text();
    let main = text.split("<main").nth(1).unwrap_or(&text);
    main.split('<')
        .filter_map(|part| part.split_once('>'))
        .map(|(_, words)| words.trim())
        .filter(|words| !words.is_empty())
        .take(5)
        .collect::<Vec<_>>()
        .join(" | ")
}

/// The paths to which pages post, by the reviewed list of every route.
fn posted() -> impl Iterator<Item = &'static str> {
    const MATRIX: &str = include_str!("../../../../specs/authorization-matrix.txt");
    let others = ["/oauth/", "/fhir", "/admin/", "/app-state/"];
    let lines = MATRIX.lines().filter_map(|line| line.strip_prefix("POST "));
    lines.filter_map(move |line| {
        let (path, statuses) = line.split_once(' ')?;
        let is_page = !others.iter().any(|other| path.starts_with(other)) && !statuses.trim_start().starts_with("405");
        is_page.then_some(path)
    })
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_field_of_each_form_of_a_page_has_its_error() {
    verifies!("OAUTH-08");
    let hospital = Hospital::open().await;
    let mut judge = Judge { hospital: &hospital, judged: BTreeSet::new(), problems: Vec::new() };
    ways::strangers(&mut judge).await;
    ways::own_page(&mut judge).await;
    ways::factors(&mut judge).await;
    ways::apps(&mut judge).await;
    ways::clinicians(&mut judge).await;
    ways::officers(&mut judge).await;
    ways::developers(&mut judge).await;
    judge.problems.extend(posted().filter(|path| !judge.judged.contains(*path)).map(|path| format!("{path} was not judged")));
    assert!(judge.problems.is_empty(), "{} problems:\n{}", judge.problems.len(), judge.problems.join("\n"));
}
