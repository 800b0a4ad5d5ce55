//! People of an LDAP directory, as `ldapsearch` and `ldifde` write them: LDIF, RFC 2849.
//!
//! Entries with a `uid` or `sAMAccountName` are people; groups come from `memberOf` and from entries that list their
//! members. Values in files and at addresses (`attribute:< …`) are never fetched, and change records are refused.

use std::collections::{BTreeSet, HashMap};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use super::super::certificate;
use super::{ENTRIES_MAX, Field, Import, ImportError, Imported, Kind, Mapping, fields};
use crate::identity::Date;

/// Longest value, bytes: a picture.
const VALUE_BYTES_MAX: usize = 16 * 1024 * 1024;
/// Most values of an entry: a group lists its members.
const VALUES_MAX: usize = 500_000;
/// Words of `objectClass` for what is neither human nor a program with a password of its own.
const NO_PEOPLE: [&str; 6] =
    ["computer", "groupofnames", "groupofuniquenames", "posixgroup", "group", "organizationalunit"];
/// Groups list their members by these.
const MEMBERS: [&str; 3] = ["member", "uniquemember", "memberuid"];
/// Bit of `userAccountControl` for an account that was closed.
/// <https://learn.microsoft.com/en-us/windows/win32/adschema/a-useraccountcontrol>
const ACCOUNT_DISABLED: i64 = 2;

/// One entry of the file.
struct Entry<'a> {
    line: usize,
    dn: String,
    values: Vec<(String, Value<'a>, usize)>,
}

enum Value<'a> {
    Text(std::borrow::Cow<'a, str>),
    Bytes(Vec<u8>),
}

impl Entry<'_> {
    /// Values of an attribute, by its name in small letters.
    fn all<'e>(&'e self, name: &'e str) -> impl Iterator<Item = (&'e str, usize)> {
        self.values.iter().filter(move |(attribute, ..)| attribute == name).filter_map(|(_, value, line)| match value {
            Value::Text(text) => Some((text.trim(), *line)),
            Value::Bytes(_) => None,
        })
    }

    fn first<'e>(&'e self, name: &'e str) -> Option<(&'e str, usize)> {
        self.all(name).find(|(text, _)| !text.is_empty())
    }

    fn is_a(&self, classes: &[&str]) -> bool {
        self.all("objectclass").any(|(class, _)| classes.iter().any(|one| class.eq_ignore_ascii_case(one)))
    }
}

/// Reads an export.
///
/// # Errors
/// What is wrong with it as LDIF, and names and accounts that stand twice.
pub fn read(text: &str, mapping: &Mapping) -> Result<Import, ImportError> {
    let mut import = Import::default();
    let entries = entries(text, &mut import)?;
    let attribute = |field: Field| mapping.get(&field).map(|name| name.to_ascii_lowercase());
    let name_in = attribute(Field::Name);
    let name_of = |entry: &Entry<'_>| {
        let named = match &name_in {
            Some(attribute) => entry.first(attribute),
            None => entry.first("uid").or_else(|| entry.first("samaccountname")),
        };
        named.map(|(name, _)| name.to_owned())
    };
    // Managers and members are named by where they stand in the tree.
    let mut by_dn: HashMap<String, String> = HashMap::new();
    let mut groups_by_dn: HashMap<String, BTreeSet<String>> = HashMap::new();
    let mut groups_by_uid: HashMap<String, BTreeSet<String>> = HashMap::new();
    for entry in &entries {
        if let Some(name) = name_of(entry).filter(|_| !entry.is_a(&NO_PEOPLE)) {
            by_dn.insert(folded(&entry.dn), name);
        }
        let Some((group, _)) = entry.first("cn") else { continue };
        for member in MEMBERS {
            for (of, _) in entry.all(member) {
                let groups = match member {
                    "memberuid" => groups_by_uid.entry(of.to_owned()).or_default(),
                    _ => groups_by_dn.entry(folded(of)).or_default(),
                };
                groups.insert(group.to_owned());
            }
        }
    }
    for entry in &entries {
        if entry.is_a(&NO_PEOPLE) || entry.values.iter().any(|(name, ..)| MEMBERS.contains(&name.as_str())) {
            continue;
        }
        let Some(name) = name_of(entry) else {
            if entry.is_a(&["person", "inetorgperson", "posixaccount", "user"]) {
                import.note(entry.line, format!("`{}` is left out: it has no uid or sAMAccountName", entry.dn));
            }
            continue;
        };
        if !fields::is_name(&name) {
            import.note(entry.line, format!("`{}` is left out: it has no usable name", entry.dn));
            continue;
        }
        let mut person = Imported::new(entry.line, name);
        person.origin = Some(entry.dn.clone());
        let known = Known { by_dn: &by_dn, by_dn_groups: &groups_by_dn, by_uid_groups: &groups_by_uid };
        if known.fill(&mut person, entry, &attribute, &mut import) {
            import.entries.push(person);
        }
    }
    import.settle()
}

/// What the file says elsewhere about an entry.
struct Known<'a> {
    by_dn: &'a HashMap<String, String>,
    by_dn_groups: &'a HashMap<String, BTreeSet<String>>,
    by_uid_groups: &'a HashMap<String, BTreeSet<String>>,
}

