//! Civil dates and moments, and how FHIR writes them (date, dateTime and instant, R4 section 2.24.0.1).
//!
//! All charts live in one fixed offset from UTC: time zone rules change, and the same seed must give the same bytes.

use jiff::ToSpan;
use jiff::civil::Date;

/// The offset that every moment is written with.
const OFFSET: &str = "-05:00";

/// A date and a minute of that day.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Moment {
    pub(crate) date: Date,
    minute: u16,
}

impl Moment {
    /// A moment of a day, in hours and minutes.
    pub(crate) fn at(date: Date, hour: u16, minute: u16) -> Self {
        Self { date, minute: hour * 60 + minute }
    }

    /// The moment so many minutes later.
    pub(crate) fn plus_minutes(self, minutes: i32) -> Self {
        let total = i32::from(self.minute) + minutes;
        Self { date: plus_days(self.date, total.div_euclid(1440)), minute: total.rem_euclid(1440) as u16 }
    }

    /// Writes `2024-03-05T09:30:00-05:00`.
    pub(crate) fn push_to(self, text: &mut String) {
        push_date(text, self.date);
        text.push('T');
        push_two(text, u32::from(self.minute / 60));
        text.push(':');
        push_two(text, u32::from(self.minute % 60));
        text.push_str(":00");
        text.push_str(OFFSET);
    }
}

/// The date so many days later, or earlier for a negative number.
pub(crate) fn plus_days(date: Date, days: i32) -> Date {
    date.saturating_add(i64::from(days).days())
}

/// The number of days from one date to another.
pub(crate) fn days_between(from: Date, to: Date) -> i32 {
    (to - from).get_days()
}

/// Completed years of age on a day.
pub(crate) fn age_in_years(birth_date: Date, on: Date) -> i32 {
    let had_birthday = (on.month(), on.day()) >= (birth_date.month(), birth_date.day());
    i32::from(on.year()) - i32::from(birth_date.year()) - i32::from(!had_birthday)
}

/// Writes `2024-03-05`.
pub(crate) fn push_date(text: &mut String, date: Date) {
    let year = u32::from(date.year().unsigned_abs());
    push_two(text, year / 100);
    push_two(text, year % 100);
    text.push('-');
    push_two(text, u32::from(date.month().unsigned_abs()));
    text.push('-');
    push_two(text, u32::from(date.day().unsigned_abs()));
}

fn push_two(text: &mut String, number: u32) {
    for digit in [number / 10 % 10, number % 10] {
        text.push(char::from(b'0' + digit as u8));
    }
}

#[cfg(test)]
mod tests {
    use jiff::civil::date;

    use super::*;

    #[test]
    fn moments_roll_over_midnight_and_month_ends() {
        let mut text = String::new();
        Moment::at(date(2024, 2, 28), 23, 50).plus_minutes(20).push_to(&mut text);
        assert_eq!(text, "2024-02-29T00:10:00-05:00");
    }

    #[test]
    fn age_counts_completed_years() {
        assert_eq!(age_in_years(date(2000, 6, 15), date(2024, 6, 14)), 23);
        assert_eq!(age_in_years(date(2000, 6, 15), date(2024, 6, 15)), 24);
    }
}
