//! Search over a real file, through real permits and with release.

mod escapes;
mod numbers;
mod oracle;
mod paging;
mod plans;
mod property;
pub(super) mod world;
