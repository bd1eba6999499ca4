//! The demo: a complete server with synthetic data that needs nothing and listens on loopback only.

mod brand;
mod certificates;
mod description;
mod guides;
mod people;
mod setup;

pub use self::brand::brand;
pub use self::certificates::renew_if_needed;
pub use self::description::{Addresses, Description};
pub use self::guides::guides;
pub use self::setup::{APP_CLIENT, APP_SCOPE, CONFIDENTIAL_CLIENT, CURL_SCOPE, Plan, complete};
