//! Search over a real file, through real permits and with release.

mod escapes;
mod oracle;
mod paging;
mod plans;
mod property;
mod world;
