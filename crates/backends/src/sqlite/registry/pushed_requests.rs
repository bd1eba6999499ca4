//! Authorization requests that came ahead of their browser (RFC 9126), and those that go on with one.

use portcullis_oauth::grant::SecretHash;
use portcullis_oauth::identifiers::ClientId;
use portcullis_oauth::pushed_request::{RequestOrigin, StoredRequest};
use portcullis_store::StoreError;
use portcullis_store::registry::TOO_MANY_PUSHED;
use rusqlite::{Connection, params};

use super::statements::{column, conflict, execute, one, parsed};

/// The most requests that are kept of public clients, who may push some without proving anything, and as many of all others. What these signed comes from browsers, too,
/// which prove nothing: each network has a share of it, as of what public clients push.
pub const MAXIMUM_REQUESTS: i64 = 20_000;
/// The most of one client that wait, so that whoever pushes in the name of a public one keeps no other from it.
pub const MAXIMUM_REQUESTS_OF_CLIENT: i64 = 2_000;
/// The most of one client that browsers have begun with: these live longer.
pub const MAXIMUM_BEGUN_OF_CLIENT: i64 = 8_000;
/// The most of one client that wait for a browser from one network, so that whoever pushes from there keeps no other network from it.
pub const MAXIMUM_REQUESTS_OF_NETWORK: i64 = 250;
/// The most of those that people of one network have begun with: many may sign in from one.
pub const MAXIMUM_BEGUN_OF_NETWORK: i64 = 1_000;
/// The most of one network, of all clients together.
pub const MAXIMUM_OF_NETWORK: i64 = 2_000;

/// Keeps a request.
pub fn add(connection: &Connection, request: &StoredRequest, now: i64) -> Result<(), StoreError> {
    let sql = "INSERT INTO pushed_request (hash, client, query, pushed, signed, begun, expires_at, network) \
               SELECT ?1, ?2, ?3, ?4, ?5, ?6, ?7, ?11 \
               WHERE (?11 = '' OR (SELECT count(*) FROM pushed_request WHERE client = ?2 AND network = ?11 AND begun = ?6 AND expires_at > ?8) < ?12) \
               AND (?11 = '' OR (SELECT count(*) FROM pushed_request WHERE network = ?11 AND expires_at > ?8) < ?13) \
               AND (SELECT count(*) FROM pushed_request WHERE client = ?2 AND begun = ?6 AND expires_at > ?8) < ?10 \
               AND (SELECT count(*) FROM pushed_request WHERE (pushed AND network <> '') = (?4 AND ?11 <> '') AND expires_at > ?8) < ?9";
    let (of_client, of_network) = match request.begun {
        true => (MAXIMUM_BEGUN_OF_CLIENT, MAXIMUM_BEGUN_OF_NETWORK),
        false => (MAXIMUM_REQUESTS_OF_CLIENT, MAXIMUM_REQUESTS_OF_NETWORK),
    };
    let row = params![
        request.hash.as_bytes().as_slice(),
        request.client.as_str(),
        request.query,
        request.origin.pushed,
        request.origin.signed,
        request.begun,
        request.expires_at,
        now,
        MAXIMUM_REQUESTS,
        of_client,
        request.network.as_deref().unwrap_or_default(),
        of_network,
        MAXIMUM_OF_NETWORK,
    ];
    match execute(connection, sql, row)? {
        0 => Err(conflict(TOO_MANY_PUSHED)),
        _ => Ok(()),
    }
}

/// Spends the handle of a request that waits, and keeps what goes on.
pub fn begin(connection: &Connection, waiting: &SecretHash, continued: &StoredRequest, now: i64) -> Result<(), StoreError> {
    let sql = "DELETE FROM pushed_request WHERE hash = ?1 AND begun = 0 AND client = ?2 AND expires_at > ?3";
    match execute(connection, sql, params![waiting.as_bytes().as_slice(), continued.client.as_str(), now])? {
        0 => Err(conflict("the request_uri was used before")),
        _ => add(connection, continued, now),
    }
}

