//! Launches: how an EHR opens an app with a context, and the context parameters that come with a token.
//!
//! SMART App Launch 2.2.0, "Launch App: EHR Launch" and "Scopes for requesting context data". An EHR makes a [`Launch`] for one app and
//! gives the app its handle, an opaque secret that counts once and for a few minutes. Whoever consents must be able to see what the
//! launch names: that is asked when the app comes with it, not when the launch is made.
//!
//! The patient stands apart from the other parameters, in grant and launch alike: it is the boundary of `patient/` scopes, the others are
//! only told.

mod context;
mod request;

pub use context::{ByChoice, ContextError, ContextItem, ContextParameters, MAXIMUM_CONTEXT_ITEMS};
pub use request::{LaunchRequest, NO_SUCH_APP, launch_location};

use portcullis_fhir::types::LogicalId;

use crate::authorize::AuthorizationError;
use crate::grant::SecretHash;
use crate::identifiers::{ClientId, UserId};

/// How long a handle counts, in seconds: the person may have to sign in and to read the consent screen meanwhile.
pub const LAUNCH_LIFETIME_SECONDS: i64 = 600;

/// A launch that an EHR made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Launch {
    /// The hash of the handle.
    pub hash: SecretHash,
    /// The app that it is for.
    pub client: ClientId,
    /// The person that it is for; `None`: whoever signs in and may see the context.
    pub user: Option<UserId>,
    /// The patient in context.
    pub patient: Option<LogicalId>,
    /// The other context parameters.
    pub context: ContextParameters,
    /// When it was made, in seconds since the epoch.
    pub created_at: i64,
    /// The end of validity, in seconds since the epoch.
    pub expires_at: i64,
}

/// A launch as the registry keeps it. A used one is kept as long as it would have counted, so that a second use is told from a guess.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LaunchState {
    /// It waits for its app.
    Waiting(Box<Launch>),
    /// It was used.
    Used(ClientId),
}

/// Why a launch does not count. On the wire it is one of the codes of RFC 6749 section 4.1.2.1.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LaunchRefusal {
    /// Nobody made it, it ended long ago, or it was made for another app: which of these is nobody's business.
    Unknown,
    /// Its time is over.
    Expired,
    /// It was used.
    Used,
    /// Another person is signed in.
    OtherUser,
}

impl LaunchRefusal {
    /// The code on the wire and the description.
    pub fn on_the_wire(self) -> (AuthorizationError, &'static str) {
        match self {
            Self::Unknown => (AuthorizationError::InvalidRequest, "launch is not known; open the app from the EHR again"),
            Self::Expired => (AuthorizationError::InvalidRequest, "launch has expired; open the app from the EHR again"),
            Self::Used => (AuthorizationError::InvalidRequest, "launch was used before; open the app from the EHR again"),
            Self::OtherUser => (AuthorizationError::AccessDenied, "launch was made for another person"),
        }
    }
}

impl Launch {
    /// Whether a person may use it.
    pub fn admits(&self, user: &UserId) -> Result<(), LaunchRefusal> {
        match &self.user {
            Some(meant) if meant != user => Err(LaunchRefusal::OtherUser),
            _ => Ok(()),
        }
    }
}

impl LaunchState {
    /// The launch that an app presents at a time in seconds since the epoch; `found` is what is kept under the hash of the handle.
    pub fn presented(found: Option<Self>, client: &ClientId, now: i64) -> Result<Box<Launch>, LaunchRefusal> {
        match found {
            None => Err(LaunchRefusal::Unknown),
            Some(Self::Used(of)) if of == *client => Err(LaunchRefusal::Used),
            Some(Self::Waiting(launch)) if launch.client == *client => {
                if now < launch.expires_at {
                    Ok(launch)
                } else {
                    Err(LaunchRefusal::Expired)
                }
            }
            Some(Self::Used(_) | Self::Waiting(_)) => Err(LaunchRefusal::Unknown),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: i64 = 1_800_000_000;

    fn launch() -> Launch {
        Launch {
            hash: SecretHash::of("handle"),
            client: ClientId::parse("app").unwrap(),
            user: UserId::parse("u-who"),
            patient: LogicalId::parse("ann"),
            context: ContextParameters { encounter: LogicalId::parse("enc-ann"), ..Default::default() },
            created_at: NOW,
            expires_at: NOW + LAUNCH_LIFETIME_SECONDS,
        }
    }

    fn presented(found: Option<LaunchState>, client: &str, now: i64) -> Result<Box<Launch>, LaunchRefusal> {
        LaunchState::presented(found, &ClientId::parse(client).unwrap(), now)
    }

    #[test]
    fn a_launch_counts_for_its_app_and_within_its_time_only() {
        let waiting = || Some(LaunchState::Waiting(Box::new(launch())));
        let used = || Some(LaunchState::Used(launch().client));
        assert_eq!(presented(None, "app", NOW), Err(LaunchRefusal::Unknown));
        assert_eq!(presented(waiting(), "other", NOW), Err(LaunchRefusal::Unknown));
        assert_eq!(presented(used(), "other", NOW), Err(LaunchRefusal::Unknown));
        assert_eq!(presented(used(), "app", NOW), Err(LaunchRefusal::Used));
        assert_eq!(presented(waiting(), "app", NOW + LAUNCH_LIFETIME_SECONDS), Err(LaunchRefusal::Expired));
        assert_eq!(presented(waiting(), "app", NOW + LAUNCH_LIFETIME_SECONDS - 1), Ok(Box::new(launch())));
    }

    #[test]
    fn a_launch_for_a_person_is_for_no_other() {
        let (who, ann) = (UserId::parse("u-who").unwrap(), UserId::parse("u-ann").unwrap());
        assert_eq!(launch().admits(&ann), Err(LaunchRefusal::OtherUser));
        assert_eq!(launch().admits(&who), Ok(()));
        assert_eq!(Launch { user: None, ..launch() }.admits(&ann), Ok(()));
    }
}
