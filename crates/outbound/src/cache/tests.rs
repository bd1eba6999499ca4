//! How often the other side is asked, with a clock that the test moves.

use super::*;
use crate::client::tests::Origin;

const NOW: i64 = 1_800_000_000;

fn cache(origin: &Origin) -> DocumentCache<String> {
    let parse = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).ok().filter(|text| text.starts_with('{'));
    DocumentCache::new(Arc::new(origin.client()), Purpose::ClientKeys, parse)
}

#[tokio::test]
async fn a_document_is_fetched_once_while_it_is_fresh_and_again_afterwards() {
    let origin = Origin::start("localhost").await;
    let (cache, url) = (cache(&origin), origin.url());
    origin.answer("200 OK", "cache-control: max-age=60\r\n", "{1}");
    for now in [NOW, NOW + 1, NOW + 59] {
        assert_eq!(*cache.get(&url, now).await.unwrap(), "{1}");
    }
    assert_eq!(origin.calls(), 1);
    origin.answer("200 OK", "cache-control: max-age=60\r\n", "{2}");
    assert_eq!(*cache.get(&url, NOW + 60).await.unwrap(), "{2}");
    assert_eq!(origin.calls(), 2);
}

#[tokio::test]
async fn many_who_wait_cause_one_call() {
    let origin = Origin::start("localhost").await;
    let (cache, url) = (Arc::new(cache(&origin)), origin.url());
    origin.answer("200 OK", "cache-control: max-age=60\r\n", "{1}");
    let waiting: Vec<_> = (0..20)
        .map(|_| {
            let (cache, url) = (Arc::clone(&cache), url.clone());
            tokio::spawn(async move { cache.get(&url, NOW).await.map(|document| document.len()) })
        })
        .collect();
    for task in waiting {
        assert_eq!(task.await.unwrap().unwrap(), 3);
    }
    assert_eq!(origin.calls(), 1);
}

#[tokio::test]
async fn what_was_not_in_a_document_causes_one_call_a_minute() {
    let origin = Origin::start("localhost").await;
    let (cache, url) = (cache(&origin), origin.url());
    origin.answer("200 OK", "cache-control: max-age=3600\r\n", "{1}");
    let first = cache.get(&url, NOW).await.unwrap();
    origin.answer("200 OK", "cache-control: max-age=3600\r\n", "{2}");
    for now in [NOW, NOW + 30, NOW + 59] {
        assert!(cache.newer(&url, &first, now).await.is_none());
    }
    assert_eq!(origin.calls(), 1);
    let second = cache.newer(&url, &first, NOW + 60).await.unwrap();
    assert_eq!(*second, "{2}");
    // Who still has the first one gets the second without a call.
    assert_eq!(*cache.newer(&url, &first, NOW + 61).await.unwrap(), "{2}");
    assert!(cache.newer(&url, &second, NOW + 61).await.is_none());
    assert_eq!(origin.calls(), 2);
}

#[tokio::test]
async fn a_failure_is_remembered_for_a_moment_and_an_old_document_is_not_used() {
    let origin = Origin::start("localhost").await;
    let (cache, url) = (cache(&origin), origin.url());
    origin.answer("200 OK", "cache-control: max-age=60\r\n", "{1}");
    cache.get(&url, NOW).await.unwrap();
    origin.answer("500 Oops", "", "{2}");
    assert!(matches!(cache.get(&url, NOW + 60).await, Err(DocumentError::Fetch(OutboundError::Status(500)))));
    assert!(matches!(cache.get(&url, NOW + 60 + FAILURE_SECONDS - 1).await, Err(DocumentError::TooSoon)));
    assert_eq!(origin.calls(), 2);
    origin.answer("200 OK", "", "nonsense");
    assert!(matches!(cache.get(&url, NOW + 60 + FAILURE_SECONDS).await, Err(DocumentError::Unusable)));
    origin.answer("200 OK", "", "{3}");
    assert_eq!(*cache.get(&url, NOW + 60 + 2 * FAILURE_SECONDS).await.unwrap(), "{3}");
}

#[tokio::test]
async fn a_failed_second_look_leaves_the_fresh_document_alone() {
    let origin = Origin::start("localhost").await;
    let (cache, url) = (cache(&origin), origin.url());
    origin.answer("200 OK", "cache-control: max-age=3600\r\n", "{1}");
    let first = cache.get(&url, NOW).await.unwrap();
    origin.answer("500 Oops", "", "");
    assert!(cache.newer(&url, &first, NOW + 60).await.is_none());
    assert_eq!(*cache.get(&url, NOW + 61).await.unwrap(), "{1}");
}

#[tokio::test]
async fn a_document_that_may_not_be_kept_is_fetched_each_time_within_bounds() {
    let origin = Origin::start("localhost").await;
    let (cache, url) = (cache(&origin), origin.url());
    origin.answer("200 OK", "cache-control: no-store\r\n", "{1}");
    for call in 1..=3 {
        assert_eq!(*cache.get(&url, NOW).await.unwrap(), "{1}");
        assert_eq!(origin.calls(), call);
    }
    for _ in 3..FETCHES_PER_MINUTE {
        cache.get(&url, NOW).await.unwrap();
    }
    assert!(matches!(cache.get(&url, NOW).await, Err(DocumentError::TooSoon)));
    assert!(cache.get(&url, NOW + 60).await.is_ok());
}

#[tokio::test]
async fn the_number_of_documents_is_bounded() {
    let origin = Origin::start("localhost").await;
    let cache = cache(&origin);
    for number in 0..2 * MAXIMUM_ENTRIES {
        drop(cache.entry(&format!("https://keys.example/{number}"), NOW));
    }
    assert!(cache.entries.lock().unwrap().len() <= MAXIMUM_ENTRIES);
}
