//! `/me`: who can see my record, who looked, how do I stop it?

use askama::Template;

use crate::ui::Language::{English, Spanish};
use crate::ui::Reader;

/// The page of the person who is signed in.
#[derive(Clone, Debug, Template)]
#[template(path = "person.html")]
pub struct PersonPage {
    /// Who reads it.
    pub reader: Reader,
    /// Who is signed in.
    pub person_name: String,
    /// What was just done, as a sentence: "Example App can no longer see your record."
    pub notice: Option<String>,
    /// The apps that the person allowed.
    pub apps: Vec<ConnectedApp>,
    /// Who may see the record beside these apps, and why.
    pub reach: Vec<Reach>,
    /// The latest looks at the record, newest first. If empty the page does not claim that nobody looked: it tells only of the last ones.
    pub looks: Vec<Look>,
    /// Whether the person has a record here, or acts for somebody who has.
    pub has_record: bool,
    /// Whether the person looks after security here.
    pub is_officer: bool,
    /// Sessions and ways to sign in.
    pub account: PersonAccount,
    /// The form token of the "Stop access" buttons.
    pub csrf: String,
    /// The form token of the sign-out.
    pub sign_out_csrf: String,
}

/// An app that the person allowed.
#[derive(Clone, Debug)]
pub struct ConnectedApp {
    /// The id of the grant.
    pub grant_id: String,
    /// The app's name.
    pub app_name: String,
    /// Whose record, where it is one person's.
    pub patient_name: Option<String>,
    /// What it may see, one line of words per scope.
    pub lines: Vec<String>,
    /// When the person allowed it: "12 March 2026".
    pub since: String,
    /// When it last used the permission, if ever.
    pub last_used: Option<String>,
    /// When it ends by itself; none: not until it is taken back.
    pub ends: Option<String>,
    /// Whether it ends with the session, too, and use makes it last.
    pub is_online: bool,
}

/// Somebody who may see the record.
#[derive(Clone, Debug)]
pub struct Reach {
    /// Who: a name, or a kind of people.
    pub who: String,
    /// Why: "because a visit names them".
    pub why: String,
}

/// One look at the record.
#[derive(Clone, Debug)]
pub struct Look {
    /// Who: "Dr. Amy Chen, with Clinic app,", or an app's name.
    pub who: String,
    /// What, with its verb: "saw your insurance plans, twice".
    pub what: String,
    /// When: "12 March 2026 at 14:05 UTC".
    pub when: String,
}

impl PersonPage {
    /// The page as HTML.
    pub fn render(&self) -> String {
        super::html(self)
    }
}

/// Where the person is signed in, and how.
#[derive(Clone, Debug, Default)]
pub struct PersonAccount {
    /// Who gave the account back, where that is not yet confirmed.
    pub recovered_by: Option<String>,
    /// The sessions, this one first.
    pub sessions: Vec<SessionLine>,
    /// Whether there is a password.
    pub has_password: bool,
    /// Since when there is an authenticator app.
    pub totp_since: Option<String>,
    /// The passkeys.
    pub passkeys: Vec<PasskeyLine>,
    /// Recovery codes that are left.
    pub recovery_codes: u32,
    /// Whether letters leave this server.
    pub has_mail: bool,
    /// Where they go.
    pub mail_address: Option<String>,
    /// Whether accounts elsewhere can be linked.
    pub may_link: bool,
}

/// One session.
#[derive(Clone, Debug)]
pub struct SessionLine {
    /// What the form calls it by.
    pub handle: String,
    /// "Firefox on Windows".
    pub browser: String,
    /// The network address.
    pub network: String,
    /// "Signed in with a passkey".
    pub how: &'static str,
    /// When it began.
    pub since: String,
    /// When a page was last opened in it.
    pub last_used: String,
    /// Whether it is this one.
    pub is_here: bool,
    /// Who gave the account back, where that is not yet confirmed.
    pub recovered_by: Option<String>,
}

/// One passkey.
#[derive(Clone, Debug)]
pub struct PasskeyLine {
    /// What the form calls it by.
    pub handle: String,
    /// What its owner calls it.
    pub name: String,
    /// When it was added.
    pub since: String,
    /// When it was last used.
    pub last_used: Option<String>,
    /// Whether it is copied to other devices.
    pub is_copied: bool,
}
