//! People who sign in all at once, the bare hash beside, and what an app that reads meanwhile notices of them.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use http_body_util::Full;
use hyper::client::conn::http1::{SendRequest, handshake};
use hyper_util::rt::TokioIo;
use portcullis_server::authorization_server::accounts::password::hash_now;
use portcullis_testkit::app::{cookie, hidden};
use portcullis_testkit::client::Pending;
use portcullis_testkit::{Client, Reply};
use rustls_pki_types::CertificateDer;
use rustls_pki_types::pem::PemObject;
use serde_json::{Value, json};

use crate::cost::{self, percentile_microseconds};

/// People who sign in at the same time. The server hashes for two of them and lets the others wait.
const PEOPLE: usize = 8;
/// An app asks for the next resource when this time is over.
const BETWEEN_READS: Duration = Duration::from_millis(10);

/// The product's hash alone, with the same parameters, again and again.
pub fn bare(count: usize) -> Value {
    let taken = cost::measure(|| {
        for number in 0..count {
            std::hint::black_box(hash_now("correct horse battery staple", [u8::try_from(number % 251).unwrap(); 16]).unwrap());
        }
    });
    json!({ "cost": taken.cpu_seconds * 1e6 / count as f64, "rate": count as f64 / taken.seconds })
}

/// Where people sign in, and what an app reads.
pub struct Place<'a> {
    /// `127.0.0.1:PORT`
    pub address: &'a str,
    /// The certificate to trust.
    pub authority: &'a str,
    /// The file of an access token, and the path that it opens.
    pub token: &'a str,
    pub path: &'a str,
    /// A person, and the password.
    pub person: [&'a str; 2],
}

/// Reads alone for so many seconds, then sign-ins alone, then both.
pub fn run(place: &Place<'_>, seconds: u64) -> Value {
    let authority = CertificateDer::from_pem_file(place.authority).unwrap();
    let client = Client::new(place.address.parse::<SocketAddr>().unwrap(), "localhost", &[authority]);
    let token = std::fs::read_to_string(place.token).unwrap();
    let (path, length) = (place.path.to_owned(), Duration::from_secs(seconds));
    let person: Arc<[String; 2]> = Arc::new(place.person.map(str::to_owned));
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let mut idle = reads(&client, &token, &path, length).await;
        let begun = Instant::now();
        let mut alone = sign_ins(&client, &person, length).await;
        let rate = alone.len() as f64 / begun.elapsed().as_secs_f64();
        let (mut beside, together) = tokio::join!(reads(&client, &token, &path, length), sign_ins(&client, &person, length));
        json!({
            "logins": alone.len(), "rate": rate, "logins_beside_reads": together.len(),
            "p50": percentile_microseconds(&mut alone, 50), "p99": percentile_microseconds(&mut alone, 99),
            "idle_read_p50": percentile_microseconds(&mut idle, 50), "idle_read_p99": percentile_microseconds(&mut idle, 99),
            "read_p50": percentile_microseconds(&mut beside, 50), "read_p99": percentile_microseconds(&mut beside, 99),
        })
    })
}

/// A connection of its own, as a browser has.
async fn connected(client: &Client) -> SendRequest<Full<Bytes>> {
    let stream = TokioIo::new(client.connect().await.unwrap());
    let (sender, connection) = handshake(stream).await.unwrap();
    tokio::spawn(async { drop(connection.await) });
    sender
}

async fn ask(sender: &mut SendRequest<Full<Bytes>>, request: Pending<'_>) -> Reply {
    Reply::read(sender.send_request(request.build()).await.unwrap()).await.unwrap()
}

/// One read at a time over one connection; how long each took.
async fn reads(client: &Client, token: &str, path: &str, length: Duration) -> Vec<Duration> {
    let mut sender = connected(client).await;
    let (begun, mut took) = (Instant::now(), Vec::new());
    while begun.elapsed() < length {
        let asked = Instant::now();
        let reply = ask(&mut sender, client.get(path).bearer(token)).await;
        assert_eq!(reply.status, 200, "{}", reply.text());
        took.push(asked.elapsed());
        tokio::time::sleep(BETWEEN_READS).await;
    }
    took
}

/// Everybody signs in again and again; how long each password took.
async fn sign_ins(client: &Client, person: &Arc<[String; 2]>, length: Duration) -> Vec<Duration> {
    let begun = Instant::now();
    let people: Vec<_> = (0..PEOPLE)
        .map(|_| {
            let (client, person) = (client.clone(), Arc::clone(person));
            tokio::spawn(async move {
                let mut took = Vec::new();
                while begun.elapsed() < length {
                    took.push(sign_in(&client, &person).await);
                }
                took
            })
        })
        .collect();
    let mut took = Vec::new();
    for one in people {
        took.extend(one.await.unwrap());
    }
    took
}

async fn sign_in(client: &Client, [username, password]: &[String; 2]) -> Duration {
    let mut sender = connected(client).await;
    let page = ask(&mut sender, client.get("/login")).await;
    let csrf = hidden(&page, "csrf");
    let fields = [("csrf", csrf.as_str()), ("return_to", "/me"), ("username", username), ("password", password)];
    let asked = Instant::now();
    let reply = ask(&mut sender, client.post("/login").header("cookie", &cookie(&page)).form(&fields)).await;
    assert_eq!(reply.status, 303, "{}", reply.text());
    asked.elapsed()
}
