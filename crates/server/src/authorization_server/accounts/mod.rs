//! How a person proves who they are: password, second factor, passkey, an account elsewhere, and a new password when one is lost.

pub mod attempts;
pub mod breached;
pub mod federation;
pub mod forgotten;
pub mod login;
pub mod new_password;
pub mod passkeys;
pub mod password;
mod password_memory;
pub mod second_factor;
pub mod sign_in;
