//! Days, for start and end dates of people: whole days in UTC, since a directory file has no time zone.

use std::fmt;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// A day of the Gregorian calendar.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Date {
    year: i64,
    month: u8,
    day: u8,
}

impl Date {
    /// The day of a moment, in UTC.
    pub fn of(moment: SystemTime) -> Date {
        let days = match moment.duration_since(UNIX_EPOCH) {
            Ok(since) => i64::try_from(since.as_secs() / 86_400).unwrap_or(i64::MAX / 400),
            Err(before) => -i64::try_from(before.duration().as_secs().div_ceil(86_400)).unwrap_or(i64::MAX / 400),
        };
        // Years that begin in March put the leap day at their end, so that months have fixed offsets.
        let days = days + 719_468;
        let era = days.div_euclid(146_097);
        let day_of_era = days.rem_euclid(146_097);
        let year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
        let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
        let shifted = (5 * day_of_year + 2) / 153;
        let month = if shifted < 10 { shifted + 3 } else { shifted - 9 };
        Date {
            year: year_of_era + era * 400 + i64::from(month <= 2),
            month: u8::try_from(month).unwrap_or(1),
            day: u8::try_from(day_of_year - (153 * shifted + 2) / 5 + 1).unwrap_or(1),
        }
    }

    /// Midnight at its beginning, in UTC; `None` where the system's clock does not reach.
    pub fn start(self) -> Option<SystemTime> {
        let year = self.year - i64::from(self.month <= 2);
        let (era, year_of_era) = (year.div_euclid(400), year.rem_euclid(400));
        let month = i64::from(self.month);
        let day_of_year = (153 * (if month > 2 { month - 3 } else { month + 9 }) + 2) / 5 + i64::from(self.day) - 1;
        let days = era * 146_097 + year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year - 719_468;
        let secs = Duration::from_secs(days.unsigned_abs().checked_mul(86_400)?);
        if days < 0 { UNIX_EPOCH.checked_sub(secs) } else { UNIX_EPOCH.checked_add(secs) }
    }

    /// Reads `YYYY-MM-DD`; `None` for anything else, and for days that no calendar has.
    pub fn parse(text: &str) -> Option<Date> {
        let bytes = text.as_bytes();
        let well_formed = bytes.len() == 10
            && bytes
                .iter()
                .enumerate()
                .all(|(at, byte)| if at == 4 || at == 7 { *byte == b'-' } else { byte.is_ascii_digit() });
        if !well_formed {
            return None;
        }
        let date =
            Date { year: text[..4].parse().ok()?, month: text[5..7].parse().ok()?, day: text[8..].parse().ok()? };
        let leap = date.year % 4 == 0 && (date.year % 100 != 0 || date.year % 400 == 0);
        let days = match date.month {
            4 | 6 | 9 | 11 => 30,
            2 if leap => 29,
            2 => 28,
            1..=12 => 31,
            _ => 0,
        };
        (1..=days).contains(&date.day).then_some(date)
    }
}

impl fmt::Display for Date {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:04}-{:02}-{:02}", self.year, self.month, self.day)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn days_are_those_of_the_calendar() {
        let at = |secs| Date::of(UNIX_EPOCH + Duration::from_secs(secs)).to_string();
        assert_eq!(at(0), "1970-01-01");
        assert_eq!(at(86_399), "1970-01-01");
        assert_eq!(at(951_782_400), "2000-02-29");
        assert_eq!(at(951_868_800), "2000-03-01");
        assert_eq!(at(1_798_675_200), "2026-12-31");
        assert_eq!(at(4_107_542_400), "2100-03-01", "2100 is no leap year");
        assert_eq!(Date::of(UNIX_EPOCH - Duration::from_secs(1)).to_string(), "1969-12-31");
        // Every day of four centuries has a successor, and is read back.
        let mut before = Date::of(UNIX_EPOCH);
        for day in 1..146_097_u64 {
            let today = Date::of(UNIX_EPOCH + Duration::from_secs(day * 86_400));
            assert!(today > before, "{before} {today}");
            assert_eq!(Date::parse(&today.to_string()), Some(today));
            assert_eq!(today.start(), Some(UNIX_EPOCH + Duration::from_secs(day * 86_400)));
            before = today;
        }
        assert_eq!(before.to_string(), "2369-12-31");
        let earlier = Date::parse("1900-03-01").unwrap();
        assert_eq!(earlier.start().map(Date::of), Some(earlier));
    }

    #[test]
    fn what_is_no_day_is_refused() {
        for text in [
            "",
            "2026",
            "2026-1-1",
            "2026-13-01",
            "2026-00-01",
            "2026-02-29",
            "2026-04-31",
            "2026-01-00",
            "26-01-01xx",
            "２０26-01-01",
        ] {
            assert_eq!(Date::parse(text), None, "{text}");
        }
    }
}
