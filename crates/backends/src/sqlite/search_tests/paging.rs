//! Pages, bookmarks and limits.

use portcullis_store::StoreError;

use super::super::include::MAXIMUM_INCLUDED;
use super::world::{World, ids, operator, patient, query};

fn observation(id: &str, patient: &str, date: &str) -> String {
    format!(
        r#"{{"resourceType":"Observation","id":"{id}","status":"final","code":{{"text":"x"}},"subject":{{"reference":"Patient/{patient}"}},"effectiveDateTime":"{date}"}}"#
    )
}

#[tokio::test]
async fn a_bookmark_of_another_principal_or_query_is_refused() {
    let texts: Vec<String> = (0..3).map(|number| observation(&format!("o{number}"), "ann", "2024")).collect();
    let world = World::of(&texts.iter().map(String::as_str).collect::<Vec<_>>()).await;
    let ann = patient("ann", "patient/*.rs");
    let first = world.search(&ann, query("Observation?_count=1")).await.unwrap();
    let next: Box<str> = first.next.unwrap().into();
    let with = |text: &str| {
        let mut query = query(text);
        query.cursor = Some(next.clone());
        query
    };
    let second = world.search(&ann, with("Observation?_count=2")).await.unwrap();
    assert_eq!(ids(&second).matches, ["Observation/o1", "Observation/o2"], "another page size is the same query");
    for (text, binding) in [
        ("Observation?_count=1", b"other".as_slice()),
        ("Observation?_count=1&status=final", b"test"),
        ("Observation?_count=1&_sort=date", b"test"),
        ("Patient?_count=1", b"test"),
    ] {
        let refused = world.search_bound(&ann, with(text), binding).await;
        assert!(matches!(refused, Err(StoreError::InvalidCursor)), "{text}");
    }
    let mut tampered = query("Observation?_count=1");
    tampered.cursor = Some(format!("{next}A").into());
    assert!(matches!(world.search(&ann, tampered).await, Err(StoreError::InvalidCursor)));
}

#[tokio::test]
async fn a_bookmark_gives_nothing_that_the_permit_of_the_moment_does_not() {
    let texts = [observation("a", "ann", "2024-03"), observation("b", "bob", "2024-02"), observation("c", "ann", "2024-01")];
    let world = World::of(&texts.iter().map(String::as_str).collect::<Vec<_>>()).await;
    let first = world.search(&operator(), query("Observation?_count=1")).await.unwrap();
    let mut query = query("Observation?_count=1");
    query.cursor = first.next.map(Into::into);
    // The same binding: as if the grant had been narrowed between two pages.
    let second = world.search(&patient("ann", "patient/*.rs"), query).await.unwrap();
    assert_eq!(ids(&second).matches, ["Observation/c"]);
}

#[tokio::test]
async fn pages_stay_stable_while_others_write() {
    let texts: Vec<String> =
        (0..6).map(|number| observation(&format!("o{number}"), "ann", &format!("2024-0{}", 9 - number))).collect();
    let world = World::of(&texts.iter().map(String::as_str).collect::<Vec<_>>()).await;
    let ann = patient("ann", "patient/*.rs");
    let first = world.search(&ann, query("Observation?_count=3")).await.unwrap();
    world.import(vec![super::world::version(&observation("new", "ann", "2025"), 0)]).await;
    let mut query = query("Observation?_count=3");
    query.cursor = first.next.clone().map(Into::into);
    let second = world.search(&ann, query).await.unwrap();
    assert_eq!(ids(&first).matches, ["Observation/o0", "Observation/o1", "Observation/o2"]);
    assert_eq!(ids(&second).matches, ["Observation/o3", "Observation/o4", "Observation/o5"]);
    assert_eq!(second.next, None);
}

/// Two stores with the same visible records, one of them with hidden records that refer to visible ones before these exist.
#[tokio::test]
async fn the_order_of_ties_does_not_depend_on_what_is_hidden() {
    let visible: Vec<String> = (0..5).map(|number| observation(&format!("o{number}"), "ann", "2024")).collect();
    let hidden = r#"{"resourceType":"Observation","id":"hidden","status":"final","code":{"text":"x"},"subject":{"reference":"Patient/bob"},"hasMember":[{"reference":"Observation/o4"},{"reference":"Observation/o2"}]}"#;
    let plain = World::of(&visible.iter().map(String::as_str).collect::<Vec<_>>()).await;
    let with_hidden: Vec<&str> = std::iter::once(hidden).chain(visible.iter().map(String::as_str)).collect();
    let crowded = World::of(&with_hidden).await;
    let ann = patient("ann", "patient/*.rs");
    for search in ["Observation", "Observation?_sort=date", "Observation?_sort=code", "Observation?patient=ann"] {
        assert_eq!(plain.matches(&ann, search).await, crowded.matches(&ann, search).await, "{search}");
    }
}

#[tokio::test]
async fn too_many_included_resources_are_refused_by_what_is_visible() {
    let world = World::new();
    let patient_resource = super::world::version(r#"{"resourceType":"Patient","id":"ann"}"#, 0);
    let observations =
        (0..=MAXIMUM_INCLUDED).map(|number| super::world::version(&observation(&format!("o{number}"), "ann", "2024"), 0));
    let others = (0..50).map(|number| super::world::version(&observation(&format!("x{number}"), "bob", "2024"), 0));
    world.import(std::iter::once(patient_resource).chain(observations).chain(others).collect()).await;
    let refused = world.search(&patient("ann", "patient/*.rs"), query("Patient?_revinclude=Observation:subject")).await;
    assert!(matches!(refused, Err(StoreError::NotSupported(message)) if message.contains("1000")));
    let bob = world.ids(&patient("bob", "patient/*.rs"), "Observation?_count=1&_include=Observation:subject").await;
    assert_eq!(bob.matches.len(), 1);
}

#[tokio::test]
async fn a_query_with_too_many_alternatives_is_refused_before_the_database_sees_it() {
    let world = World::new();
    let many: Vec<String> = (0..500).map(|number| format!("s|{number}")).collect();
    let one = format!("code={}", many.join(","));
    // The parser accepts no such query; the store does not rely on that.
    let mut asked = query(&format!("Observation?{one}"));
    asked.filters = vec![asked.filters[0].clone(); 60];
    let refused = world.search(&operator(), asked).await;
    assert!(matches!(refused, Err(StoreError::NotSupported(_))));
}
