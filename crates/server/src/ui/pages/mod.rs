//! One file per page. A page holds the words and facts it shows, as text; how they are laid out is in `templates/`.

use askama::Template;

mod account;
mod asking_app;
mod break_glass;
mod chart;
mod consent;
mod developers;
mod docs;
mod encounter_picker;
mod error;
mod federation;
mod forgotten;
mod going_back;
mod login;
mod mail_address;
mod own_consents;
mod patient_picker;
mod person;
mod second_factor;
mod security;
mod signed_out;
mod start;
#[cfg(test)]
mod tests;

pub use account::{AuthenticatorPage, NewPasskeyPage, NewPasswordPage, PasskeyForm, QrPicture, RecoveryCodesPage};
pub use asking_app::{AskingApp, OutsideLink};
pub use break_glass::{BreakGlassPage, BreakGlassProblem, OpenedRecord};
pub use chart::{ChartListPage, ChartPage, LaunchableApp};
pub use consent::{ConsentGroup, ConsentLine, ConsentPage, ConsentPart};
pub use developers::{
    DevelopersPage, OwnSandboxClient, SandboxCallbackPage, SandboxClientPage, SandboxFormPage, SandboxProblems,
    SandboxRefusalLine, SandboxTry,
};
pub use docs::DocsPage;
pub use encounter_picker::{EncounterChoice, EncounterPickerPage, VisitKind};
pub use error::ErrorPage;
pub use federation::{FederationPage, LinkedAccount, ProviderButton};
pub use forgotten::{ForgottenPage, ForgottenProblem, ForgottenState};
pub use going_back::GoingBackPage;
pub use login::{LoginError, LoginPage};
pub use mail_address::{MailAddressPage, MailConfirmation};
pub use own_consents::{MovedConsent, OwnConsent, OwnConsentsPage, RuleLine};
pub use patient_picker::{PatientChoice, PatientPickerPage};
pub use person::{ConnectedApp, Look, PasskeyLine, PersonAccount, PersonPage, Reach, SessionLine};
pub use second_factor::{SecondFactorError, SecondFactorPage};
pub use security::{AgreedLine, EmergencyLine, ProposalLine, SecurityPage};
pub use signed_out::SignedOutPage;
pub use start::{SignInName, StartPage};

/// The page as HTML. Writing into a string cannot fail; should it do so all the same, a page is shown that says so.
fn html(page: &impl Template) -> String {
    page.render().unwrap_or_else(|error| {
        tracing::error!(%error, "a page could not be rendered");
        "<!DOCTYPE html><html lang=\"en\"><title>Portcullis</title><h1>This page cannot be shown</h1><p>Go back and try again.</p></html>"
            .to_owned()
    })
}
