//! Which schemas unqualified names are looked up in, when a session starts: the server does not report it before
//! version 18, and a wrong guess would resolve a name to the wrong relation.
//! <https://www.postgresql.org/docs/current/sql-alterrole.html>

use std::collections::HashMap;

/// The defaults of one database.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Default)]
pub(in crate::catalog) struct SearchPaths {
    /// Of the server; `None` where it could not be told.
    server: Option<Vec<String>>,
    /// `ALTER ROLE ALL SET`.
    everyone: Option<Vec<String>>,
    /// `ALTER DATABASE … SET`.
    database: Option<Vec<String>>,
    /// `ALTER ROLE … SET` and `ALTER ROLE … IN DATABASE … SET`, by role; the second is stronger.
    roles: Vec<(String, RolePath)>,
}

/// One role's settings.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Default)]
struct RolePath {
    anywhere: Option<Vec<String>>,
    here: Option<Vec<String>>,
}

/// One row of `pg_db_role_setting`, for this database or all.
pub(super) struct Setting {
    /// Role, or `None` for all.
    pub(super) role: Option<String>,
    /// Whether it is for this database only.
    pub(super) here: bool,
    /// `name=value` lines.
    pub(super) lines: Vec<String>,
}

impl SearchPaths {
    /// `server` is the value of `search_path` that no role or database setting touched.
    pub(super) fn new(server: Option<&str>, settings: Vec<Setting>) -> SearchPaths {
        let mut paths = SearchPaths { server: server.map(parse), ..SearchPaths::default() };
        let mut roles: HashMap<String, RolePath> = HashMap::new();
        for setting in settings {
            let value = setting.lines.iter().find_map(|line| line.strip_prefix("search_path="));
            let Some(path) = value.map(parse) else { continue };
            match (setting.role, setting.here) {
                (None, false) => paths.everyone = Some(path),
                (None, true) => paths.database = Some(path),
                (Some(role), false) => roles.entry(role).or_default().anywhere = Some(path),
                (Some(role), true) => roles.entry(role).or_default().here = Some(path),
            }
        }
        paths.roles = roles.into_iter().collect();
        paths.roles.sort_by(|(one, _), (other, _)| one.cmp(other));
        paths
    }

    /// The path that a session of `role` starts with.
    pub(in crate::catalog) fn of(&self, role: &str) -> Vec<String> {
        let own = self.roles.iter().find(|(name, _)| name == role).map(|(_, path)| path);
        own.and_then(|path| path.here.as_ref().or(path.anywhere.as_ref()))
            .or(self.database.as_ref())
            .or(self.everyone.as_ref())
            .or(self.server.as_ref())
            .cloned()
            .unwrap_or_else(|| vec!["$user".to_owned(), "public".to_owned()])
    }
}

/// The value that the `options` of a start-up packet give `search_path`: `-c name=value` or `--name=value`, split at
/// spaces that no backslash precedes. <https://www.postgresql.org/docs/current/libpq-connect.html#LIBPQ-CONNECT-OPTIONS>
pub(crate) fn of_options(options: &str) -> Option<String> {
    let mut words: Vec<String> = Vec::new();
    let mut word = String::new();
    let mut characters = options.chars();
    while let Some(character) = characters.next() {
        match character {
            '\\' => word.extend(characters.next()),
            space if space.is_ascii_whitespace() => words.push(std::mem::take(&mut word)),
            other => word.push(other),
        }
    }
    words.push(word);
    let mut found = None;
    let mut words = words.into_iter().filter(|word| !word.is_empty());
    while let Some(word) = words.next() {
        let setting = match word.strip_prefix("-c").or(word.strip_prefix("--")) {
            Some("") => words.next().unwrap_or_default(),
            Some(rest) => rest.to_owned(),
            None => continue,
        };
        if let Some((name, value)) = setting.split_once('=')
            && name.replace('-', "_").eq_ignore_ascii_case("search_path")
        {
            found = Some(value.to_owned());
        }
    }
    found
}

/// Splits a list of identifiers as the server does: folded to lower case unless quoted.
pub(crate) fn parse(value: &str) -> Vec<String> {
    let mut schemas = Vec::new();
    let mut rest = value.trim_start();
    while !rest.is_empty() {
        let mut schema = String::new();
        if let Some(quoted) = rest.strip_prefix('"') {
            let mut characters = quoted.char_indices().peekable();
            let mut end = quoted.len();
            while let Some((at, character)) = characters.next() {
                if character != '"' {
                    schema.push(character);
                } else if characters.next_if(|(_, next)| *next == '"').is_some() {
                    schema.push('"');
                } else {
                    end = at + 1;
                    break;
                }
            }
            rest = &quoted[end..];
        } else {
            let end = rest.find(',').unwrap_or(rest.len());
            // The server folds ASCII, and other letters only in single-byte encodings.
            schema = rest[..end].trim().to_ascii_lowercase();
            rest = &rest[end..];
        }
        if !schema.is_empty() {
            schemas.push(schema);
        }
        rest = rest.find(',').map_or("", |comma| rest[comma + 1..].trim_start());
    }
    schemas
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_option_stands() {
        let of = |options: &str| of_options(options);
        assert_eq!(of("-c search_path=a,b"), Some("a,b".to_owned()));
        assert_eq!(of("-csearch_path=a --search-path=b"), Some("b".to_owned()));
        assert_eq!(of("-c geqo=off"), None);
        assert_eq!(of("-c search_path=a,\\ b"), Some("a, b".to_owned()));
        assert_eq!(of("-c"), None);
    }

    #[test]
    fn lists_are_split_as_the_server_does() {
        let check = |value: &str, expected: &[&str]| assert_eq!(parse(value), expected, "{value}");
        check("\"$user\", public", &["$user", "public"]);
        check("App,  \"Mixed Case\" , b", &["app", "Mixed Case", "b"]);
        check("\"a,b\", \"say \"\"hi\"\"\"", &["a,b", "say \"hi\""]);
        check("", &[]);
        check("\"\"", &[]);
        check("\"open", &["open"]);
        check(",,a,", &["a"]);
    }

    #[test]
    fn the_nearest_setting_wins() {
        let setting = |role: Option<&str>, here, path: &str| Setting {
            role: role.map(str::to_owned),
            here,
            lines: vec!["work_mem=4MB".to_owned(), format!("search_path={path}")],
        };
        let mut settings = vec![setting(None, false, "everyone")];
        let of = |settings: Vec<Setting>, role: &str| SearchPaths::new(Some("server"), settings).of(role);
        assert_eq!(of(Vec::new(), "alice"), ["server"]);
        assert_eq!(SearchPaths::default().of("alice"), ["$user", "public"]);
        assert_eq!(of(vec![setting(None, false, "everyone")], "alice"), ["everyone"]);
        settings.push(setting(None, true, "database"));
        settings.push(setting(Some("alice"), false, "role"));
        settings.push(setting(Some("bob"), true, "here"));
        settings.push(setting(Some("bob"), false, "anywhere"));
        let paths = SearchPaths::new(Some("server"), settings);
        assert_eq!(paths.of("alice"), ["role"]);
        assert_eq!(paths.of("bob"), ["here"]);
        assert_eq!(paths.of("carol"), ["database"]);
    }
}
