//! The pages on which people who build apps register sandbox clients, try them, and read what was refused.

use portcullis_oauth::identifiers::ClientId;

/// Where such a request goes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum DevelopersRoute {
    /// `/developers`: the own sandbox clients.
    Start,
    /// `/developers/new`: registers one.
    New,
    /// `/developers/callback`: where a launch that was begun on a client's page comes back to.
    Callback,
    /// `/developers/clients/ID`: one client, and what can be done to it.
    Client(ClientId, SandboxAction),
}

/// What is done to a sandbox client.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum SandboxAction {
    /// Shows it, how to try it, and its last refusals.
    Show,
    /// `/edit`: changes it.
    Edit,
    /// `/secret`: gives it a new secret.
    Secret,
    /// `/remove`: removes it.
    Remove,
}

impl DevelopersRoute {
    /// Where a try comes back to.
    pub const CALLBACK: &'static str = "/developers/callback";

    /// The route of a path that is none of the fixed ones.
    pub fn of(path: &str) -> Option<Self> {
        let rest = path.strip_prefix("/developers/clients/")?;
        let (id, action) = match rest.split_once('/') {
            None => (rest, SandboxAction::Show),
            Some((id, "edit")) => (id, SandboxAction::Edit),
            Some((id, "secret")) => (id, SandboxAction::Secret),
            Some((id, "remove")) => (id, SandboxAction::Remove),
            Some(_) => return None,
        };
        // Ids of sandbox clients are made here, of characters that stand for themselves in a path.
        let unreserved = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_');
        ClientId::parse(id).filter(|_| id.bytes().all(unreserved)).map(|id| Self::Client(id, action))
    }

    /// The page of a client.
    pub fn page_of(client: &ClientId) -> String {
        format!("/developers/clients/{client}")
    }

    /// Which methods it takes.
    pub fn methods(&self) -> &'static str {
        match self {
            Self::Start | Self::Callback | Self::Client(_, SandboxAction::Show) => "GET, HEAD",
            Self::New | Self::Client(_, SandboxAction::Edit) => "GET, HEAD, POST",
            Self::Client(_, SandboxAction::Secret | SandboxAction::Remove) => "POST",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_has_one_spelling_and_an_action_is_one_of_three() {
        let id = ClientId::parse("a1").unwrap();
        assert_eq!(DevelopersRoute::of("/developers/clients/a1"), Some(DevelopersRoute::Client(id.clone(), SandboxAction::Show)));
        assert_eq!(DevelopersRoute::of("/developers/clients/a1/edit"), Some(DevelopersRoute::Client(id, SandboxAction::Edit)));
        for path in [
            "/developers/",
            "/developers/clients",
            "/developers/clients/",
            "/developers/clients/a1/",
            "/developers/clients/a1/show",
            "/developers/clients/a1/edit/x",
            "/developers/clients/%61",
            "/developers/clients/..",
            "/developers/clients//edit",
        ] {
            assert_eq!(DevelopersRoute::of(path), None, "{path}");
        }
    }
}