impl Known<'_> {
    /// Whether the person is to be taken.
    fn fill(
        &self,
        person: &mut Imported,
        entry: &Entry<'_>,
        attribute: &dyn Fn(Field) -> Option<String>,
        import: &mut Import,
    ) -> bool {
        let own = person.name.clone();
        let texts = |field: Field, usual: &str| -> Vec<(String, usize)> {
            let name = attribute(field).unwrap_or_else(|| usual.to_owned());
            entry.all(&name).filter(|(text, _)| !text.is_empty()).map(|(text, line)| (text.to_owned(), line)).collect()
        };
        let mut named = |what: &str, text: String, line: usize| {
            let usable = fields::is_name(&text);
            if !usable {
                import.note(line, format!("{what} of `{own}` is left out: it is no name"));
            }
            usable.then_some(text)
        };
        match attribute(Field::Accounts) {
            None => drop(person.accounts.insert((person.name.clone(), None))),
            Some(_) => {
                let accounts = texts(Field::Accounts, "").into_iter();
                person
                    .accounts
                    .extend(accounts.filter_map(|(text, line)| Some((named("an account", text, line)?, None))));
            }
        }
        for (group, line) in texts(Field::Groups, "memberof") {
            // The name of a group is the first part of where it stands.
            let group = super::super::subject::first_value(&group).unwrap_or(group);
            person.groups.extend(named("a group", group, line));
        }
        person.groups.extend(self.by_dn_groups.get(&folded(&entry.dn)).into_iter().flatten().cloned());
        person.groups.extend(self.by_uid_groups.get(&person.name).into_iter().flatten().cloned());
        if let Some((user, line)) =
            attribute(Field::OsUser).and_then(|name| texts(Field::OsUser, &name).into_iter().next())
        {
            person.os_user = named("the os-user", user, line);
        }
        if let Some((manager, _)) = texts(Field::Manager, "manager").into_iter().next() {
            person.manager = Some(self.by_dn.get(&folded(&manager)).cloned().unwrap_or(manager));
        }
        if attribute(Field::Kind)
            .is_some_and(|name| texts(Field::Kind, &name).iter().any(|(kind, _)| kind == "service"))
        {
            person.kind = Kind::Service;
        }
        if let Some(name) = attribute(Field::Hosts) {
            for (host, line) in texts(Field::Hosts, &name) {
                match fields::is_host(&host) {
                    true => drop(person.hosts.insert(host)),
                    false => {
                        import.note(line, format!("a host of `{own}` is left out: `{host}` is no address or network"))
                    }
                }
            }
        }
        certificates(person, entry, attribute(Field::Certificates), import);
        days(person, entry, attribute, import)
    }
}

/// Certificates in DER, and subjects where a mapping says so.
fn certificates(person: &mut Imported, entry: &Entry<'_>, mapped: Option<String>, import: &mut Import) {
    let wanted = mapped.as_deref().unwrap_or("usercertificate");
    for (name, value, line) in &entry.values {
        if name != wanted {
            continue;
        }
        let read = match value {
            Value::Bytes(der) => certificate::read(der)
                .map_err(|error| error.to_string())
                .and_then(|names| fields::certificate(&names.subject)),
            Value::Text(text) => fields::certificate(text.trim()),
        };
        match read {
            Ok(name) => drop(person.names.insert(name)),
            Err(reason) => import.note(*line, format!("a certificate of `{}` is left out: {reason}", person.name)),
        }
    }
}

/// First and last day. Whoever's last day cannot be read is left out: nobody may stay for ever by a misspelling.
fn days(
    person: &mut Imported,
    entry: &Entry<'_>,
    attribute: &dyn Fn(Field) -> Option<String>,
    import: &mut Import,
) -> bool {
    let mut unreadable = |line: usize, what: &str, text: &str| {
        import.note(line, format!("`{}` is left out: `{text}` in {what} is no day", person.name));
        false
    };
    for field in [Field::From, Field::Until] {
        let Some(name) = attribute(field) else { continue };
        let Some((text, line)) = entry.first(&name) else { continue };
        let Some(day) = fields::day(text) else { return unreadable(line, &name, text) };
        match field {
            Field::From => person.from = Some(day),
            _ => person.until = Some(day),
        }
    }
    type Read = fn(&str) -> Result<Option<Date>, ()>;
    let known: [(&str, Read); 2] =
        [("shadowexpire", fields::shadow_expire), ("accountexpires", fields::account_expires)];
    for (name, read) in known {
        let Some((text, line)) = entry.first(name) else { continue };
        match read(text) {
            Err(()) => return unreadable(line, name, text),
            // The first of several ends.
            Ok(day) => person.until = [person.until, day].into_iter().flatten().min(),
        }
    }
    let control = entry.first("useraccountcontrol").and_then(|(flags, _)| flags.parse::<i64>().ok());
    let disabled = control.is_some_and(|flags| flags & ACCOUNT_DISABLED != 0)
        || entry.first("nsaccountlock").is_some_and(|(text, _)| text.eq_ignore_ascii_case("true"))
        // An administrator's lock, in the draft that OpenLDAP's password policy follows.
        || entry.first("pwdaccountlockedtime").is_some_and(|(text, _)| text == "000001010000Z");
    if disabled {
        person.until = Date::parse("1970-01-01");
        person.remarks.push("closed at the source, which does not say since when".to_owned());
    }
    true
}

