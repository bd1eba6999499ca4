//! FHIR dates and times, as ranges of milliseconds since the epoch, UTC.
//!
//! <https://hl7.org/fhir/R4/datatypes.html#dateTime>: a value stands for the whole interval that its precision leaves open. Values without
//! time zone are read as UTC, which FHIR leaves to the server. The calendar is the proleptic Gregorian one; second 60 (a leap second,
//! which the grammar allows) is the first second of the next minute.

const SECOND: i64 = 1_000;
const MINUTE: i64 = 60 * SECOND;
const HOUR: i64 = 60 * MINUTE;
const DAY: i64 = 24 * HOUR;

/// The first millisecond of the year 1, the earliest that FHIR can write: the low end of a period without start.
pub const MINIMUM: i64 = -62_135_596_800_000;
/// The first millisecond of the year 10000, after the latest that FHIR can write: the high end of a period without end.
pub const MAXIMUM: i64 = 253_402_300_800_000;

/// The half-open range `[low, high)` of milliseconds since the epoch that a date or time of limited precision stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Range {
    /// The first millisecond.
    pub low: i64,
    /// The first millisecond after.
    pub high: i64,
}

impl Range {
    /// Every time that FHIR can write.
    pub const ALWAYS: Self = Self { low: MINIMUM, high: MAXIMUM };

    /// The time in both; `None` where there is none.
    pub fn meet(self, other: Self) -> Option<Self> {
        let (low, high) = (self.low.max(other.low), self.high.min(other.high));
        (low < high).then_some(Self { low, high })
    }
}

/// How much of a date and time a text states.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Precision {
    Year,
    Month,
    Day,
    Minute,
    Second,
}

struct Moment {
    range: Range,
    precision: Precision,
    zoned: bool,
}

/// The range of a FHIR `date`, `dateTime` or `instant`; `None` where the text is none of them.
pub fn range(text: &str) -> Option<Range> {
    parse(text).filter(Moment::is_date_time).map(|moment| moment.range)
}

/// The range of a date in a search, which may also leave out seconds and time zone (`2013-01-14T10:00`,
/// <https://hl7.org/fhir/R4/search.html#date>).
pub fn search_range(text: &str) -> Option<Range> {
    parse(text).map(|moment| moment.range)
}

/// Whether the text is a FHIR `date`: year, month or day.
pub fn is_date(text: &str) -> bool {
    parse(text).is_some_and(|moment| moment.precision <= Precision::Day)
}

/// Whether the text is a FHIR `dateTime`: a date, or a time with seconds and zone.
pub fn is_date_time(text: &str) -> bool {
    parse(text).is_some_and(|moment| moment.is_date_time())
}

/// Whether the text is a FHIR `instant`: a time with seconds and zone.
pub fn is_instant(text: &str) -> bool {
    parse(text).is_some_and(|moment| moment.precision == Precision::Second && moment.zoned)
}

/// Whether the text is a FHIR `time`: hours, minutes and seconds without zone.
pub fn is_time(text: &str) -> bool {
    let mut cursor = Cursor { rest: text.as_bytes() };
    cursor.time_of_day().is_some_and(|(_, _, precision)| precision == Precision::Second) && cursor.rest.is_empty()
}

/// An epoch time as FHIR `instant`: `2026-11-21T10:00:00.000Z`. Times outside the years 1 to 9999 become the nearest that FHIR can write.
pub fn format(milliseconds: i64) -> String {
    let milliseconds = milliseconds.clamp(MINIMUM, MAXIMUM - 1);
    let (year, month, day) = civil_from_days(milliseconds.div_euclid(DAY));
    let time = milliseconds.rem_euclid(DAY);
    let (hour, minute, second) = (time / HOUR, time / MINUTE % 60, time / SECOND % 60);
    let fraction = time % SECOND;
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.{fraction:03}Z")
}

/// The first millisecond of the year in which a moment lies, UTC.
pub fn beginning_of_year(milliseconds: i64) -> i64 {
    let (year, ..) = civil_from_days(milliseconds.clamp(MINIMUM, MAXIMUM - 1).div_euclid(DAY));
    days_from_civil(year, 1, 1) * DAY
}

impl Moment {
    fn is_date_time(&self) -> bool {
        self.precision <= Precision::Day || (self.precision == Precision::Second && self.zoned)
    }
}

