//! People in a table: RFC 4180 with a header line. The reader is our own: the format is a page, and a field's line must be
//! told.
//!
//! Headers are the words of [`Field`], and more: `accounts@UPSTREAM` holds accounts of one server, and `claim NAME@ISSUER`
//! the values of a token's claim. Other columns are left alone. Several values stand in one field with `|` or `;` between
//! them.

use super::fields;
use super::{ENTRIES_MAX, Field, Import, ImportError, Imported, Kind, Mapping, Name};

/// Most fields of a line.
const FIELDS_MAX: usize = 1000;
/// Longest field, bytes.
const FIELD_BYTES_MAX: usize = 64 * 1024;

/// What a column holds.
enum Column {
    Is(Field),
    AccountsOn(String),
    Claim { name: String, issuer: String },
    Ignored,
}

/// Reads a table.
///
/// # Errors
/// What is wrong with it as a table, and names and accounts that stand twice.
pub fn read(text: &str, mapping: &Mapping) -> Result<Import, ImportError> {
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let mut table = Table::new(text);
    let Some((_, header)) = table.record()? else {
        return Err(ImportError::at(1, "the file is empty; its first line names the columns"));
    };
    let columns = columns(&header, mapping)?;
    let mut import = Import::default();
    while let Some((line, record)) = table.record()? {
        if record.iter().all(|field| field.trim().is_empty()) {
            continue;
        }
        if record.len() != header.len() {
            return Err(ImportError::at(
                line,
                format!(
                    "{} fields, and the header has {}; quote fields that hold the separator",
                    record.len(),
                    header.len()
                ),
            ));
        }
        if import.entries.len() == ENTRIES_MAX {
            return Err(ImportError::at(line, format!("more than {ENTRIES_MAX} people")));
        }
        if let Some(entry) = entry(line, &record, &columns, &mut import) {
            import.entries.push(entry);
        }
    }
    import.settle()
}

fn columns(header: &[String], mapping: &Mapping) -> Result<Vec<Column>, ImportError> {
    let mut columns: Vec<Column> = Vec::new();
    for title in header.iter().map(|title| title.trim()) {
        let mapped = mapping.iter().find(|(_, column)| column.as_str() == title).map(|(field, _)| *field);
        // A field that is mapped elsewhere is no longer where it usually is.
        let usual = Field::named(title).filter(|field| !mapping.contains_key(field));
        columns.push(match (mapped.or(usual), title.split_once('@')) {
            (Some(field), _) => Column::Is(field),
            (None, Some(("accounts", upstream))) => Column::AccountsOn(upstream.to_owned()),
            (None, Some((claim, issuer))) if claim.starts_with("claim ") => {
                Column::Claim { name: claim["claim ".len()..].trim().to_owned(), issuer: issuer.to_owned() }
            }
            _ => Column::Ignored,
        });
    }
    for (word, field) in Field::ALL {
        let count = columns.iter().filter(|column| matches!(column, Column::Is(is) if *is == field)).count();
        if count > 1 {
            return Err(ImportError::at(1, format!("two columns hold `{word}`")));
        }
        match mapping.get(&field) {
            Some(column) if count == 0 => {
                return Err(ImportError::at(1, format!("there is no column `{column}`, which is to hold `{word}`")));
            }
            None if count == 0 && field == Field::Name => {
                return Err(ImportError::at(
                    1,
                    "no column holds `name`; call one so, or say which does with --map name=COLUMN",
                ));
            }
            _ => {}
        }
    }
    Ok(columns)
}

fn entry(line: usize, record: &[String], columns: &[Column], import: &mut Import) -> Option<Imported> {
    let name = columns.iter().zip(record).find(|(column, _)| matches!(column, Column::Is(Field::Name)));
    let name = name.map(|(_, field)| field.trim()).unwrap_or_default();
    if !fields::is_name(name) {
        import.note(line, "left out: it has no usable name".to_owned());
        return None;
    }
    let mut entry = Imported::new(line, name.to_owned());
    for (column, field) in columns.iter().zip(record) {
        let field = field.trim();
        if field.is_empty() {
            continue;
        }
        match column {
            Column::Is(what) => {
                if let Err(reason) = set(&mut entry, *what, field) {
                    import.note(line, format!("`{name}`: {reason}"));
                    // Somebody whose last day cannot be read must not stay for ever.
                    if matches!(what, Field::From | Field::Until) {
                        return None;
                    }
                }
            }
            Column::AccountsOn(upstream) => {
                entry
                    .accounts
                    .extend(fields::several(field).into_iter().map(|account| (account, Some(upstream.clone()))));
            }
            Column::Claim { name, issuer } => {
                let claims = fields::several(field).into_iter();
                entry.names.extend(claims.map(|value| Name::Claim {
                    issuer: issuer.clone(),
                    name: name.clone(),
                    value,
                }));
            }
            Column::Ignored => {}
        }
    }
    Some(entry)
}

