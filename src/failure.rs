//! How a command fails: one sentence about what happened, one about what to do next, and the exit code that scripts read.

use std::fmt;
use std::process::ExitCode;

/// The exit codes; 0 is success.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exit {
    /// What was asked for was not done, or not wholly.
    Failed = 1,
    /// The command or its configuration is wrong.
    Usage = 2,
    /// Something that must not change was changed.
    Integrity = 3,
    /// Another process holds what is needed.
    Locked = 4,
}

/// Why a command ends early.
#[derive(Debug)]
pub struct Failure {
    exit: Exit,
    message: String,
    advice: Option<String>,
}

/// What a command returns.
pub type Outcome<T = ()> = Result<T, Failure>;

impl Failure {
    /// A failure of this kind; the message is a sentence without its full stop.
    pub fn new(exit: Exit, message: impl Into<String>) -> Self {
        Self { exit, message: message.into(), advice: None }
    }

    /// The ordinary kind.
    pub fn failed(message: impl Into<String>) -> Self {
        Self::new(Exit::Failed, message)
    }

    /// The command line or a file that it names is wrong.
    pub fn usage(message: impl Into<String>) -> Self {
        Self::new(Exit::Usage, message)
    }

    /// The same with what to do next; a whole sentence.
    pub fn advise(mut self, advice: impl Into<String>) -> Self {
        self.advice = Some(advice.into());
        self
    }

    /// The code that the process ends with.
    pub fn exit_code(&self) -> ExitCode {
        ExitCode::from(self.exit as u8)
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let stop = if self.message.ends_with(['.', '!', '?', ':']) { "" } else { "." };
        write!(formatter, "{}{stop}", self.message)?;
        match &self.advice {
            Some(advice) => write!(formatter, "\n{advice}"),
            None => Ok(()),
        }
    }
}

impl std::error::Error for Failure {}

/// An error with all of its causes, as one text.
pub fn causes(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut next = error.source();
    while let Some(cause) = next {
        let cause_text = cause.to_string();
        // Some errors repeat their cause in their own words.
        if !text.contains(&cause_text) {
            text.push_str(": ");
            text.push_str(&cause_text);
        }
        next = cause.source();
    }
    text
}

/// Turns any error into a failure with a sentence before it.
pub trait OrFail<T> {
    /// Fails with `what: error and its causes`.
    fn or_fail(self, what: &str) -> Outcome<T>;
}

impl<T, E: std::error::Error> OrFail<T> for Result<T, E> {
    fn or_fail(self, what: &str) -> Outcome<T> {
        self.map_err(|error| Failure::failed(format!("{what}: {}", causes(&error))))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failure_is_a_sentence_and_an_advice() {
        let failure = Failure::failed("The port is taken").advise("Choose another one with --port.");
        assert_eq!(failure.to_string(), "The port is taken.\nChoose another one with --port.");
        assert_eq!(Failure::usage("What?").to_string(), "What?");
    }

    #[test]
    fn causes_are_told_once() {
        let inner = std::io::Error::other("disk on fire");
        let outer: Result<(), _> = Err(inner);
        assert_eq!(outer.or_fail("cannot write").unwrap_err().to_string(), "cannot write: disk on fire.");
    }
}
