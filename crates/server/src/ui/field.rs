//! The names of the form fields, and the values of the buttons.
//!
//! | form | posts to | fields |
//! |---|---|---|
//! | sign in | `/login` | `csrf`, `return_to`, `username`, `password` |
//! | choose a patient | `/consent` | `csrf`, `request`, `patient`, `name`, `page`, `page_name`, `decision` = `search`, `more`, `continue` or `deny` |
//! | choose a visit | `/consent` | `csrf`, `request`, `encounter`, `page`, `decision` = `more`, `continue`, `without` or `deny` |
//! | choose a chart | `/ehr` | `csrf`, `patient`, `name`, `page`, `page_name`, `decision` = `search`, `more` or `continue` |
//! | open an app | `/ehr` | `csrf`, `patient`, `encounter`, `app` |
//! | consent | `/consent` | `csrf`, `request`, `scope` and `part` (repeated), `decision` = `allow` or `deny` |
//! | stop access | `/me/revoke` | `csrf`, `grant` |
//! | sign out | `/logout` | `csrf`, `return_to` |

/// The form token that a page of another site cannot know.
pub const CSRF: &str = "csrf";
/// Where to go after the sign-in.
pub const RETURN_TO: &str = "return_to";
/// The name that the person signs in with.
pub const USERNAME: &str = "username";
/// The password.
pub const PASSWORD: &str = "password";
/// The handle of the authorization request that waits for an answer.
pub const REQUEST: &str = "request";
/// The id of the chosen patient.
pub const PATIENT: &str = "patient";
/// The id of the chosen visit.
pub const ENCOUNTER: &str = "encounter";
/// The app that is to be opened, and which of its launch URLs.
pub const APP: &str = "app";
/// A name to look for among the patients.
pub const NAME: &str = "name";
/// The bookmark of the next page of patients.
pub const PAGE: &str = "page";
/// The name that was looked for when the bookmark was made.
pub const PAGE_NAME: &str = "page_name";
/// One allowed scope; the field is repeated.
pub const SCOPE: &str = "scope";
/// One scope that is allowed instead of a wider one; the field is repeated.
pub const PART: &str = "part";
/// Which button was pressed.
pub const DECISION: &str = "decision";
/// The grant to be taken back.
pub const GRANT: &str = "grant";

/// The button that allows what is ticked.
pub const ALLOW: &str = "allow";
/// The button that refuses the app.
pub const DENY: &str = "deny";
/// The button that looks for a name.
pub const SEARCH: &str = "search";
/// The button that shows the next page.
pub const MORE: &str = "more";
/// The button that goes on without a visit.
pub const WITHOUT: &str = "without";
/// The button that goes on with the chosen patient.
pub const CONTINUE: &str = "continue";
