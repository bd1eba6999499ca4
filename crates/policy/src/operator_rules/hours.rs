//! Hours of the week in a time zone.
//!
//! Hours that end before they begin go through midnight and belong to the day on which they begin. A zone is a distance from UTC or a name of the IANA time
//! zone database, of which the caller reads the file (RFC 9636): nothing here opens one.

use core::fmt;

use jiff::Timestamp;
use jiff::tz::TimeZone;

/// The days as rules write them, from Monday on.
const DAYS: [&str; 7] = ["mon", "tue", "wed", "thu", "fri", "sat", "sun"];
/// Minutes of a day.
const DAY: u16 = 24 * 60;
/// Seconds of a day.
const DAY_SECONDS: i64 = 86_400;

/// Gives the contents of a time zone's file by its name, where there is one.
pub type Zones<'a> = &'a dyn Fn(&str) -> Option<Vec<u8>>;

/// Hours on some days of the week.
#[derive(Clone, Debug, PartialEq)]
pub struct Hours {
    /// Bit 0 is Monday.
    days: u8,
    /// The first minute of the day.
    from: u16,
    /// The minute before which they end; less than `from`: on the next day.
    to: u16,
    zone: Zone,
}

#[derive(Clone, Debug, PartialEq)]
enum Zone {
    /// Seconds that local time is ahead of UTC.
    Fixed(i32),
    Named(String, TimeZone),
}

impl Hours {
    /// Hours of these days; `days` are names or ranges of them, none of them stands for all.
    pub fn parse(days: &[String], (from, to): (&str, &str), zone: &str, zones: Zones<'_>) -> Result<Self, String> {
        let days = days.iter().try_fold(0, |set, text| Ok::<_, String>(set | parse_days(text)?))?;
        let (from, to) = (parse_minute(from)?, parse_minute(to)?);
        if from == to || from == DAY {
            return Err("from and to must differ; the whole day is from = \"00:00\", to = \"24:00\"".to_owned());
        }
        Ok(Self { days: if days == 0 { 0x7f } else { days }, from, to, zone: Zone::parse(zone, zones)? })
    }

    /// Whether a time in seconds since the epoch is in them.
    pub fn contain(&self, at: i64) -> bool {
        let local = at.saturating_add(self.zone.offset(at));
        // The epoch was a Thursday.
        let weekday = u8::try_from((local.div_euclid(DAY_SECONDS) + 3).rem_euclid(7)).unwrap_or(0);
        let minute = u16::try_from(local.rem_euclid(DAY_SECONDS) / 60).unwrap_or(0);
        let on = |weekday: u8| self.days & (1 << weekday) != 0;
        if self.from < self.to {
            on(weekday) && (self.from..self.to).contains(&minute)
        } else {
            on(weekday) && minute >= self.from || on((weekday + 6) % 7) && minute < self.to
        }
    }

    /// Whether they are all the time.
    pub fn are_always(&self) -> bool {
        self.days == 0x7f && self.from == 0 && self.to == DAY
    }
}

impl Zone {
    fn parse(text: &str, zones: Zones<'_>) -> Result<Self, String> {
        let unknown = || {
            format!(
                "'{text}' is no time zone here: write UTC, a distance such as +01:00, or a name such as America/New_York (package tzdata)"
            )
        };
        if text == "UTC" || text == "Z" {
            return Ok(Self::Fixed(0));
        }
        if let Some(rest) = text.strip_prefix(['+', '-']) {
            let minutes = parse_minute(rest).ok().filter(|minutes| *minutes <= 14 * 60).ok_or_else(unknown)?;
            let seconds = i32::from(minutes) * 60;
            return Ok(Self::Fixed(if text.starts_with('-') { -seconds } else { seconds }));
        }
        let sound = |byte: u8| byte.is_ascii_alphanumeric() || b"_-+/".contains(&byte);
        let named = (1..=64).contains(&text.len()) && text.bytes().all(sound) && !text.starts_with('/');
        let file = if named { zones(text) } else { None }.ok_or_else(unknown)?;
        TimeZone::tzif(text, &file).map(|zone| Self::Named(text.to_owned(), zone)).map_err(|_| unknown())
    }

