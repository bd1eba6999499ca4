//! Search over a real file, through real permits and with release.

mod composites;
mod devices;
mod escapes;
mod guides;
mod numbers;
mod oracle;
mod paging;
mod plans;
mod property;
pub(super) mod world;
