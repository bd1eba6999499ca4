//! Token requests made ahead, what their bare cryptography costs, and a registry full of grants.

use std::fmt::Write as _;
use std::path::Path;
use std::time::{SystemTime, UNIX_EPOCH};

use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_FIXED_SIGNING, ECDSA_P384_SHA384_FIXED, ECDSA_P384_SHA384_FIXED_SIGNING, EcdsaKeyPair, KeyPair as _,
    UnparsedPublicKey,
};
use portcullis_jose::digest::sha256;
use portcullis_testkit::ClientKey;
use portcullis_testkit::backend::ASSERTION_TYPE;
use rusqlite::{Connection, ToSql};
use serde_json::{Value, json};

use crate::cost;

/// Bytes that are signed in an access token of a client's own, about.
const TOKEN_BYTES: usize = 480;
/// Bytes that are signed in a client assertion, about.
const ASSERTION_BYTES: usize = 420;

fn now() -> i64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs().try_into().unwrap()
}

/// Writes bodies of client_credentials requests, one a line, each with an assertion of its own that is good for less than five minutes.
pub fn requests(keys: &str, client: &str, audience: &str, count: usize, output: &str) -> Value {
    let key = ClientKey::of_private_set(&std::fs::read_to_string(keys).unwrap());
    let (header, until) = (key.header(), now() + 290);
    let series = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_nanos();
    let kind = ASSERTION_TYPE.replace(':', "%3A");
    let mut text = String::new();
    for number in 0..count {
        let claims = json!({"iss": client, "sub": client, "aud": audience, "exp": until, "jti": format!("{series:x}-{number}")});
        let assertion = key.sign(&header, &claims);
        let fixed = "grant_type=client_credentials&scope=system%2F*.rs";
        writeln!(text, "{fixed}&client_assertion_type={kind}&client_assertion={assertion}").unwrap();
    }
    std::fs::write(output, text).unwrap();
    json!({ "requests": count })
}

/// What no token endpoint can do without: one ES384 signature verified, one ES256 signature made.
pub fn bare(count: usize) -> Value {
    let random = SystemRandom::new();
    let client = EcdsaKeyPair::generate(&ECDSA_P384_SHA384_FIXED_SIGNING).unwrap();
    let server = EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING).unwrap();
    let (assertion, token) = (vec![7; ASSERTION_BYTES], vec![9; TOKEN_BYTES]);
    let signature = client.sign(&random, &assertion).unwrap();
    let public = UnparsedPublicKey::new(&ECDSA_P384_SHA384_FIXED, client.public_key().as_ref());
    let taken = cost::measure(|| {
        for _ in 0..count {
            public.verify(&assertion, signature.as_ref()).unwrap();
            std::hint::black_box(server.sign(&random, &token).unwrap());
        }
    });
    json!({ "cost": taken.cpu_seconds * 1e6 / count as f64 })
}

/// People between whom copied grants are divided.
const PEOPLE: usize = 1000;

/// Copies the standing grant of a client, with its refresh token, so many times, for people who are copies of the one who gave it, and writes
/// bodies of refresh requests, one a line. No server may run.
pub fn grants(database: &Path, client: &str, count: usize, output: &str) -> Value {
    let mut connection = Connection::open(database).unwrap();
    let transaction = connection.transaction().unwrap();
    let sql = "SELECT refresh.grant_id, grant_.user FROM refresh JOIN grant_ ON grant_.id = refresh.grant_id \
               WHERE grant_.client = ?1 AND grant_.revoked_at IS NULL AND refresh.superseded = 0";
    let (template, person): (String, String) =
        transaction.query_row(sql, [client], |row| Ok((row.get(0)?, row.get(1)?))).unwrap();
    let series = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_nanos();
    let user = copying(&transaction, "user", &[("id", "?2"), ("username", "?2"), ("username_key", "?2")], "id = ?1");
    // A demo ends the grants of its own session when it starts.
    let grant = copying(&transaction, "grant_", &[("id", "?2"), ("user", "?3"), ("session", "'bench'")], "id = ?1");
    let refresh = copying(&transaction, "refresh", &[("hash", "?3"), ("grant_id", "?2")], "grant_id = ?1 AND superseded = 0");
    let copy = |sql: &str, values: &[&dyn ToSql]| {
        assert_eq!(transaction.prepare_cached(sql).unwrap().execute(values).unwrap(), 1);
    };
    let people: Vec<String> = (0..PEOPLE.min(count)).map(|number| format!("u{series:x}-{number}")).collect();
    people.iter().for_each(|id| copy(&user, &[&person, id]));
    let mut text = String::new();
    for (number, person) in people.iter().cycle().take(count).enumerate() {
        let (id, token) = (format!("g{series:x}-{number}"), format!("bench-{series:x}-{number}"));
        copy(&grant, &[&template, &id, person]);
        copy(&refresh, &[&template, &id, &sha256(&token).as_slice()]);
        writeln!(text, "grant_type=refresh_token&refresh_token={token}").unwrap();
    }
    transaction.commit().unwrap();
    std::fs::write(output, text).unwrap();
    json!({ "grants": count })
}

/// A statement that copies rows with these columns replaced.
fn copying(connection: &Connection, table: &str, replaced: &[(&str, &str)], which: &str) -> String {
    let mut statement = connection.prepare(&format!("SELECT name FROM pragma_table_info('{table}')")).unwrap();
    let columns: Vec<String> = statement.query_map([], |row| row.get(0)).unwrap().map(Result::unwrap).collect();
    let value = |column: &String| {
        replaced.iter().find(|(name, _)| name == column).map_or(column.clone(), |(_, value)| (*value).to_owned())
    };
    let values: Vec<String> = columns.iter().map(value).collect();
    format!("INSERT INTO {table} ({}) SELECT {} FROM {table} WHERE {which}", columns.join(", "), values.join(", "))
}
