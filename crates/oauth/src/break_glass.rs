//! Breaking the glass: a clinician opens one patient's record in an emergency, for a reason, for a short time.

use portcullis_fhir::types::LogicalId;

use crate::identifiers::UserId;

/// The shortest and the longest reason, in characters.
pub const REASON_CHARACTERS: std::ops::RangeInclusive<usize> = 10..=1000;
/// How long the glass stays broken where the operator says nothing, in seconds.
pub const DEFAULT_SECONDS: i64 = 3600;
/// The most patients for whom one person has the glass broken at one time.
pub const MAXIMUM_AT_ONCE: u32 = 10;

/// What somebody opened by breaking the glass.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GlassEntry {
    /// Names it: 32 hexadecimal digits.
    pub id: String,
    /// Who.
    pub user: UserId,
    /// Whose record.
    pub patient: LogicalId,
    /// Why, in the clinician's words.
    pub reason: String,
    /// When, in seconds since the epoch.
    pub began_at: i64,
    /// When it ends by itself, in seconds since the epoch.
    pub ends_at: i64,
    /// When somebody ended it earlier, in seconds since the epoch.
    pub ended_at: Option<i64>,
    /// Who did ([`crate::approval::Actor::name`]).
    pub ended_by: Option<String>,
}

impl GlassEntry {
    /// Whether it holds at a time in seconds since the epoch, as far as the entry says: the right may be gone.
    pub fn is_open(&self, now: i64) -> bool {
        self.ended_at.is_none() && now < self.ends_at
    }
}

/// A reason as it is recorded: trimmed, of acceptable length, without control characters but for line ends. `None`: it says too little or too much.
pub fn reason(text: &str) -> Option<String> {
    let text = text.trim().replace("\r\n", "\n");
    let said = text.chars().filter(|character| character.is_alphanumeric()).count();
    let plain = !text.chars().any(|character| character.is_control() && character != '\n');
    (plain && REASON_CHARACTERS.contains(&text.chars().count()) && said * 2 >= *REASON_CHARACTERS.start()).then_some(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reason_says_something_and_not_too_much() {
        assert_eq!(
            reason("  Unconscious after a fall\r\nno relatives ").as_deref(),
            Some("Unconscious after a fall\nno relatives")
        );
        let long = "x".repeat(1001);
        for text in ["", "emergency", "          x          ", "..........", "-- -- -- -- --", "bell \u{7} in the room", &long] {
            assert_eq!(reason(text), None, "{text}");
        }
        assert!(reason(&"x".repeat(1000)).is_some() && reason("0123456789").is_some());
    }

    #[test]
    fn the_glass_is_whole_again_at_the_end_of_its_time_or_earlier() {
        let entry = GlassEntry {
            id: "1".repeat(32),
            user: UserId::parse("u1").unwrap(),
            patient: LogicalId::parse("p1").unwrap(),
            reason: "Unconscious".into(),
            began_at: 0,
            ends_at: 3600,
            ended_at: None,
            ended_by: None,
        };
        assert!(entry.is_open(3599) && !entry.is_open(3600));
        assert!(!GlassEntry { ended_at: Some(1), ..entry }.is_open(2));
    }
}
