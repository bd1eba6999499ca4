//! What the consent screen offers, and in which order it tells.

use super::*;

#[test]
fn the_consent_page_offers_both_answers_in_equal_size() {
    let html = consent(&Reader::default(), "plain").render();
    let actions = html.split("<div class=\"actions equal\">").nth(1).unwrap();
    assert!(actions.contains("name=\"decision\" value=\"allow\">Allow</button>"));
    assert!(actions.contains("name=\"decision\" value=\"deny\">Don’t allow</button>"));
    assert_eq!(actions.matches("type=\"submit\"").count(), 2);
}

#[test]
fn the_enter_key_decides_nothing_on_the_consent_page() {
    let html = consent(&Reader::default(), "plain").render();
    let form = html.split("action=\"/consent\"").nth(1).unwrap();
    let first = form.split("<button").nth(1).unwrap();
    assert!(
        first.starts_with(" type=\"submit\" formmethod=\"dialog\" formnovalidate hidden>"),
        "the first submit button sends nothing"
    );
}

#[test]
fn a_sensitive_line_is_marked_and_stays_unticked() {
    let html = consent(&Reader::default(), "plain").render();
    let marked = html.split("<label class=\"tick\"").find(|piece| piece.contains("Sensitive")).unwrap();
    assert!(!marked.contains(" checked>"));
    assert_eq!(html.matches(" checked>").count(), 1, "the plain line alone is ticked");
}

#[test]
fn a_required_line_is_sent_without_a_tick_box() {
    let mut page = consent(&Reader::default(), "plain");
    page.groups.truncate(1);
    let html = page.render();
    assert!(!html.contains("type=\"checkbox\""));
    assert!(html.contains("type=\"hidden\" name=\"scope\" value=\"plain\""));
    assert!(html.contains("New since last time"));
}

#[test]
fn the_consent_page_promises_only_what_holds() {
    let read_only = consent(&Reader::default(), "plain").render();
    assert!(read_only.contains("cannot add, change or remove") && read_only.contains("anyone else’s record"));
    let wide = ConsentPage { may_write: true, patient_name: None, ..consent(&Reader::default(), "plain") }.render();
    assert!(!wide.contains("cannot add, change or remove") && !wide.contains("anyone else’s record"));
}

#[test]
fn the_consent_page_tells_its_facts_in_order() {
    let html = consent(&Reader::default(), "plain").render();
    let facts = [
        "<h1>",
        "Who is asking",
        "Takes you back to",
        "Registered by",
        "Not verified",
        "Whose record",
        "What it may see",
        "type=\"checkbox\"",
        "For how long",
        "What it may not do",
        "Health privacy law",
        ">Allow<",
        ">Don’t allow<",
    ];
    let places: Vec<usize> = facts.iter().map(|fact| html.find(fact).unwrap_or_else(|| panic!("no {fact}"))).collect();
    assert!(places.is_sorted(), "{places:?}");
}