fn set(entry: &mut Imported, field: Field, text: &str) -> Result<(), String> {
    match field {
        Field::Name => {}
        Field::Kind => {
            entry.kind = match text {
                "person" => Kind::Person,
                "service" => Kind::Service,
                other => return Err(format!("`{other}` is neither person nor service; taken for a person")),
            }
        }
        Field::Accounts => entry.accounts.extend(fields::several(text).into_iter().map(|account| (account, None))),
        Field::Groups => entry.groups.extend(fields::several(text)),
        Field::Manager => entry.manager = Some(text.to_owned()),
        Field::From => entry.from = Some(fields::day(text).ok_or_else(|| no_day(text))?),
        Field::Until => entry.until = Some(fields::day(text).ok_or_else(|| no_day(text))?),
        Field::OsUser => entry.os_user = Some(text.to_owned()),
        Field::Certificates => {
            let mut wrong = Ok(());
            for certificate in fields::several(text) {
                match fields::certificate(&certificate) {
                    Ok(name) => drop(entry.names.insert(name)),
                    Err(reason) => wrong = Err(format!("certificate `{certificate}` is left out: {reason}")),
                }
            }
            return wrong;
        }
        Field::Hosts => {
            let (good, bad): (Vec<_>, Vec<_>) =
                fields::several(text).into_iter().partition(|host| fields::is_host(host));
            entry.hosts.extend(good);
            if let Some(host) = bad.first() {
                return Err(format!("host `{host}` is left out: it is neither an address nor a network"));
            }
        }
    }
    Ok(())
}

fn no_day(text: &str) -> String {
    format!("left out altogether: `{text}` is no day; write days as 2026-12-31")
}

/// Records of a table, one after the other.
struct Table<'a> {
    rest: std::iter::Peekable<std::str::Chars<'a>>,
    separator: char,
    line: usize,
}

impl<'a> Table<'a> {
    fn new(text: &'a str) -> Table<'a> {
        // Spreadsheets write what their country calls a list separator.
        let header = text.lines().next().unwrap_or_default();
        let separator = [',', ';', '\t'].into_iter().max_by_key(|separator| {
            // Of equals the last one would be taken, and the comma is the usual one.
            (header.matches(*separator).count(), *separator == ',')
        });
        Table { rest: text.chars().peekable(), separator: separator.unwrap_or(','), line: 1 }
    }

    /// The next record and the line that it begins on. RFC 4180, 2.
    fn record(&mut self) -> Result<Option<(usize, Vec<String>)>, ImportError> {
        if self.rest.peek().is_none() {
            return Ok(None);
        }
        let begins = self.line;
        let mut record = Vec::new();
        loop {
            if record.len() == FIELDS_MAX {
                return Err(ImportError::at(begins, format!("more than {FIELDS_MAX} fields")));
            }
            let (field, ends) = self.field(begins)?;
            record.push(field);
            if ends {
                return Ok(Some((begins, record)));
            }
        }
    }

    /// The next field, and whether its record ends with it.
    fn field(&mut self, begins: usize) -> Result<(String, bool), ImportError> {
        let mut field = String::new();
        let quoted = self.rest.next_if_eq(&'"').is_some();
        let mut open = quoted;
        loop {
            if field.len() > FIELD_BYTES_MAX {
                return Err(ImportError::at(
                    begins,
                    format!("a field of more than {FIELD_BYTES_MAX} bytes; is a quote missing?"),
                ));
            }
            let Some(character) = self.rest.next() else {
                return match open {
                    true => Err(ImportError::at(begins, "a quote that is opened here is never closed")),
                    false => Ok((field, true)),
                };
            };
            match character {
                '"' if open => {
                    if self.rest.next_if_eq(&'"').is_some() {
                        field.push('"');
                    } else {
                        open = false;
                    }
                }
                '\n' | '\r' if !open => {
                    if character == '\r' {
                        self.rest.next_if_eq(&'\n');
                    }
                    self.line += 1;
                    return Ok((field, true));
                }
                separator if separator == self.separator && !open => return Ok((field, false)),
                '"' if !quoted => {
                    return Err(ImportError::at(
                        self.line,
                        "a quote in the middle of a field; quote the whole field, and double the quote",
                    ));
                }
                _ if quoted && !open => {
                    return Err(ImportError::at(
                        self.line,
                        "something stands behind a closing quote; double quotes inside a field",
                    ));
                }
                other => {
                    self.line += usize::from(other == '\n');
                    field.push(other);
                }
            }
        }
    }
}
