//! `[two_people]` and `[break_glass]`: for which changes one person is enough, and how long a record stays open in an emergency.

use portcullis_oauth::approval::{ChangeKind, TwoPeople};
use portcullis_server::context::BreakGlassSeconds;
use serde::{Deserialize, Serialize};

/// The longest time that a record stays open, in minutes.
const MAXIMUM_MINUTES: i64 = 240;

/// `[two_people]`
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
pub struct TwoPeopleSettings {
    /// Changes for which one person is enough.
    disabled: Vec<String>,
}

impl TwoPeopleSettings {
    /// What is wrong with it.
    pub fn check(&self) -> Result<(), (&'static str, String)> {
        match self.disabled.iter().find(|name| ChangeKind::parse(name).is_none()) {
            None => Ok(()),
            Some(name) => {
                let kinds: Vec<&str> = ChangeKind::ALL.into_iter().map(ChangeKind::as_str).collect();
                Err(("two_people.disabled", format!("'{name}' is none of {}", kinds.join(", "))))
            }
        }
    }

    /// The settings; what is wrong was refused when the file was read.
    pub fn settings(&self) -> TwoPeople {
        TwoPeople::but_for(self.disabled.iter().filter_map(|name| ChangeKind::parse(name)))
    }

    /// Whether one person is enough for something that takes two by the others.
    pub fn ask_less_than(&self, other: &Self) -> bool {
        self.settings().disabled().any(|kind| other.settings().are_needed(kind))
    }

    /// What weakens the rules, in words.
    pub fn risks(&self) -> impl Iterator<Item = String> {
        self.settings()
            .disabled()
            .map(|kind| format!("two_people.disabled: one person alone makes changes of the kind {kind}"))
            .collect::<Vec<_>>()
            .into_iter()
    }
}

/// `[break_glass]`
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
pub struct BreakGlassSettings {
    /// How long a record stays open, in minutes.
    minutes: i64,
}

impl Default for BreakGlassSettings {
    fn default() -> Self {
        Self { minutes: BreakGlassSeconds::default().0 / 60 }
    }
}

impl BreakGlassSettings {
    /// No time at all: less than a configuration may say.
    pub fn never() -> Self {
        Self { minutes: 0 }
    }

    /// What is wrong with it.
    pub fn check(self) -> Result<(), (&'static str, String)> {
        let sound = (1..=MAXIMUM_MINUTES).contains(&self.minutes);
        if sound { Ok(()) } else { Err(("break_glass.minutes", format!("must be 1 to {MAXIMUM_MINUTES}"))) }
    }

    /// The settings.
    pub fn settings(self) -> BreakGlassSeconds {
        BreakGlassSeconds(self.minutes.saturating_mul(60))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_people_are_the_default_and_what_is_switched_off_is_a_risk() {
        let read = |text: &str| -> TwoPeopleSettings { toml::from_str(text).unwrap() };
        assert!(read("").check().is_ok() && read("").risks().next().is_none());
        assert!(ChangeKind::ALL.into_iter().all(|kind| read("").settings().are_needed(kind)));
        let off = read("disabled = ['rules', 'break-glass']");
        assert_eq!(off.risks().count(), 2);
        assert!(!off.settings().are_needed(ChangeKind::Rules) && off.settings().are_needed(ChangeKind::ApproveChanges));
        let (key, problem) = read("disabled = ['everything']").check().unwrap_err();
        assert!(key == "two_people.disabled" && problem.contains("key-export"), "{problem}");
    }

    #[test]
    fn the_time_is_short() {
        let read = |text: &str| -> BreakGlassSettings { toml::from_str(text).unwrap() };
        assert_eq!(read("").settings(), BreakGlassSeconds(3600));
        assert_eq!(read("minutes = 15").settings(), BreakGlassSeconds(900));
        for minutes in ["0", "-1", "241"] {
            assert_eq!(read(&format!("minutes = {minutes}")).check().unwrap_err().0, "break_glass.minutes");
        }
    }
}
