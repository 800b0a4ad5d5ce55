//! The list of an import as a directory file: sorted, quoted where it must be, with a comment that says where each entry is
//! from.

use std::fmt::Write;

use super::{Import, Imported, Kind, Name};

/// Writes a directory; `shown` is how the export is called in its comments.
pub fn write(import: &Import, shown: &str) -> String {
    let mut text = format!(
        "# From {} by `weir directory import`. Changes belong into the source, or a next import drops them.\n",
        plain(shown)
    );
    for (kind, title) in [(Kind::Person, "people"), (Kind::Service, "services")] {
        let mut entries = import.entries.iter().filter(|entry| entry.kind == kind).peekable();
        if entries.peek().is_none() {
            continue;
        }
        // Writing to a text cannot fail.
        let _ = writeln!(text, "{title}:");
        for entry in entries {
            one(entry, shown, &mut text);
        }
    }
    if import.entries.is_empty() {
        text.push_str("people: {}\n");
    }
    text
}

fn one(entry: &Imported, shown: &str, into: &mut String) {
    let _ = write!(into, "  # {}:{}", plain(shown), entry.line);
    if let Some(origin) = &entry.origin {
        let _ = write!(into, " {}", plain(origin));
    }
    for remark in &entry.remarks {
        let _ = write!(into, "; {}", plain(remark));
    }
    let _ = writeln!(into, "\n  {}:", scalar(&entry.name));
    let accounts: Vec<String> = entry
        .accounts
        .iter()
        .map(|(account, upstream)| match upstream {
            None => scalar(account),
            Some(upstream) => format!("{{ account: {}, upstream: {} }}", scalar(account), scalar(upstream)),
        })
        .collect();
    let certificates = entry.names.iter().filter_map(|name| match name {
        Name::Subject(name) | Name::Uri(name) => Some(scalar(name)),
        Name::Claim { .. } => None,
    });
    let claims = entry.names.iter().filter_map(|name| match name {
        Name::Claim { issuer, name, value } => {
            Some(format!("{{ issuer: {}, claim: {}, value: {} }}", scalar(issuer), scalar(name), scalar(value)))
        }
        Name::Subject(_) | Name::Uri(_) => None,
    });
    let groups: Vec<String> = entry.groups.iter().map(|group| scalar(group)).collect();
    let hosts: Vec<String> = entry.hosts.iter().map(|host| scalar(host)).collect();
    // An entry without anything in it would be no mapping.
    let _ = writeln!(into, "    accounts: [{}]", accounts.join(", "));
    for (key, values) in [
        ("certificates", certificates.collect::<Vec<_>>()),
        ("claims", claims.collect()),
        ("groups", groups),
        ("hosts", hosts),
    ] {
        if !values.is_empty() {
            let _ = writeln!(into, "    {key}: [{}]", values.join(", "));
        }
    }
    let days = [("from", entry.from), ("until", entry.until)];
    let days = days.into_iter().filter_map(|(key, day)| Some((key, day?.to_string())));
    let texts = [("manager", &entry.manager), ("os-user", &entry.os_user)];
    let texts = texts.into_iter().filter_map(|(key, text)| Some((key, scalar(text.as_deref()?))));
    for (key, value) in texts.chain(days) {
        let _ = writeln!(into, "    {key}: {value}");
    }
}

/// A text in a comment: in one line, whatever it holds.
fn plain(text: &str) -> String {
    text.chars().map(|character| if is_printed(character) { character } else { '?' }).collect()
}

/// A text as YAML writes it: bare where nothing else can be meant, else in double quotes. YAML 1.2.2, 7.3.
fn scalar(text: &str) -> String {
    let words = ["true", "false", "yes", "no", "on", "off", "y", "n", "null", "nan", "inf"];
    let bare = text.starts_with(|first: char| first.is_ascii_alphabetic())
        && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"_-.@".contains(&byte))
        && !words.contains(&text.to_ascii_lowercase().as_str());
    if bare {
        return text.to_owned();
    }
    let mut quoted = "\"".to_owned();
    for character in text.chars() {
        match character {
            '"' | '\\' => quoted.extend(['\\', character]),
            printed if is_printed(printed) => quoted.push(printed),
            other => {
                let _ = write!(quoted, "\\U{:08X}", u32::from(other));
            }
        }
    }
    quoted.push('"');
    quoted
}

/// Whether a reader of YAML, and of a comment, sees the same in one line. Characters that turn the direction of what
/// follows would show another text than stands there.
fn is_printed(character: char) -> bool {
    let turns =
        matches!(character, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{feff}');
    !character.is_control() && !turns && !matches!(character, '\u{fffe}' | '\u{ffff}')
}
