//! `/me`: who can see my record, who looked, what did I decide, how do I stop it?

use askama::Template;

/// The page of the person who is signed in.
#[derive(Clone, Debug, Template)]
#[template(path = "person.html")]
pub struct PersonPage {
    /// Who is signed in.
    pub person_name: String,
    /// What was just done, as a sentence: "Example App can no longer see your record."
    pub notice: Option<String>,
    /// The apps that the person allowed.
    pub apps: Vec<ConnectedApp>,
    /// The latest looks at the record, newest first. If empty the page says nothing of looks: it must not claim that nobody looked.
    pub looks: Vec<Look>,
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
    /// What it may see, one line of words per scope.
    pub lines: Vec<String>,
    /// When the person allowed it: "12 March 2026".
    pub since: String,
    /// When it last used the permission, if ever.
    pub last_used: Option<String>,
}

/// One look at the record, or one attempt.
#[derive(Clone, Debug)]
pub struct Look {
    /// Who: "Dr. Amy Chen, Hilltop Clinic", or an app's name.
    pub who: String,
    /// What, with its verb: "saw 3 laboratory results", "asked for your claims and was refused".
    pub what: String,
    /// When: "12 March 2026 at 14:05".
    pub when: String,
    /// Why, where it is known: "treatment".
    pub purpose: Option<String>,
}

impl PersonPage {
    /// The page as HTML.
    pub fn render(&self) -> String {
        super::html(self)
    }
}
