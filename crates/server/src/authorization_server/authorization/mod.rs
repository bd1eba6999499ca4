//! The way of a person from an app's question to its answer: the request understood, what is chosen for it, consent; and the chart that starts it.

pub mod asking_app;
pub mod authorize;
pub mod chart;
pub mod consent;
pub mod encounters;
pub mod granting;
pub mod launch_context;
pub mod logo_image;
pub mod logos;
pub mod people;
pub mod picker;
pub mod step_up;
pub mod stop;
