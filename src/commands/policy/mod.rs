//! `portcullis policy`: what the operator's rules mean, whether they do what they should, and why somebody could or could not see a record.

mod cases;
mod explain;
mod propose;
mod show;
mod test;

pub use explain::run as explain;
pub use propose::run as propose;
pub use show::run as show;
pub use test::run as test;
