//! Values of exports, as a directory writes them.

use std::time::{Duration, UNIX_EPOCH};

use super::super::directory::NAME_BYTES_MAX;
use super::super::directory::subject_or_uri;
use super::{Date, Name};

/// Whether a directory would take it as a name.
pub(super) fn is_name(text: &str) -> bool {
    !text.is_empty() && text.len() <= NAME_BYTES_MAX && !text.chars().any(char::is_control)
}

/// A day: `2026-12-31`, or a generalized time of LDAP (RFC 4517, 3.3.13), `20261231225959Z`.
pub(super) fn day(text: &str) -> Option<Date> {
    let text = text.trim();
    if let Some(day) = Date::parse(text) {
        return Some(day);
    }
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    let zulu = text.ends_with('Z') && (digits == 14 || digits == 12 || digits == 10);
    let bare = digits == 8 && text.len() == 8;
    if !zulu && !bare {
        return None;
    }
    Date::parse(&format!("{}-{}-{}", &text[..4], &text[4..6], &text[6..8]))
}

/// The last day of an account of shadow(5), which is closed from the day of that number on.
/// `None`: never; an error: no number.
pub(super) fn shadow_expire(text: &str) -> Result<Option<Date>, ()> {
    match text.trim().parse::<i64>().map_err(|_| ())? {
        // The manual calls 0 ambiguous; the programs that read it take it for never, as less than it.
        ..=0 => Ok(None),
        days => {
            let days = u64::try_from(days - 1).map_err(|_| ())?;
            let since = days.checked_mul(86_400).map(Duration::from_secs).ok_or(())?;
            UNIX_EPOCH.checked_add(since).map(|moment| Some(Date::of(moment))).ok_or(())
        }
    }
}

/// The last day of an account of Active Directory, which counts in 100 ns since 1601.
/// <https://learn.microsoft.com/en-us/windows/win32/adschema/a-accountexpires>
pub(super) fn account_expires(text: &str) -> Result<Option<Date>, ()> {
    const SECONDS_1601_TO_1970: u64 = 11_644_473_600;
    match text.trim().parse::<u64>().map_err(|_| ())? {
        0 | 0x7fff_ffff_ffff_ffff => Ok(None),
        ticks => {
            // The account ends at this moment: at midnight the day before was the last one.
            let seconds = (ticks - 1) / 10_000_000;
            let day = match seconds.checked_sub(SECONDS_1601_TO_1970) {
                Some(since) => UNIX_EPOCH.checked_add(Duration::from_secs(since)),
                None => UNIX_EPOCH.checked_sub(Duration::from_secs(SECONDS_1601_TO_1970 - seconds)),
            };
            day.map(|day| Some(Date::of(day))).ok_or(())
        }
    }
}

/// A certificate as an operator writes it.
pub(super) fn certificate(text: &str) -> Result<Name, String> {
    subject_or_uri(text)
}

/// An address or a network.
pub(super) fn is_host(text: &str) -> bool {
    weir_policy::rule::Network::parse(text).is_some()
}

/// Several values in one: `|` and `;` stand between them, unless a backslash stands before.
pub(super) fn several(text: &str) -> Vec<String> {
    let mut values = vec![String::new()];
    let mut escaped = false;
    for character in text.chars() {
        if matches!(character, '|' | ';' | '\n') && !escaped {
            values.push(String::new());
        } else if let Some(value) = values.last_mut() {
            value.push(character);
        }
        escaped = character == '\\' && !escaped;
    }
    values.iter().map(|value| value.trim().to_owned()).filter(|value| !value.is_empty()).collect()
}