fn parse(text: &str) -> Option<Moment> {
    let mut cursor = Cursor { rest: text.as_bytes() };
    let year = cursor.number(4).filter(|year| *year >= 1)?;
    let mut precision = Precision::Year;
    let (mut month, mut day) = (1, 1);
    if cursor.take(b'-') {
        month = cursor.number(2).filter(|month| (1..=12).contains(month))?;
        precision = Precision::Month;
        if cursor.take(b'-') {
            day = cursor.number(2).filter(|day| (1..=days_in_month(year, month)).contains(day))?;
            precision = Precision::Day;
        }
    }
    let midnight = days_from_civil(year, month, day) * DAY;
    if precision < Precision::Day || cursor.rest.is_empty() {
        let high = match precision {
            Precision::Year => days_from_civil(year + 1, 1, 1) * DAY,
            Precision::Month if month == 12 => days_from_civil(year + 1, 1, 1) * DAY,
            Precision::Month => days_from_civil(year, month + 1, 1) * DAY,
            _ => midnight + DAY,
        };
        let moment = Moment { range: Range { low: midnight, high }, precision, zoned: false };
        return cursor.rest.is_empty().then_some(moment);
    }
    if !cursor.take(b'T') {
        return None;
    }
    let (time, length, precision) = cursor.time_of_day()?;
    let zone = cursor.zone()?;
    let low = midnight + time - zone.unwrap_or_default();
    cursor.rest.is_empty().then_some(Moment { range: Range { low, high: low + length }, precision, zoned: zone.is_some() })
}

/// What is left of a text.
struct Cursor<'a> {
    rest: &'a [u8],
}

impl Cursor<'_> {
    fn take(&mut self, expected: u8) -> bool {
        match self.rest.split_first() {
            Some((first, rest)) if *first == expected => {
                self.rest = rest;
                true
            }
            _ => false,
        }
    }

    /// Exactly so many digits.
    fn number(&mut self, digits: usize) -> Option<i64> {
        let (number, rest) = self.rest.split_at_checked(digits)?;
        self.rest = rest;
        number.iter().try_fold(0, |sum, byte| byte.is_ascii_digit().then(|| sum * 10 + i64::from(byte - b'0')))
    }

    /// `hh:mm`, `hh:mm:ss` or `hh:mm:ss.fraction`: the milliseconds since midnight, the length of the range, the precision.
    fn time_of_day(&mut self) -> Option<(i64, i64, Precision)> {
        let hour = self.number(2).filter(|hour| *hour <= 23)?;
        if !self.take(b':') {
            return None;
        }
        let minute = self.number(2).filter(|minute| *minute <= 59)?;
        let start = hour * HOUR + minute * MINUTE;
        if !self.take(b':') {
            return Some((start, MINUTE, Precision::Minute));
        }
        let second = self.number(2).filter(|second| *second <= 60)?;
        let mut length = SECOND;
        let mut fraction = 0;
        if self.take(b'.') {
            let digits = self.rest.iter().take_while(|byte| byte.is_ascii_digit()).count();
            if digits == 0 {
                return None;
            }
            for position in 0..digits {
                let digit = self.number(1)?;
                // Digits beyond milliseconds are finer than anything that is compared.
                if position < 3 {
                    length /= 10;
                    fraction += digit * length;
                }
            }
        }
        Some((start + second * SECOND + fraction, length, Precision::Second))
    }

    /// The offset in milliseconds: `Some(None)` where there is none, `None` where it is malformed.
    #[expect(clippy::option_option, reason = "absent and malformed differ")]
    fn zone(&mut self) -> Option<Option<i64>> {
        if self.rest.is_empty() {
            return Some(None);
        }
        if self.take(b'Z') {
            return Some(Some(0));
        }
        let sign = if self.take(b'+') {
            1
        } else if self.take(b'-') {
            -1
        } else {
            return None;
        };
        let hour = self.number(2)?;
        if !self.take(b':') {
            return None;
        }
        let minute = self.number(2)?;
        let within = (hour <= 13 && minute <= 59) || (hour == 14 && minute == 0);
        within.then_some(Some(sign * (hour * HOUR + minute * MINUTE)))
    }
}

fn days_in_month(year: i64, month: i64) -> i64 {
    match month {
        4 | 6 | 9 | 11 => 30,
        2 if year % 4 == 0 && (year % 100 != 0 || year % 400 == 0) => 29,
        2 => 28,
        _ => 31,
    }
}

/// Days since 1970-01-01. Years are counted from March, so that the leap day is the last of its year.
fn days_from_civil(year: i64, month: i64, day: i64) -> i64 {
    let year = if month <= 2 { year - 1 } else { year };
    let day_of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    365 * year + year.div_euclid(4) - year.div_euclid(100) + year.div_euclid(400) + day_of_year - 719_468
}

