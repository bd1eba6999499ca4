//! Who asks, as the consent screen tells it. Every word of the app's own was made harmless before it comes here.

/// The app that asks.
#[derive(Clone, Debug, Default)]
pub struct AskingApp {
    /// Its name.
    pub name: String,
    /// The address of its logo on this server, where it has one.
    pub logo: Option<String>,
    /// The host that the answer goes to, in ASCII.
    pub redirect_host: String,
    /// The scheme by which the answer goes to an app on the person's device instead, where it does.
    pub redirect_scheme: Option<String>,
    /// Whether that host has letters that may look like others.
    pub has_lookalike_host: bool,
    /// Whether it registered itself; otherwise the operator did.
    pub registered_itself: bool,
    /// Whether somebody with an account here registered it, to try it out.
    pub registered_by_developer: bool,
    /// Whether the operator verified who made it.
    pub verified: bool,
    /// Who else vouches for what it says of itself, whom the operator trusts in that.
    pub vouched_by: Option<String>,
    /// Its home page.
    pub site: Option<OutsideLink>,
    /// What it says that it does with data.
    pub policy: Option<OutsideLink>,
    /// Its terms of service.
    pub terms: Option<OutsideLink>,
}

/// An address elsewhere, shown by its host.
#[derive(Clone, Debug)]
pub struct OutsideLink {
    /// The https address.
    pub url: String,
    /// The host, in ASCII.
    pub host: String,
}

impl AskingApp {
    /// Whether it names pages of its own.
    pub fn has_links(&self) -> bool {
        self.site.is_some() || self.policy.is_some() || self.terms.is_some()
    }
}