/// A request as it is kept.
pub fn by_hash(connection: &Connection, hash: &SecretHash) -> Result<Option<StoredRequest>, StoreError> {
    let sql = "SELECT client, query, pushed, signed, begun, expires_at, network FROM pushed_request WHERE hash = ?1";
    one(connection, sql, [hash.as_bytes().as_slice()], |row| {
        Ok(StoredRequest {
            hash: *hash,
            client: parsed(row, "client", ClientId::parse)?,
            query: column(row, "query")?,
            origin: RequestOrigin { pushed: column(row, "pushed")?, signed: column(row, "signed")? },
            begun: column(row, "begun")?,
            expires_at: column(row, "expires_at")?,
            network: Some(column(row, "network")?).filter(|network: &String| !network.is_empty()),
        })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: i64 = 1_800_000_000;

    fn request(client: &str, handle: &str) -> StoredRequest {
        StoredRequest {
            hash: SecretHash::of(handle),
            client: ClientId::parse(client).unwrap(),
            query: "x=y".into(),
            origin: RequestOrigin { pushed: true, signed: false },
            begun: false,
            expires_at: NOW + 60,
            network: None,
        }
    }

    fn from(network: &str, handle: &str) -> StoredRequest {
        StoredRequest { network: Some(network.to_owned()), ..request("public", handle) }
    }

    fn connection() -> Connection {
        let connection = Connection::open_in_memory().unwrap();
        connection.execute_batch("CREATE TABLE client (id TEXT)").unwrap();
        connection.execute_batch(include_str!("../../migrations/0009_client_properties.sql")).unwrap();
        connection.execute_batch(include_str!("../../migrations/0030_pushed_by_network.sql")).unwrap();
        connection.execute_batch(include_str!("../../migrations/0032_shares_of_pushed.sql")).unwrap();
        connection
    }

    fn fill(connection: &Connection, how_many: i64, network: &str) {
        fill_of(connection, how_many, (network, "public"), false);
    }

    fn fill_of(connection: &Connection, how_many: i64, (network, client): (&str, &str), begun: bool) {
        let fill = "WITH RECURSIVE number (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM number WHERE n < ?1) \
                    INSERT INTO pushed_request SELECT randomblob(32), ?4, 'x=y', 1, 0, ?5, ?2, ?3 FROM number";
        connection.execute(fill, params![how_many, NOW + 60, network, client, begun]).unwrap();
    }

    fn is_full(connection: &Connection, request: &StoredRequest) -> bool {
        match add(connection, request, NOW) {
            Ok(()) => false,
            Err(error) => {
                assert!(format!("{error:?}").contains(TOO_MANY_PUSHED), "{error:?}");
                true
            }
        }
    }

    #[test]
    fn what_browsers_have_begun_with_has_a_share_of_its_own() {
        let connection = connection();
        let begun = |network: &str, handle: &str| StoredRequest { begun: true, ..from(network, handle) };
        fill_of(&connection, MAXIMUM_BEGUN_OF_NETWORK - 1, ("192.0.2.1", "public"), true);
        assert!(!is_full(&connection, &begun("192.0.2.1", "last")));
        assert!(is_full(&connection, &begun("192.0.2.1", "one more")));
        assert!(!is_full(&connection, &from("192.0.2.1", "waits")));
        // A few networks together do not fill it for all others.
        for network in 2..=7 {
            fill_of(&connection, MAXIMUM_BEGUN_OF_NETWORK, (&format!("192.0.2.{network}"), "public"), true);
        }
        assert!(!is_full(&connection, &begun("198.51.100.1", "elsewhere")));
        assert!(!is_full(&connection, &from("198.51.100.1", "elsewhere waits")));
    }

    #[test]
    fn one_network_has_one_share_of_all_public_clients_and_none_of_what_others_have() {
        let connection = connection();
        for client in 0..20 {
            fill_of(&connection, MAXIMUM_OF_NETWORK / 20, ("192.0.2.1", &format!("app-{client}")), false);
        }
        assert!(is_full(&connection, &from("192.0.2.1", "more")));
        assert!(!is_full(&connection, &from("198.51.100.1", "elsewhere")));
        for network in 2..=10 {
            fill_of(&connection, MAXIMUM_OF_NETWORK, (&format!("192.0.2.{network}"), "other"), true);
        }
        assert!(is_full(&connection, &from("198.51.100.2", "all is full")));
        assert!(!is_full(&connection, &request("confidential", "of one who proves who it is")));
    }

    #[test]
    fn one_network_does_not_fill_the_share_of_a_public_client() {
        let connection = connection();
        fill(&connection, MAXIMUM_REQUESTS_OF_NETWORK - 1, "192.0.2.1");
        add(&connection, &from("192.0.2.1", "last"), NOW).unwrap();
        let refused = add(&connection, &from("192.0.2.1", "one more"), NOW).unwrap_err();
        assert!(format!("{refused:?}").contains(TOO_MANY_PUSHED), "{refused:?}");
        add(&connection, &from("198.51.100.1", "elsewhere"), NOW).unwrap();
        add(&connection, &request("public", "of nowhere"), NOW).unwrap();
        add(&connection, &StoredRequest { client: ClientId::parse("other").unwrap(), ..from("192.0.2.1", "another app") }, NOW)
            .unwrap();
        assert_eq!(by_hash(&connection, &SecretHash::of("last")).unwrap().unwrap().network.as_deref(), Some("192.0.2.1"));
        // What waited and was begun is one, not two.
        begin(&connection, &SecretHash::of("last"), &from("192.0.2.1", "begun"), NOW).unwrap();
        add(&connection, &from("192.0.2.1", "later"), NOW + 60).unwrap();
    }

    /// Whoever has a signed request of an app, which stands in the address of a browser, can begin with it again and again.
    #[test]
    fn signed_requests_of_one_network_keep_no_other_from_the_app_and_none_of_the_public_ones() {
        let connection = connection();
        let signed = |network: &str, handle: &str| StoredRequest {
            origin: RequestOrigin { pushed: false, signed: true },
            begun: true,
            network: Some(network.to_owned()),
            ..request("confidential", handle)
        };
        for number in 0..MAXIMUM_BEGUN_OF_NETWORK {
            assert!(!is_full(&connection, &signed("192.0.2.1", &format!("{number}"))));
        }
        assert!(is_full(&connection, &signed("192.0.2.1", "one more")));
        assert!(!is_full(&connection, &signed("198.51.100.1", "elsewhere")));
        assert!(!is_full(&connection, &request("confidential", "pushed")));
        for network in 2..=10 {
            fill_of(&connection, MAXIMUM_OF_NETWORK, (&format!("192.0.2.{network}"), "other"), true);
        }
        fill_of(&connection, MAXIMUM_OF_NETWORK, ("192.0.2.11", "other"), true);
        assert!(is_full(&connection, &from("203.0.113.1", "of a public client")));
        assert!(!is_full(&connection, &signed("203.0.113.1", "signed")));
    }

    #[test]
    fn whoever_fills_the_share_of_one_client_keeps_no_other_out() {
        let connection = connection();
        fill(&connection, MAXIMUM_REQUESTS_OF_CLIENT - 1, "");
        add(&connection, &request("public", "last"), NOW).unwrap();
        let refused = add(&connection, &request("public", "one more"), NOW).unwrap_err();
        assert!(format!("{refused:?}").contains(TOO_MANY_PUSHED), "{refused:?}");
        add(&connection, &request("other", "other"), NOW).unwrap();
        add(&connection, &request("public", "later"), NOW + 60).unwrap();
    }
}
