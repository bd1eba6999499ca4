//! The mark that ties a test to the requirements it proves. `cargo xtask coverage` reads it from the sources.

/// Says that the surrounding test verifies these requirements of `specs/requirements.csv`.
///
/// ```
/// portcullis_verifies::verifies!("SMART-07", "OAUTH-03");
/// ```
#[macro_export]
macro_rules! verifies {
    ($($requirement:literal),+ $(,)?) => {
        const _: &[&str] = &[$($requirement),+];
    };
}