/// Year, month and day of a day since 1970-01-01; the inverse of [`days_from_civil`].
fn civil_from_days(days: i64) -> (i64, i64, i64) {
    let days = days + 719_468;
    let era = days.div_euclid(146_097);
    let day_of_era = days.rem_euclid(146_097);
    let year_of_era = (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted_month = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * shifted_month + 2) / 5 + 1;
    let month = if shifted_month < 10 { shifted_month + 3 } else { shifted_month - 9 };
    let year = year_of_era + era * 400 + i64::from(month <= 2);
    (year, month, day)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(text: &str) -> (String, String) {
        let range = search_range(text).expect(text);
        (format(range.low), format(range.high))
    }

    #[test]
    fn a_value_covers_what_its_precision_leaves_open() {
        let table = [
            ("2024", "2024-01-01T00:00:00.000Z", "2025-01-01T00:00:00.000Z"),
            ("2024-12", "2024-12-01T00:00:00.000Z", "2025-01-01T00:00:00.000Z"),
            ("2024-02", "2024-02-01T00:00:00.000Z", "2024-03-01T00:00:00.000Z"),
            ("2024-02-29", "2024-02-29T00:00:00.000Z", "2024-03-01T00:00:00.000Z"),
            ("2024-02-29T10:00", "2024-02-29T10:00:00.000Z", "2024-02-29T10:01:00.000Z"),
            ("2024-02-29T10:00:05", "2024-02-29T10:00:05.000Z", "2024-02-29T10:00:06.000Z"),
            ("2024-02-29T10:00:05.1Z", "2024-02-29T10:00:05.100Z", "2024-02-29T10:00:05.200Z"),
            ("2024-02-29T10:00:05.123456Z", "2024-02-29T10:00:05.123Z", "2024-02-29T10:00:05.124Z"),
            ("2024-01-01T01:30:00+02:00", "2023-12-31T23:30:00.000Z", "2023-12-31T23:30:01.000Z"),
            ("2024-01-01T01:30:00-14:00", "2024-01-01T15:30:00.000Z", "2024-01-01T15:30:01.000Z"),
            ("2016-12-31T23:59:60Z", "2017-01-01T00:00:00.000Z", "2017-01-01T00:00:01.000Z"),
            ("1969-12-31T23:59:59.999Z", "1969-12-31T23:59:59.999Z", "1970-01-01T00:00:00.000Z"),
            ("0001", "0001-01-01T00:00:00.000Z", "0002-01-01T00:00:00.000Z"),
        ];
        for (text, low, high) in table {
            assert_eq!(written(text), (low.to_owned(), high.to_owned()), "{text}");
        }
        assert_eq!(range("0001").unwrap().low, MINIMUM);
        assert_eq!(range("9999").unwrap().high, MAXIMUM);
    }

    #[test]
    fn dates_that_do_not_exist_are_refused() {
        let texts = [
            "",
            "2024-02-30",
            "2023-02-29",
            "1900-02-29",
            "2024-00",
            "2024-13",
            "2024-04-31",
            "2024-01-00",
            "0000",
            "24",
            "02024",
            "2024-1",
            "2024-1-1",
            "2024-01-01T",
            "2024-01-01T24:00:00Z",
            "2024-01-01T10",
            "2024-01-01T10:60:00Z",
            "2024-01-01T10:00:61Z",
            "2024-01-01T10:00:00.Z",
            "2024-01T10:00:00Z",
            "2024-01-01T10:00:00+15:00",
            "2024-01-01T10:00:00+14:01",
            "2024-01-01T10:00:00+1:00",
            "2024-01-01T10:00:00z",
            "2024-01-01 10:00:00Z",
            "2024-01-01t10:00:00Z",
            "2024-01-01Z",
            " 2024",
            "2024 ",
            "+2024",
            "-024",
            "2024-01-01T10:00:00ZZ",
            "２０２４",
        ];
        for text in texts {
            assert_eq!(search_range(text), None, "{text}");
        }
    }

    #[test]
    fn each_primitive_accepts_only_its_own_precisions() {
        for (text, date, date_time, instant) in [
            ("2024", true, true, false),
            ("2024-05", true, true, false),
            ("2024-05-06", true, true, false),
            ("2024-05-06T10:00", false, false, false),
            ("2024-05-06T10:00Z", false, false, false),
            ("2024-05-06T10:00:00", false, false, false),
            ("2024-05-06T10:00:00Z", false, true, true),
            ("2024-05-06T10:00:00.5-05:00", false, true, true),
        ] {
            assert_eq!((is_date(text), is_date_time(text), is_instant(text)), (date, date_time, instant), "{text}");
            assert_eq!(range(text).is_some(), date_time, "{text}");
        }
        for (text, time) in
            [("10:00:00", true), ("23:59:60.5", true), ("10:00", false), ("10:00:00Z", false), ("24:00:00", false), ("", false)]
        {
            assert_eq!(is_time(text), time, "{text}");
        }
    }

    #[test]
    fn formatting_and_parsing_are_inverse_over_all_years() {
        let mut milliseconds = MINIMUM;
        while milliseconds < MAXIMUM {
            let text = format(milliseconds);
            assert_eq!(range(&text), Some(Range { low: milliseconds, high: milliseconds + 1 }), "{text}");
            milliseconds += 97 * DAY + 3_661_001;
        }
    }

    #[test]
    fn times_that_fhir_cannot_write_become_the_nearest() {
        assert_eq!(format(i64::MIN), "0001-01-01T00:00:00.000Z");
        assert_eq!(format(i64::MAX), "9999-12-31T23:59:59.999Z");
    }
}