    fn offset(&self, at: i64) -> i64 {
        match self {
            Self::Fixed(seconds) => i64::from(*seconds),
            Self::Named(_, zone) => {
                Timestamp::from_second(at).map_or(0, |timestamp| i64::from(zone.to_offset(timestamp).seconds()))
            }
        }
    }
}

impl fmt::Display for Hours {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let days: Vec<&str> = (0..).zip(DAYS).filter(|(bit, _)| self.days & (1 << bit) != 0).map(|(_, day)| day).collect();
        let days = if self.days == 0x7f { "every day".to_owned() } else { days.join(", ") };
        let time = |minute: u16| format!("{:02}:{:02}", minute / 60, minute % 60);
        let next = if self.to < self.from { " of the next day" } else { "" };
        write!(formatter, "{days} from {} to {}{next} {}", time(self.from), time(self.to), self.zone)
    }
}

impl fmt::Display for Zone {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Fixed(0) => formatter.write_str("UTC"),
            Self::Fixed(seconds) => {
                let sign = if *seconds < 0 { '-' } else { '+' };
                let minutes = seconds.unsigned_abs() / 60;
                write!(formatter, "UTC{sign}{:02}:{:02}", minutes / 60, minutes % 60)
            }
            Self::Named(name, _) => formatter.write_str(name),
        }
    }
}

/// The days that one name or range stands for; a range may go over Sunday.
fn parse_days(text: &str) -> Result<u8, String> {
    let unknown = || format!("'{text}' is no day: write mon, tue, wed, thu, fri, sat, sun, or a range such as mon-fri");
    let place = |name: &str| DAYS.iter().position(|day| *day == name).ok_or_else(unknown);
    let (first, last) = text.split_once('-').unwrap_or((text, text));
    let (first, last) = (place(first)?, place(last)?);
    let length = (last + 7 - first) % 7;
    Ok((0..=length).fold(0, |set, after| set | 1 << ((first + after) % 7)))
}

