//! The way of a letter: to the operator's SMTP server, over TLS (RFC 5321, RFC 3207, RFC 8314, RFC 4954).
//!
//! TLS is that of every other call ([`crate::client`]), so the upgrade by STARTTLS is made here and the library speaks inside what was made. What
//! came before the handshake is thrown away, and a server that sent more than was asked before it is refused: it would count as said under TLS.
//! Without TLS only this machine is spoken to. Nothing is kept open between two letters: they are few.

use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use lettre::address::Envelope;
use lettre::transport::smtp::authentication::{Credentials, Mechanism};
use lettre::transport::smtp::client::{AsyncSmtpConnection, AsyncTokioStream};
use lettre::transport::smtp::commands::{Data, Mail, Rcpt};
use lettre::transport::smtp::extension::{ClientId, Extension, MailBodyParameter, MailParameter};
use rustls_pki_types::ServerName;
use tokio::io::{AsyncBufReadExt, AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, BufReader, ReadBuf};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

use crate::client::{Trust, TrustError, addresses_of, connect_to_one, tls_connector};
use crate::letter::{Letter, LetterError, Sender};

/// The longest time for one letter, from the first question for an address to the server's word.
const TIME: Duration = Duration::from_secs(30);
/// The longest time to part from the mail server in, when it has taken a letter.
const FAREWELL: Duration = Duration::from_millis(if cfg!(test) { 20 } else { 2_000 });
/// The longest line of a server, in bytes (RFC 5321 section 4.5.3.1.5 says 512).
const LONGEST_LINE: u64 = 1024;
/// The most lines of one reply.
const MAXIMUM_LINES: usize = 100;
/// What stands for the greeting that was read before the handshake.
const GREETED: &[u8] = b"220 TLS\r\n";

/// How a server is spoken to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MailSecurity {
    /// TLS after STARTTLS; a server that does not offer it gets nothing.
    StartTls,
    /// TLS from the first byte.
    Tls,
    /// None; the server must be this machine.
    NoneOnLoopback,
}

/// The operator's SMTP server.
#[derive(Clone)]
pub struct MailServer {
    /// Its host, for its address and its certificate.
    pub host: String,
    /// Its port.
    pub port: u16,
    /// How it is spoken to.
    pub security: MailSecurity,
    /// The name and the password there.
    pub credentials: Option<(String, String)>,
    /// Who letters come from.
    pub from: Sender,
}

impl fmt::Debug for MailServer {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let shown = (&self.host, self.port, self.security);
        formatter.debug_tuple("MailServer").field(&shown).finish_non_exhaustive()
    }
}

impl MailServer {
    /// Whether the host is written as this machine: what may be spoken to without TLS.
    pub fn is_loopback(host: &str) -> bool {
        host == "localhost" || host.parse::<std::net::IpAddr>().is_ok_and(|address| address.is_loopback())
    }
}

