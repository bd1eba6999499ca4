//! Paths under which clients are managed as JSON: by administrators, and by clients that register themselves.

use portcullis_oauth::identifiers::ClientId;

/// Where a request about clients goes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ClientRoute {
    /// `/admin/clients`: all of them.
    All,
    /// `/admin/clients/ID`
    One(ClientId),
    /// `/oauth/register` (RFC 7591).
    Register,
    /// `/oauth/register/ID` (RFC 7592).
    Registration(ClientId),
}

impl ClientRoute {
    /// The route of a raw path. An id is compared byte for byte, so one with other than unreserved characters has no path.
    pub fn of(path: &str) -> Option<Self> {
        let id = |text: &str| {
            let unreserved = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~');
            ClientId::parse(text).filter(|_| text.bytes().all(unreserved) && text != "." && text != "..")
        };
        if let Some(rest) = path.strip_prefix("/admin/clients/") {
            return id(rest).map(Self::One);
        }
        path.strip_prefix("/oauth/register/").and_then(id).map(Self::Registration)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_has_one_spelling() {
        let one = ClientId::parse("growth-chart").unwrap();
        assert_eq!(ClientRoute::of("/admin/clients/growth-chart"), Some(ClientRoute::One(one.clone())));
        assert_eq!(ClientRoute::of("/oauth/register/growth-chart"), Some(ClientRoute::Registration(one)));
        for path in
            ["/admin/clients/", "/admin/clients/a/b", "/admin/clients/%61", "/admin/clients/..", "/oauth/register", "/admin"]
        {
            assert_eq!(ClientRoute::of(path), None, "{path}");
        }
    }
}
