//! Moments as an operator writes them: a day, a minute of a day, or how long ago; always UTC, as in the log.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use crate::identity::Date;

/// Unix milliseconds of `2026-11-24`, `2026-11-24T10:00`, `2026-11-24T10:00:30Z`, or of `90s`, `15m`, `2h`, `7d` before
/// `now`.
pub(super) fn parse(text: &str, now: SystemTime) -> Result<u64, String> {
    let wrong = || format!("`{text}` is no moment: write 2026-11-24, 2026-11-24T10:00 (UTC), or 90s, 15m, 2h, 7d ago");
    let moment = match text.char_indices().last() {
        Some((at, unit)) if unit.is_ascii_lowercase() => ago(&text[..at], unit, now),
        _ => absolute(text),
    };
    let since = moment.and_then(|moment| moment.duration_since(UNIX_EPOCH).ok()).ok_or_else(wrong)?;
    u64::try_from(since.as_millis()).map_err(|_| wrong())
}

/// Seconds of `90s`, `30m`, `2h`, `1d`.
pub(super) fn duration(text: &str) -> Result<u64, String> {
    let wrong = || format!("`{text}` is no length of time: write 90s, 30m, 2h or 1d");
    let (at, unit) = text.char_indices().last().ok_or_else(wrong)?;
    secs(&text[..at], unit).filter(|secs| *secs > 0).ok_or_else(wrong)
}

fn ago(count: &str, unit: char, now: SystemTime) -> Option<SystemTime> {
    now.checked_sub(Duration::from_secs(secs(count, unit)?))
}

fn secs(count: &str, unit: char) -> Option<u64> {
    let count = number(count)?;
    let factor: u64 = match unit {
        's' => 1,
        'm' => 60,
        'h' => 3600,
        'd' => 86_400,
        _ => return None,
    };
    count.checked_mul(factor)
}

fn absolute(text: &str) -> Option<SystemTime> {
    let (day, time) = text.split_at_checked(10)?;
    let day = Date::parse(day)?.start();
    if time.is_empty() {
        return day;
    }
    let time = time.strip_prefix(['T', ' '])?;
    let mut parts = time.strip_suffix('Z').unwrap_or(time).split(':');
    let mut part = |below: u64| {
        let text = parts.next()?;
        number(text).filter(|number| text.len() == 2 && *number < below)
    };
    let (hours, minutes) = (part(24)?, part(60)?);
    let secs = if time.matches(':').count() == 2 { part(60)? } else { 0 };
    if parts.next().is_some() {
        return None;
    }
    day?.checked_add(Duration::from_secs(hours * 3600 + minutes * 60 + secs))
}

/// Digits only: no sign.
fn number(text: &str) -> Option<u64> {
    if text.bytes().all(|byte| byte.is_ascii_digit()) { text.parse().ok() } else { None }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn moments_are_read() {
        let now = UNIX_EPOCH + Duration::from_secs(1_000_000);
        let check = |text: &str, expected: Option<u64>| assert_eq!(parse(text, now).ok(), expected, "{text}");
        check("1970-01-02", Some(86_400_000));
        check("2026-11-24", Some(1_795_478_400_000));
        check("2026-11-24T10:00", Some(1_795_514_400_000));
        check("2026-11-24T10:00:30Z", Some(1_795_514_430_000));
        check("2026-11-24 10:00", Some(1_795_514_400_000));
        check("90s", Some(999_910_000));
        check("15m", Some(999_100_000));
        check("2h", Some(992_800_000));
        check("7d", Some(395_200_000));
        for wrong in [
            "",
            "d",
            "7",
            "7w",
            "-1d",
            "+1d",
            "99999999999999999999d",
            "20000d",
            "2026-02-30",
            "2026-11-24T",
            "2026-11-24T1:00",
        ] {
            check(wrong, None);
        }
        for wrong in [
            "2026-11-24T24:00",
            "2026-11-24T10:60",
            "2026-11-24T10:00:00:00",
            "1969-12-31",
            "2026-11-2é",
            "2026-11-24T+1:00",
        ] {
            check(wrong, None);
        }
        assert_eq!(["90s", "30m", "2h", "1d"].map(|text| duration(text).unwrap()), [90, 1800, 7200, 86_400]);
        for wrong in ["", "h", "0m", "-1h", "2w", "99999999999999999999d", "9999999999999999999d"] {
            assert!(duration(wrong).unwrap_err().contains("is no length of time"), "{wrong}");
        }
        assert!(parse("soon", now).unwrap_err().contains("`soon` is no moment"));
    }
}