/// Minutes since midnight of `07:30`; `24:00` is the end of the day.
fn parse_minute(text: &str) -> Result<u16, String> {
    let read = || {
        let (hours, minutes) = text.split_once(':')?;
        let number = |digits: &str| match digits.len() == 2 && digits.bytes().all(|byte| byte.is_ascii_digit()) {
            true => digits.parse::<u16>().ok(),
            false => None,
        };
        let (hours, minutes) = (number(hours)?, number(minutes)?);
        let total = hours * 60 + minutes;
        (minutes < 60 && total <= DAY).then_some(total)
    };
    read().ok_or_else(|| format!("'{text}' is no time of day: write hours and minutes such as 07:30, at most 24:00"))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Monday, 2026-11-23T00:00:00Z.
    const MONDAY: i64 = 1_795_392_000;

    fn hours(days: &[&str], from: &str, to: &str, zone: &str) -> Result<Hours, String> {
        let days: Vec<String> = days.iter().map(|day| (*day).to_owned()).collect();
        Hours::parse(&days, (from, to), zone, &|_| None)
    }

    fn at(day: i64, hour: i64, minute: i64) -> i64 {
        MONDAY + day * DAY_SECONDS + hour * 3600 + minute * 60
    }

    #[test]
    fn hours_hold_on_their_days_between_their_ends() {
        let office = hours(&["mon-fri"], "07:00", "19:30", "UTC").unwrap();
        for (day, hour, minute, expected) in [
            (0, 6, 59, false),
            (0, 7, 0, true),
            (4, 19, 29, true),
            (4, 19, 30, false),
            (5, 12, 0, false),
            (6, 12, 0, false),
            (7, 12, 0, true),
            (-1, 12, 0, false),
            (-3, 12, 0, true),
        ] {
            assert_eq!(office.contain(at(day, hour, minute)), expected, "{day} {hour}:{minute}");
        }
    }

    #[test]
    fn hours_through_midnight_belong_to_the_day_on_which_they_begin() {
        let night = hours(&["fri"], "22:00", "06:00", "UTC").unwrap();
        for (day, hour, expected) in [(4, 21, false), (4, 22, true), (5, 5, true), (5, 6, false), (5, 22, false), (4, 3, false)] {
            assert_eq!(night.contain(at(day, hour, 0)), expected, "{day} {hour}");
        }
        let sunday = hours(&["sun"], "23:00", "01:00", "UTC").unwrap();
        assert!(sunday.contain(at(0, 0, 30)) && !sunday.contain(at(1, 0, 30)));
    }

    #[test]
    fn a_zone_shifts_the_day_too() {
        let ahead = hours(&["tue"], "00:00", "02:00", "+02:00").unwrap();
        assert!(ahead.contain(at(0, 22, 0)) && !ahead.contain(at(1, 0, 0)));
        let behind = hours(&["sun"], "20:00", "24:00", "-05:00").unwrap();
        assert!(behind.contain(at(0, 1, 0)) && behind.contain(at(0, 4, 59)) && !behind.contain(at(0, 5, 0)));
    }

    /// A file of version 1 with one change, from UTC+1 to UTC+2, on Monday at noon.
    fn changing(_: &str) -> Option<Vec<u8>> {
        let mut file = b"TZif\0".to_vec();
        file.extend([0; 15]);
        for count in [0_u32, 0, 0, 1, 2, 8] {
            file.extend(count.to_be_bytes());
        }
        file.extend(i32::try_from(at(0, 12, 0)).unwrap().to_be_bytes());
        file.push(1);
        file.extend(3600_i32.to_be_bytes());
        file.extend([0, 0]);
        file.extend(7200_i32.to_be_bytes());
        file.extend([1, 4]);
        file.extend(b"ONE\0TWO\0");
        Some(file)
    }

    #[test]
    fn a_named_zone_changes_its_distance() {
        let day: Vec<String> = Vec::new();
        let noon = Hours::parse(&day, ("12:00", "13:00"), "Europe/Somewhere", &changing).unwrap();
        assert!(noon.contain(at(0, 11, 30)), "an hour ahead before the change");
        assert!(!noon.contain(at(1, 11, 30)) && noon.contain(at(1, 10, 30)), "two hours ahead after it");
        assert_eq!(noon.to_string(), "every day from 12:00 to 13:00 Europe/Somewhere");
    }

    #[test]
    fn what_are_no_hours_is_refused_with_what_to_write() {
        for (days, from, to, zone, advice) in [
            ("monday", "07:00", "19:00", "UTC", "mon-fri"),
            ("mon-", "07:00", "19:00", "UTC", "mon-fri"),
            ("mon", "7:00", "19:00", "UTC", "07:30"),
            ("mon", "07:00", "19:60", "UTC", "07:30"),
            ("mon", "07:00", "24:01", "UTC", "07:30"),
            ("mon", "07:00", "07:00", "UTC", "must differ"),
            ("mon", "24:00", "07:00", "UTC", "must differ"),
            ("mon", "07:00", "19:00", "+25:00", "+01:00"),
            ("mon", "07:00", "19:00", "Mars/Base", "America/New_York"),
            ("mon", "07:00", "19:00", "../../etc/passwd", "America/New_York"),
            ("mon", "07:00", "19:00", "", "America/New_York"),
        ] {
            let problem = hours(&[days], from, to, zone).unwrap_err();
            assert!(problem.contains(advice), "{days} {from} {to} {zone}: {problem}");
        }
    }

    #[test]
    fn ranges_of_days_may_go_over_sunday() {
        assert_eq!(parse_days("fri-mon").unwrap(), 0b111_0001);
        assert_eq!(parse_days("wed").unwrap(), 0b100);
    }
}
