//! The small languages inside the values of a policy file: sizes, percentages, days, moments, hours, networks.
//!
//! Each function answers `None` for what it does not understand; the callers know the place and tell.

use crate::rule::Hours;

const SECONDS_OF_DAY: u64 = 86_400;
const MINUTES_OF_DAY: u16 = 24 * 60;
/// Years that a day may be in; beyond them somebody mistyped.
const YEARS: std::ops::RangeInclusive<u64> = 1970..=9999;
const DAYS: [&str; 7] = ["mon", "tue", "wed", "thu", "fri", "sat", "sun"];

/// Bytes: `4096`, `512KiB`, `200MiB`, `1GiB`, `10MB`, with or without a space before the unit.
pub(super) fn size(text: &str) -> Option<u64> {
    let digits = text.trim_end_matches(|character: char| character.is_ascii_alphabetic());
    let factor: u64 = match text[digits.len()..].to_ascii_lowercase().as_str() {
        "" | "b" => 1,
        "kb" => 1_000,
        "mb" => 1_000_000,
        "gb" => 1_000_000_000,
        "tb" => 1_000_000_000_000,
        "kib" => 1 << 10,
        "mib" => 1 << 20,
        "gib" => 1 << 30,
        "tib" => 1 << 40,
        _ => return None,
    };
    number(digits.trim_end())?.checked_mul(factor)
}

/// A percentage such as `80%`, of any size.
pub(super) fn percent(text: &str) -> Option<u64> {
    number(text.strip_suffix('%')?.trim_end())
}

/// Seconds of `45s`, `30m`, `8h`, `1d`.
pub(super) fn duration(text: &str) -> Option<u64> {
    let (at, unit) = text.char_indices().last()?;
    let factor = match unit {
        's' => 1,
        'm' => 60,
        'h' => 3600,
        'd' => SECONDS_OF_DAY,
        _ => return None,
    };
    number(&text[..at])?.checked_mul(factor)
}

/// The first second of a day such as `2027-01-31`, Unix time UTC.
pub(super) fn day(text: &str) -> Option<u64> {
    let mut parts = text.split('-');
    let (year, month, day) = (parts.next()?, parts.next()?, parts.next()?);
    if parts.next().is_some() || year.len() != 4 || month.len() != 2 || day.len() != 2 {
        return None;
    }
    let (year, month, day) = (number(year)?, number(month)?, number(day)?);
    if !YEARS.contains(&year) {
        return None;
    }
    let is_leap = |year: u64| year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400));
    let months = [31, if is_leap(year) { 29 } else { 28 }, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31];
    let before = usize::try_from(month).ok()?.checked_sub(1)?;
    if day == 0 || day > *months.get(before)? {
        return None;
    }
    let leap_days = |year: u64| year / 4 - year / 100 + year / 400;
    let days_of_years = (year - 1970) * 365 + leap_days(year - 1) - leap_days(1969);
    let days = days_of_years + months[..before].iter().sum::<u64>() + day - 1;
    Some(days * SECONDS_OF_DAY)
}

/// The first second after a day, Unix time UTC.
pub(super) fn end_of_day(text: &str) -> Option<u64> {
    Some(day(text)? + SECONDS_OF_DAY)
}

/// A moment such as `2026-11-24 03:00 UTC`, Unix time UTC.
pub(super) fn moment(text: &str) -> Option<u64> {
    let mut words = text.split_ascii_whitespace();
    let (date, time, zone) = (words.next()?, words.next()?, words.next()?);
    let minute = minute_of_day(time).filter(|minute| *minute < MINUTES_OF_DAY)?;
    if words.next().is_some() || zone != "UTC" {
        return None;
    }
    Some(day(date)? + u64::from(minute) * 60)
}

/// Hours of the week such as `Mon-Fri 08:00-18:00 UTC` or `Mon,Wed 22:00-04:00 UTC`. An end that is not after the
/// beginning is meant on the next day.
pub(super) fn hours(text: &str) -> Option<Hours> {
    let mut words = text.split_ascii_whitespace();
    let (days_text, times, zone) = (words.next()?, words.next()?, words.next()?);
    if words.next().is_some() || zone != "UTC" {
        return None;
    }
    let mut days = [false; 7];
    for part in days_text.split(',') {
        let (first, last) = part.split_once('-').unwrap_or((part, part));
        let (mut day, last) = (weekday(first)?, weekday(last)?);
        days[day] = true;
        while day != last {
            day = (day + 1) % 7;
            days[day] = true;
        }
    }
    let (from, until) = times.split_once('-')?;
    let (from, until) = (minute_of_day(from)?, minute_of_day(until)?);
    // Nothing begins at the end of a day, and a stretch that ends where it begins could be none or all.
    (from < MINUTES_OF_DAY && from != until).then_some(Hours { days, from, until })
}

fn weekday(text: &str) -> Option<usize> {
    DAYS.iter().position(|day| text.eq_ignore_ascii_case(day))
}