/// Why a letter did not go. None of these carries what the server said: it may repeat the address.
#[derive(Debug, thiserror::Error)]
pub enum MailError {
    /// The host has no address.
    #[error("the mail server's name cannot be resolved")]
    Unresolved,
    /// Without TLS, and not this machine.
    #[error("without TLS only a mail server on this machine is spoken to")]
    NotLoopback,
    /// No connection, or it broke.
    #[error("the connection to the mail server failed")]
    Connection(#[source] io::Error),
    /// The certificate or the handshake.
    #[error("TLS with the mail server failed")]
    Tls(#[source] io::Error),
    /// The server offers no STARTTLS, or did not take it.
    #[error("the mail server does not offer STARTTLS")]
    NoStartTls,
    /// More came before the handshake than was asked for.
    #[error("the mail server sent more than an answer before TLS")]
    Injected,
    /// Its words are none of the protocol, or it hung up.
    #[error("the mail server does not speak SMTP")]
    Protocol,
    /// It ended the conversation before the letter was spoken of, with this code.
    #[error("the mail server does not serve us now, with the code {0}")]
    Unwilling(u16),
    /// Name and password were not taken.
    #[error("the mail server did not take name and password")]
    Authentication,
    /// It did not take the letter, with this code.
    #[error("the mail server refused the letter with the code {0}")]
    Refused(u16),
    /// The letter is none.
    #[error(transparent)]
    Letter(#[from] LetterError),
    /// It took too long.
    #[error("the mail server took too long")]
    TooSlow,
}

impl MailError {
    /// Whether the same letter would be refused again: the address is wrong, or the letter is.
    pub fn is_final(&self) -> bool {
        match self {
            // 530 to 538 are about the way and not about the letter (RFC 4954 section 6, RFC 3207 section 4).
            Self::Refused(code) => (500..600).contains(code) && !(530..540).contains(code),
            Self::Letter(_) => true,
            _ => false,
        }
    }
}

/// Sends letters.
pub struct Mailer {
    server: MailServer,
    connector: TlsConnector,
}

impl fmt::Debug for Mailer {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_tuple("Mailer").field(&self.server).finish()
    }
}

impl Mailer {
    /// For this server, with a certificate of one of these authorities.
    pub fn new(server: MailServer, trust: Trust) -> Result<Self, TrustError> {
        Ok(Self { server, connector: tls_connector(trust, Vec::new())? })
    }

    /// Sends a letter; when this returns the server has taken it over.
    pub async fn send(&self, letter: &Letter) -> Result<(), MailError> {
        let mut connection = tokio::time::timeout(TIME, self.deliver(letter)).await.unwrap_or(Err(MailError::TooSlow))?;
        // The letter is taken: how the conversation ends, and when, changes nothing.
        let _ = tokio::time::timeout(FAREWELL, connection.quit()).await;
        Ok(())
    }

    async fn deliver(&self, letter: &Letter) -> Result<AsyncSmtpConnection, MailError> {
        let message = letter.message(&self.server.from)?;
        let hello = ClientId::Domain(self.server.from.address().domain().to_owned());
        let stream = self.connect(&hello).await?;
        let connected = AsyncSmtpConnection::connect_with_transport(stream, &hello).await;
        let mut connection = connected.map_err(|error| before_the_letter(&error))?;
        if let Some((name, password)) = &self.server.credentials {
            let credentials = Credentials::new(name.clone(), password.clone());
            let taken = connection.auth(&[Mechanism::Plain, Mechanism::Login], &credentials).await;
            taken.map_err(|error| {
                if error.is_response() || error.status().is_some() || error.is_client() {
                    MailError::Authentication
                } else {
                    spoken(&error)
                }
            })?;
        }
        hand_over(&mut connection, message.envelope(), &message.formatted()).await?;
        Ok(connection)
    }

    async fn connect(&self, hello: &ClientId) -> Result<Box<dyn AsyncTokioStream>, MailError> {
        let MailServer { host, port, security, .. } = &self.server;
        let addresses = addresses_of(host, *port).await;
        if *security == MailSecurity::NoneOnLoopback && addresses.iter().any(|address| !address.ip().is_loopback()) {
            return Err(MailError::NotLoopback);
        }
        let stream =
            connect_to_one(&addresses).await.map_err(|error| error.map_or(MailError::Unresolved, MailError::Connection))?;
        let peer = stream.peer_addr().map_err(MailError::Connection)?;
        let name = || ServerName::try_from(host.clone()).map_err(|error| MailError::Tls(io::Error::other(error)));
        Ok(match security {
            MailSecurity::NoneOnLoopback => Box::new(Opened { said: b"", stream, peer }),
            MailSecurity::Tls => {
                let stream = self.connector.connect(name()?, stream).await.map_err(MailError::Tls)?;
                Box::new(Opened { said: b"", stream, peer })
            }
            MailSecurity::StartTls => {
                let stream = upgradable(stream, hello).await?;
                let stream = self.connector.connect(name()?, stream).await.map_err(MailError::Tls)?;
                Box::new(Opened { said: GREETED, stream, peer })
            }
        })
    }
}

/// The transaction of one letter (RFC 5321 section 3.3). What is said to MAIL is about the sender, who is the same for every letter: whatever it is, no letter
/// has been refused by it, and whoever runs this server has to mend it. From RCPT on it is about the letter.
async fn hand_over(connection: &mut AsyncSmtpConnection, envelope: &Envelope, message: &[u8]) -> Result<(), MailError> {
    let mut parameters = Vec::new();
    if !message.is_ascii() {
        if !connection.server_info().supports_feature(Extension::EightBitMime) {
            return Err(MailError::Protocol);
        }
        parameters.push(MailParameter::Body(MailBodyParameter::EightBitMime));
    }
    let sender = Mail::new(envelope.from().cloned(), parameters);
    connection.command(sender).await.map_err(|error| before_the_letter(&error))?;
    for address in envelope.to() {
        connection.command(Rcpt::new(address.clone(), Vec::new())).await.map_err(|error| spoken(&error))?;
    }
    connection.command(Data).await.map_err(|error| spoken(&error))?;
    connection.message(message).await.map_err(|error| spoken(&error))?;
    Ok(())
}

/// What an error means that came before the letter was spoken of.
fn before_the_letter(error: &lettre::transport::smtp::Error) -> MailError {
    match spoken(error) {
        MailError::Refused(code) => MailError::Unwilling(code),
        other => other,
    }
}

/// What an error of the library means.
fn spoken(error: &lettre::transport::smtp::Error) -> MailError {
    match error.status() {
        Some(code) => MailError::Refused(u16::from(code)),
        None if error.is_timeout() => MailError::TooSlow,
        None => MailError::Protocol,
    }
}

/// Speaks up to the point at which the handshake begins (RFC 3207 section 4).
async fn upgradable(stream: TcpStream, hello: &ClientId) -> Result<TcpStream, MailError> {
    let mut stream = BufReader::new(stream);
    if reply(&mut stream).await?.0 != 220 {
        return Err(MailError::Protocol);
    }
    let (code, lines) = ask(&mut stream, &format!("EHLO {hello}\r\n")).await?;
    if code != 250 || !lines.iter().any(|line| line.eq_ignore_ascii_case("STARTTLS")) {
        return Err(MailError::NoStartTls);
    }
    if ask(&mut stream, "STARTTLS\r\n").await?.0 != 220 {
        return Err(MailError::NoStartTls);
    }
    if stream.buffer().is_empty() { Ok(stream.into_inner()) } else { Err(MailError::Injected) }
}

async fn ask(stream: &mut BufReader<TcpStream>, command: &str) -> Result<(u16, Vec<String>), MailError> {
    stream.get_mut().write_all(command.as_bytes()).await.map_err(MailError::Connection)?;
    reply(stream).await
}

/// One reply: its code and the text of its lines.
async fn reply(stream: &mut BufReader<TcpStream>) -> Result<(u16, Vec<String>), MailError> {
    let mut lines = Vec::new();
    while lines.len() < MAXIMUM_LINES {
        let mut line = Vec::new();
        (&mut *stream).take(LONGEST_LINE).read_until(b'\n', &mut line).await.map_err(MailError::Connection)?;
        let line = std::str::from_utf8(&line).ok().and_then(|line| line.strip_suffix("\r\n")).ok_or(MailError::Protocol)?;
        let (code, rest) = line.split_at_checked(3).ok_or(MailError::Protocol)?;
        let code = code.parse().map_err(|_| MailError::Protocol)?;
        let last = !rest.starts_with('-');
        lines.push(rest.trim_start_matches(['-', ' ']).to_owned());
        if last {
            return Ok((code, lines));
        }
    }
    Err(MailError::Protocol)
}

/// A stream on which something was said before.
struct Opened<S> {
    said: &'static [u8],
    stream: S,
    peer: SocketAddr,
}

impl<S> fmt::Debug for Opened<S> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "Opened({})", self.peer)
    }
}

impl<S: AsyncRead + AsyncWrite + Send + Sync + Unpin> AsyncTokioStream for Opened<S> {
    fn peer_addr(&self) -> io::Result<SocketAddr> {
        Ok(self.peer)
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Opened<S> {
    fn poll_read(mut self: Pin<&mut Self>, context: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        if self.said.is_empty() {
            return Pin::new(&mut self.stream).poll_read(context, buffer);
        }
        let (now, later) = self.said.split_at(self.said.len().min(buffer.remaining()));
        buffer.put_slice(now);
        self.said = later;
        Poll::Ready(Ok(()))
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Opened<S> {
    fn poll_write(mut self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(context, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}

#[cfg(test)]
mod tests;