/// A distinguished name for comparing: without case and without spaces around its signs.
fn folded(dn: &str) -> String {
    let parts: Vec<String> =
        dn.split(',').map(|part| part.split('=').map(str::trim).collect::<Vec<_>>().join("=")).collect();
    parts.join(",").to_lowercase()
}

/// Splits a file into its entries.
fn entries<'a>(text: &'a str, import: &mut Import) -> Result<Vec<Entry<'a>>, ImportError> {
    let mut entries: Vec<Entry<'a>> = Vec::new();
    let mut open: Option<Entry<'a>> = None;
    let mut lines = Unfolded { lines: text.strip_prefix('\u{feff}').unwrap_or(text).lines().enumerate().peekable() };
    while let Some((line, text)) = lines.next()? {
        if text.is_empty() {
            entries.extend(open.take());
            continue;
        }
        let Some((attribute, rest)) = text.split_once(':') else {
            return Err(ImportError::at(line, "no colon; this is no LDIF (RFC 2849)"));
        };
        let attribute = attribute.to_ascii_lowercase();
        let value = match rest.as_bytes().first() {
            Some(b':') => {
                let decoded = STANDARD
                    .decode(rest[1..].trim())
                    .map_err(|_| ImportError::at(line, "a value that is no base64"))?;
                match String::from_utf8(decoded) {
                    Ok(text) => Value::Text(text.into()),
                    Err(error) => Value::Bytes(error.into_bytes()),
                }
            }
            Some(b'<') => {
                import.note(line, format!("`{attribute}` names a file or an address, which is not read"));
                continue;
            }
            _ => Value::Text(owned_or_not(&text, rest)),
        };
        match (&mut open, attribute.as_str()) {
            (None, "version") if entries.is_empty() => {
                if !matches!(&value, Value::Text(text) if text.trim() == "1") {
                    return Err(ImportError::at(line, "another version of LDIF than 1"));
                }
            }
            (None, "dn") => {
                if entries.len() == ENTRIES_MAX {
                    return Err(ImportError::at(line, format!("more than {ENTRIES_MAX} entries")));
                }
                let Value::Text(dn) = value else { return Err(ImportError::at(line, "a name that is no UTF-8")) };
                let dn = dn.trim().to_owned();
                open = Some(Entry { line, dn, values: Vec::new() });
            }
            // `ldapsearch` ends with what it found, as if it were an entry.
            (None, "search" | "result" | "ref") => {}
            (None, _) => return Err(ImportError::at(line, "an entry begins with its `dn`")),
            (Some(_), "dn") => return Err(ImportError::at(line, "an empty line is missing before this entry")),
            (Some(_), "changetype" | "control") => {
                return Err(ImportError::at(line, "a record of changes; export the entries themselves"));
            }
            (Some(entry), _) => {
                if entry.values.len() == VALUES_MAX {
                    return Err(ImportError::at(line, format!("an entry of more than {VALUES_MAX} values")));
                }
                // Options (`;binary`, `;lang-de`) say how a value is written, not what it is.
                let name = attribute.split(';').next().unwrap_or_default().to_owned();
                entry.values.push((name, value, line));
            }
        }
    }
    entries.extend(open);
    Ok(entries)
}

/// A value of a line, without its leading spaces, borrowed where the line is.
fn owned_or_not<'a>(line: &std::borrow::Cow<'a, str>, rest: &str) -> std::borrow::Cow<'a, str> {
    let value = rest.trim_start_matches(' ');
    match line {
        std::borrow::Cow::Borrowed(line) => std::borrow::Cow::Borrowed(&line[line.len() - value.len()..]),
        std::borrow::Cow::Owned(_) => std::borrow::Cow::Owned(value.to_owned()),
    }
}

/// Lines with what was folded put together again, and without comments.
struct Unfolded<'a> {
    lines: std::iter::Peekable<std::iter::Enumerate<std::str::Lines<'a>>>,
}

impl<'a> Unfolded<'a> {
    fn next(&mut self) -> Result<Option<(usize, std::borrow::Cow<'a, str>)>, ImportError> {
        loop {
            let Some((at, first)) = self.lines.next() else { return Ok(None) };
            let mut whole = std::borrow::Cow::Borrowed(first);
            while let Some((_, more)) = self.lines.next_if(|(_, next)| next.starts_with(' ')) {
                if whole.len() + more.len() > VALUE_BYTES_MAX {
                    return Err(ImportError::at(at + 1, format!("a value of more than {VALUE_BYTES_MAX} bytes")));
                }
                whole.to_mut().push_str(&more[1..]);
            }
            if !first.starts_with('#') {
                return Ok(Some((at + 1, whole)));
            }
        }
    }
}