fn minute_of_day(text: &str) -> Option<u16> {
    let (hour, minute) = text.split_once(':')?;
    if hour.len() != 2 || minute.len() != 2 {
        return None;
    }
    let (hour, minute) = (number(hour)?, number(minute)?);
    let minutes = u16::try_from(hour.checked_mul(60)? + minute).ok()?;
    (minute < 60 && minutes <= MINUTES_OF_DAY).then_some(minutes)
}

/// Digits only: no sign, no space.
fn number(text: &str) -> Option<u64> {
    text.bytes().all(|byte| byte.is_ascii_digit()).then(|| text.parse().ok()).flatten()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rule::Network;

    #[test]
    fn sizes() {
        let check = |text: &str, expected: Option<u64>| assert_eq!(size(text), expected, "{text}");
        check("200MiB", Some(200 << 20));
        check("10 MB", Some(10_000_000));
        check("1gib", Some(1 << 30));
        check("17", Some(17));
        check("17B", Some(17));
        check("-1", None);
        check("MiB", None);
        check("1.5GiB", None);
        check("5 parsecs", None);
        check("99999999999999999999", None);
        check("99999999999TiB", None);
    }

    #[test]
    fn durations() {
        let check = |text: &str, expected: Option<u64>| assert_eq!(duration(text), expected, "{text}");
        check("45s", Some(45));
        check("30m", Some(1800));
        check("8h", Some(28_800));
        check("1d", Some(86_400));
        for wrong in ["", "h", "8", "8 h", "-1h", "1.5h", "8w", "8hé", "99999999999999999999s", "9999999999999999999d"]
        {
            check(wrong, None);
        }
    }

    #[test]
    fn days_and_moments() {
        let check = |text: &str, expected: Option<u64>| assert_eq!(day(text), expected, "{text}");
        check("1970-01-01", Some(0));
        check("2000-03-01", Some(951_868_800));
        check("2024-02-29", Some(1_709_164_800));
        check("2026-11-23", Some(1_795_392_000));
        check("2100-02-29", None);
        check("2026-02-30", None);
        check("2026-00-10", None);
        check("2026-13-10", None);
        check("2026-1-10", None);
        check("1969-12-31", None);
        check("2026-01-01-01", None);
        check("+026-01-01", None);
        assert_eq!(end_of_day("1970-01-01"), Some(86_400));
        assert_eq!(moment("2026-11-23 03:30 UTC"), Some(1_795_392_000 + 3 * 3600 + 30 * 60));
        assert_eq!(moment("2026-11-23 24:00 UTC"), None);
        assert_eq!(moment("2026-11-23 03:30 CET"), None);
        assert_eq!(moment("2026-11-23 03:30"), None);
    }

    #[test]
    fn hours_of_the_week() {
        let week = |days: &str| {
            let hours = hours(&format!("{days} 08:00-24:00 UTC"))?;
            Some(hours.days.map(|day| if day { 'x' } else { '.' }).iter().collect::<String>())
        };
        let check = |days: &str, expected: Option<&str>| assert_eq!(week(days).as_deref(), expected, "{days}");
        check("Mon-Fri", Some("xxxxx.."));
        check("mon,WED", Some("x.x...."));
        check("Sat-Mon", Some("x....xx"));
        check("Mon-Tue,Sun", Some("xx....x"));
        check("Mon,", None);
        check("Monday", None);
        let times = |times: &str| hours(&format!("Mon {times} UTC")).map(|hours| (hours.from, hours.until));
        assert_eq!(times("08:00-18:30"), Some((480, 1110)));
        assert_eq!(times("22:00-04:00"), Some((1320, 240)));
        assert_eq!(times("00:00-24:00"), Some((0, 1440)));
        for wrong in ["8:00-18:00", "08:00", "08:60-09:00", "25:00-26:00", "24:00-04:00", "08:00-08:00", "08.00-09.00"]
        {
            assert_eq!(times(wrong), None, "{wrong}");
        }
        assert_eq!(hours("Mon-Fri 08:00-18:00 Europe/Berlin"), None);
        assert_eq!(hours("Mon-Fri 08:00-18:00"), None);
    }

    #[test]
    fn networks() {
        let holds =
            |text: &str, address: &str| Network::parse(text).map(|network| network.holds(address.parse().unwrap()));
        assert_eq!(holds("10.0.0.0/8", "10.1.2.3"), Some(true));
        assert_eq!(holds("10.0.0.1", "10.0.0.2"), Some(false));
        assert_eq!(holds("::1", "::1"), Some(true));
        for written in ["10.0.0.0/8", "10.0.0.1", "::1", "fd00::/8"] {
            assert_eq!(Network::parse(written).map(|network| network.to_string()).as_deref(), Some(written));
        }
        for wrong in ["10.0.0.0/33", "10.0.0/8", "::/129", "10.0.0.0/", "10.0.0.0/-1", "host"] {
            assert_eq!(Network::parse(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn percentages() {
        assert_eq!(percent("80%"), Some(80));
        assert_eq!(percent("80 %"), Some(80));
        assert_eq!(percent("80"), None);
        assert_eq!(percent("%"), None);
        assert_eq!(percent("1e2%"), None);
    }
}
