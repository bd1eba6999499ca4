//! Whether an import brings what is there already: then nothing is written, and the version stays.
//!
//! The same content is not enough. The patients and the index rows must be the same too: they depend on the server's address and on the program's search
//! parameters, and loading data again is how they are brought up to date.

use portcullis_fhir::labels::Security;
use portcullis_fhir::resource::same_content;
use portcullis_fhir::version::NewVersion;
use portcullis_policy::StoredVersion;
use portcullis_store::StoreError;
use rusqlite::{Connection, OptionalExtension};

use super::database::store_error;
use super::locator;
use super::read::{self, COLUMNS};
use super::row_codec;
use super::rows::Row;
use super::seal::Seal;

/// The current version, where storing this one with these rows would change nothing but its version and time. One that cannot be read is not the same.
pub fn find(
    connection: &Connection,
    seal: &Seal,
    (version, security, neg_time): (&NewVersion, Security, i64),
    rows: &[Row],
) -> Result<Option<StoredVersion>, StoreError> {
    let Some(pk) = locator::find(connection, version.resource_type, version.id.as_str())? else { return Ok(None) };
    let sql = format!("SELECT {COLUMNS}, r.neg_time FROM resource r CROSS JOIN locator l ON l.pk = r.pk WHERE r.pk = ?1");
    let mut statement = connection.prepare_cached(&sql).map_err(store_error)?;
    let row = statement.query_row([pk], |row| Ok((read::open_row(connection, seal, row), row.get::<_, i64>(10)?))).optional();
    let (stored, stored_neg_time) = match row.map_err(store_error)? {
        Some((Ok((_, stored)), stored_neg_time)) => (stored, stored_neg_time),
        Some((Err(StoreError::Corrupt(_)), _)) | None => return Ok(None),
        Some((Err(error), _)) => return Err(error),
    };
    let same_body = stored.body.as_ref().is_some_and(|body| same_content(body, &version.body));
    // A resource without clinical time has that of its storage, which differs.
    let by_storage = neg_time == version.last_updated.saturating_neg() && stored_neg_time == stored.last_updated.saturating_neg();
    let same_time = neg_time == stored_neg_time || by_storage;
    // Who claimed a label that is there anyway makes no difference.
    let same_labels = (stored.security.labels, stored.security.residual) == (security.labels, security.residual);
    if !same_body || !same_labels || !same_time || stored.patients != version.patients {
        return Ok(None);
    }
    let mut expected: Vec<Row> = rows.iter().map(|row| row.clone().at(stored_neg_time)).collect();
    expected.sort_unstable();
    Ok((row_codec::load(connection, pk)? == expected).then_some(stored))
}

#[cfg(test)]
mod tests {
    use portcullis_policy::{Change, Written};

    use super::super::testing::{Who, World, import, version};

    async fn again(world: &World, text: &str) -> Written {
        world.commit(Who::Operator, vec![import(text)]).await.unwrap().pop().unwrap()
    }

    const PATIENT: &str = r#"{"resourceType":"Patient","id":"p","name":[{"family":"A"}]}"#;
    const OBSERVATION: &str = r#"{"resourceType":"Observation","id":"o","status":"final","code":{"coding":[{"system":"s","code":"c"}]},
        "subject":{"reference":"Patient/p"},"effectiveDateTime":"2024-01-01"}"#;

    #[tokio::test]
    async fn the_same_content_again_makes_no_version() {
        let world = World::of(&[PATIENT.to_owned(), OBSERVATION.to_owned()]).await;
        let count = "SELECT count(*) FROM version";
        for text in [PATIENT, OBSERVATION] {
            assert!(matches!(again(&world, text).await, Written::Unchanged(_)), "{text}");
        }
        assert_eq!(world.integer(count), 0);
        let reordered = r#"{"name":[{"family":"A"}],"id":"p","resourceType":"Patient"}"#;
        assert!(matches!(again(&world, reordered).await, Written::Unchanged(_)));
        let changed = PATIENT.replace("\"A\"", "\"B\"");
        assert!(matches!(again(&world, &changed).await, Written::Updated(_)));
        assert!(matches!(again(&world, PATIENT).await, Written::Updated(_)), "back to what was there before is a change");
        assert_eq!(world.integer(count), 2);
    }

    /// The time by which searches are sorted is a column of its own, which no index row need repeat.
    #[tokio::test]
    async fn another_time_for_the_order_is_a_change_unless_it_is_that_of_storage() {
        let organization = r#"{"resourceType":"Organization","id":"org","name":"A"}"#;
        let (timed, timeless) = ("id = 'o' AND type <> 255", "id = 'org' AND type <> 255");
        let world = World::of(&[PATIENT.to_owned(), OBSERVATION.to_owned(), organization.to_owned()]).await;
        let later = |text: &str| Change::Import(version(text, "later", 9_000));
        for text in [organization, PATIENT, OBSERVATION] {
            let written = world.commit(Who::Operator, vec![later(text)]).await.unwrap();
            assert!(matches!(written.as_slice(), [Written::Unchanged(_)]), "{text}: it was stored at another time");
        }
        for (text, which) in [(OBSERVATION, timed), (organization, timeless)] {
            world.tamper(&format!(
                "UPDATE resource SET neg_time = neg_time + 1 WHERE pk = (SELECT pk FROM locator WHERE {which})"
            ));
            assert!(matches!(again(&world, text).await, Written::Updated(_)), "{text}");
            assert!(matches!(again(&world, text).await, Written::Unchanged(_)), "{text}");
        }
    }

    #[tokio::test]
    async fn other_index_rows_or_a_damaged_body_are_a_change() {
        let world = World::of(&[PATIENT.to_owned(), OBSERVATION.to_owned()]).await;
        world.tamper("UPDATE index_rows SET rows = x'' WHERE pk = (SELECT pk FROM locator WHERE id = 'o' AND type <> 255)");
        assert!(matches!(again(&world, OBSERVATION).await, Written::Updated(_)));
        assert!(matches!(again(&world, OBSERVATION).await, Written::Unchanged(_)));
        world.tamper("UPDATE resource SET body = zeroblob(60) WHERE pk = (SELECT pk FROM locator WHERE id = 'p')");
        assert!(matches!(again(&world, PATIENT).await, Written::Updated(_)), "what cannot be read is replaced");
    }
}
