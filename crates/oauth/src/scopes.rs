//! SMART scopes: their grammar, sets of them, and the form in which requests are decided.
//!
//! SMART App Launch 2.2.0, "Scopes and Launch Context"; the v1 words `.read`, `.write`, `.*` of SMART 1.0 as well.
//!
//! A scope that is not fully understood is [`UnsupportedScope`]: it is left out of every grant, named to the person, and never
//! reinterpreted as something smaller or larger. That includes every scope with a `?` search part that a single resource does not decide
//! ([`portcullis_fhir::qualifier`]).

mod compiled;
mod letters;
mod narrower;
mod parse;
mod set;
mod uri;
mod words;

pub use compiled::{CompiledScopes, Identity, Opening, TypeLetters};
pub use letters::{Letter, LetterSet};
pub use narrower::narrower;
pub use parse::{ResourceScope, Scope, ScopeContext, ScopeKind, ScopeSyntax, ScopeTarget, UnsupportedScope};
pub use set::{MAXIMUM_SCOPES, RequestedScopes, ScopeSet, TooManyScopes};
pub use words::plain_words;
