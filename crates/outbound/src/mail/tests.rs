//! What a mail server may not get by with before TLS. A real one is spoken to in `tests/it/mail`.

use tokio::net::TcpListener;

use super::*;
use crate::letter::MailAddress;

/// A server that says these lines, each after it was spoken to, and tells what it heard.
async fn scripted(lines: &'static [&'static str]) -> (u16, tokio::task::JoinHandle<String>) {
    let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let heard = tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        let mut heard = Vec::new();
        for line in lines {
            stream.write_all(line.as_bytes()).await.unwrap();
            let mut bytes = [0; 4096];
            match stream.read(&mut bytes).await {
                Ok(count @ 1..) => heard.extend_from_slice(&bytes[..count]),
                _ => break,
            }
        }
        String::from_utf8_lossy(&heard).into_owned()
    });
    (port, heard)
}

async fn send(host: &str, port: u16, security: MailSecurity) -> MailError {
    sent(host, port, security).await.unwrap_err()
}

async fn sent(host: &str, port: u16, security: MailSecurity) -> Result<(), MailError> {
    let server = MailServer {
        host: host.to_owned(),
        port,
        security,
        credentials: Some(("name".into(), "pass-word".into())),
        from: Sender::parse("noreply@hospital.example").unwrap(),
    };
    let to = MailAddress::parse("ann@example.org").unwrap();
    let letter = Letter { id: "1".into(), to, subject: "s".into(), text: "secret".into(), written_at: 0 };
    Mailer::new(server, Trust::of_the_web()).unwrap().send(&letter).await
}

#[tokio::test]
async fn nothing_is_told_to_a_server_without_tls() {
    for (lines, expected) in [
        (&["220 hi\r\n", "250-host\r\n250 AUTH PLAIN\r\n"][..], "NoStartTls"),
        (&["220 hi\r\n", "250-host\r\n250 STARTTLS\r\n", "454 not now\r\n"], "NoStartTls"),
        (&["220 hi\r\n", "250-host\r\n250 STARTTLS\r\n", "220 go\r\n250 AUTH PLAIN\r\n"], "Injected"),
        (&["220 hi\r\n", "250-host\r\n250 STARTTLS\r\n", "220 go\r\n", "no TLS here\r\n"], "Tls"),
        (&["554 go away\r\n"], "Protocol"),
        (&["hello\r\n"], "Protocol"),
        (&["220 hi\n"], "Protocol"),
    ] {
        let (port, heard) = scripted(lines).await;
        let error = send("127.0.0.1", port, MailSecurity::StartTls).await;
        assert!(format!("{error:?}").starts_with(expected), "{error:?}: {lines:?}");
        assert!(!error.is_final(), "{error:?}: it is tried again");
        let heard = heard.await.unwrap();
        assert!(!heard.contains("AUTH") && !heard.contains("MAIL") && !heard.contains("secret"), "{heard}");
    }
}

#[tokio::test]
async fn a_server_that_serves_nobody_has_not_refused_the_letter() {
    for lines in [&["554 no service here\r\n"][..], &["220 hi\r\n", "550 not you\r\n", "550 not you\r\n"]] {
        let (port, _heard) = scripted(lines).await;
        let error = send("127.0.0.1", port, MailSecurity::NoneOnLoopback).await;
        assert!(matches!(error, MailError::Unwilling(550 | 554)) && !error.is_final(), "{error:?}");
    }
}

#[tokio::test]
async fn a_sender_who_is_refused_ends_no_letter_and_an_address_that_is_refused_ends_its_own() {
    for (mail, rcpt, data, refused) in [
        ("550 sender unknown\r\n", "", "", None),
        ("553 not your name\r\n", "", "", None),
        ("451 later\r\n", "", "", None),
        ("250 fine\r\n", "550 no such mailbox\r\n", "", Some(550)),
        ("250 fine\r\n", "250 fine\r\n", "554 no\r\n", Some(554)),
    ] {
        let lines = ["220 hi\r\n", "250-host\r\n250 AUTH PLAIN\r\n", "235 welcome\r\n", mail, rcpt, data];
        let lines: Vec<&'static str> = lines.into_iter().filter(|line| !line.is_empty()).collect();
        let (port, heard) = scripted(lines.leak()).await;
        let error = send("127.0.0.1", port, MailSecurity::NoneOnLoopback).await;
        let said = match error {
            MailError::Unwilling(_) => None,
            MailError::Refused(code) => Some(code),
            other => panic!("{other:?}"),
        };
        assert_eq!((said, error.is_final()), (refused, refused.is_some()), "{mail} {rcpt} {data}");
        assert!(heard.await.unwrap().contains("MAIL FROM:<noreply@hospital.example>"));
    }
}

#[tokio::test]
async fn a_letter_that_was_taken_is_sent_however_the_conversation_ends() {
    let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let heard = tokio::spawn(async move {
        let (stream, _) = listener.accept().await.unwrap();
        let mut stream = BufReader::new(stream);
        stream.get_mut().write_all(b"220 hi\r\n").await.unwrap();
        let (mut heard, mut content) = (Vec::new(), false);
        loop {
            let mut line = String::new();
            if stream.read_line(&mut line).await.unwrap_or(0) == 0 {
                return heard;
            }
            let answer = match line.split_whitespace().next().unwrap_or_default() {
                "." => "250 taken\r\n",
                _ if content => "",
                "EHLO" => "250-host\r\n250 AUTH PLAIN\r\n",
                "AUTH" => "235 welcome\r\n",
                "DATA" => "354 go on\r\n",
                // No word of farewell.
                "QUIT" => "",
                _ => "250 fine\r\n",
            };
            content = (content || answer.starts_with("354")) && !answer.ends_with("taken\r\n");
            stream.get_mut().write_all(answer.as_bytes()).await.unwrap();
            heard.push(line);
        }
    });
    sent("127.0.0.1", port, MailSecurity::NoneOnLoopback).await.unwrap();
    assert_eq!(heard.await.unwrap().last().map(String::as_str), Some("QUIT\r\n"));
}

#[tokio::test]
async fn without_tls_another_machine_is_not_spoken_to() {
    for host in ["192.0.2.1", "10.0.0.1", "::ffff:192.0.2.1"] {
        assert!(matches!(send(host, 25, MailSecurity::NoneOnLoopback).await, MailError::NotLoopback), "{host}");
    }
    assert!(matches!(send("127.0.0.1", 1, MailSecurity::NoneOnLoopback).await, MailError::Connection(_)));
}

#[test]
fn only_what_is_about_the_letter_is_final() {
    for (code, is_final) in
        [(450, false), (421, false), (530, false), (535, false), (538, false), (550, true), (552, true), (554, true)]
    {
        assert_eq!(MailError::Refused(code).is_final(), is_final, "{code}");
    }
    assert!(!MailError::Authentication.is_final() && !MailError::TooSlow.is_final() && MailError::Letter(LetterError).is_final());
}
