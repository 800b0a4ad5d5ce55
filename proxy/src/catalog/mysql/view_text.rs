//! Which relations the text of a view names. MariaDB tells it nowhere else; MySQL tells it in VIEW_TABLE_USAGE too.
//!
//! The server writes the text itself, each relation as `` `database`.`name` `` and each column as
//! `` `database`.`name`.`column` `` or `` `alias`.`column` ``. What is not told apart is taken for a relation: a name too
//! much is looked up and found to be none, one too few would be a way around a policy.

use std::collections::BTreeSet;

/// Names in a view's text, as database and name.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Named {
    /// Whatever may be a relation.
    pub(super) pairs: BTreeSet<(String, String)>,
    /// What stands behind FROM or JOIN, and so is one.
    pub(super) sources: BTreeSet<(String, String)>,
}

/// Reads a definition; `None` when its quotes do not end, so that nothing is known.
pub(super) fn named(definition: &str) -> Option<Named> {
    let mut found = Named::default();
    let mut tokens = Tokens { rest: definition };
    // The parts of a name so far, and whether a dot was the last thing read.
    let (mut chain, mut dotted): (Vec<String>, bool) = (Vec::new(), false);
    let mut behind_from = false;
    loop {
        let token = tokens.next()?;
        match token {
            Token::Name(name) | Token::Word(name) if dotted => {
                chain.push(name);
                dotted = false;
                continue;
            }
            Token::Mark('.') if !chain.is_empty() => {
                dotted = true;
                continue;
            }
            _ => {}
        }
        if let [database, name, ..] = chain.as_slice() {
            let pair = (database.clone(), name.clone());
            if behind_from {
                found.sources.insert(pair.clone());
            }
            found.pairs.insert(pair);
        }
        let fresh = chain.is_empty();
        chain.clear();
        dotted = false;
        behind_from = match token {
            Token::End => return Some(found),
            Token::Word(word) if SOURCES.iter().any(|known| word.eq_ignore_ascii_case(known)) => true,
            Token::Name(name) | Token::Word(name) => {
                chain.push(name);
                behind_from && fresh
            }
            // A join in brackets begins with a relation too.
            Token::Mark(mark) => behind_from && fresh && mark == '(',
        };
    }
}

/// Words behind which a relation stands. The server quotes a name that is one of them.
const SOURCES: [&str; 3] = ["from", "join", "straight_join"];

/// The tables that a MERGE table puts together, as its CREATE TABLE lists them: database, where it is another one, and
/// name. `None` when the list cannot be read; empty when there is none.
pub(super) fn union(create_table: &str) -> Option<Vec<(Option<String>, String)>> {
    let mut tokens = Tokens { rest: create_table };
    let mut list: Option<Vec<Vec<String>>> = None;
    let mut begins = 0;
    loop {
        let token = tokens.next()?;
        if let Some(list) = &mut list {
            match token {
                Token::Name(name) | Token::Word(name) => list.last_mut()?.push(name),
                Token::Mark(',') => list.push(Vec::new()),
                Token::Mark('.') => {}
                Token::Mark(')') => break,
                Token::Mark(_) | Token::End => return None,
            }
            continue;
        }
        begins = match token {
            Token::End => return Some(Vec::new()),
            Token::Word(word) if word.eq_ignore_ascii_case("union") => 1,
            Token::Mark('=') if begins == 1 => 2,
            Token::Mark('(') if begins == 2 => {
                list = Some(vec![Vec::new()]);
                0
            }
            _ => 0,
        };
    }
    let name = |mut parts: Vec<String>| match (parts.pop(), parts.pop(), parts.pop()) {
        (Some(name), database, None) => Some((database, name)),
        _ => None,
    };
    list?.into_iter().map(name).collect()
}

enum Token {
    /// In backticks or double quotes.
    Name(String),
    /// Bare: a keyword, a number, or a name that its creator's session left without quotes.
    Word(String),
    /// Everything else; a string is `'`.
    Mark(char),
    End,
}

struct Tokens<'t> {
    rest: &'t str,
}

impl Tokens<'_> {
    /// `None` where a quote or comment does not end.
    fn next(&mut self) -> Option<Token> {
        loop {
            self.rest = self.rest.trim_start();
            if let Some(comment) = self.rest.strip_prefix("/*") {
                self.rest = comment.split_once("*/")?.1;
                continue;
            }
            let Some(first) = self.rest.chars().next() else { return Some(Token::End) };
            return match first {
                '`' | '"' => self.quoted(first).map(Token::Name),
                '\'' => self.quoted(first).map(|_| Token::Mark('\'')),
                letter if is_of_word(letter) => {
                    let end = self.rest.find(|letter| !is_of_word(letter)).unwrap_or(self.rest.len());
                    let (word, rest) = self.rest.split_at(end);
                    self.rest = rest;
                    Some(Token::Word(word.to_owned()))
                }
                mark => {
                    self.rest = &self.rest[mark.len_utf8()..];
                    Some(Token::Mark(mark))
                }
            };
        }
    }

    /// What stands between two quotes; a doubled one is one of the text's, and in strings so is one behind a backslash.
    fn quoted(&mut self, quote: char) -> Option<String> {
        let mut text = String::new();
        let mut characters = self.rest.char_indices().skip(1).peekable();
        while let Some((at, character)) = characters.next() {
            match character {
                '\\' if quote != '`' => text.extend(characters.next().map(|(_, escaped)| escaped)),
                end if end == quote => match characters.next_if(|(_, next)| *next == quote) {
                    Some(_) => text.push(quote),
                    None => {
                        self.rest = &self.rest[at + quote.len_utf8()..];
                        return Some(text);
                    }
                },
                other => text.push(other),
            }
        }
        None
    }
}

fn is_of_word(letter: char) -> bool {
    letter.is_alphanumeric() || matches!(letter, '_' | '$') || !letter.is_ascii()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn check(definition: &str, sources: &[&str], further: &[&str]) {
        let found = named(definition).unwrap();
        let shown = |pairs: &BTreeSet<(String, String)>| -> Vec<String> {
            pairs.iter().map(|(database, name)| format!("{database}.{name}")).collect()
        };
        assert_eq!(shown(&found.sources), sources, "{definition}");
        let others: BTreeSet<_> = found.pairs.difference(&found.sources).cloned().collect();
        assert_eq!(shown(&others), further, "{definition}");
    }

    /// Texts as both servers write them.
    #[test]
    fn relations_are_found_wherever_they_stand() {
        check("select `s`.`t`.`id` AS `id` from `s`.`t`", &["s.t"], &[]);
        check("select `o`.`id` AS `id` from `s`.`t` `o`", &["s.t"], &["o.id"]);
        check(
            "select `a`.`id` AS `id` from (`s`.`t` `a` join `u`.`v` `b` on(`a`.`id` = `b`.`id`)) where exists(select 1 \
             from ((`s`.`w`)) limit 1)",
            &["s.t", "s.w", "u.v"],
            &["a.id", "b.id"],
        );
        check(
            "select 1 AS `1` from `s`.`t` straight_join `s`.`u` union select `s`.`x`.`y` AS `y` from `s`.`x`",
            &["s.t", "s.u", "s.x"],
            &[],
        );
        check(
            "with `c` as (select `s`.`t`.`e` AS `e` from `s`.`t`) select `c`.`e` AS `e` from `c`",
            &["s.t"],
            &["c.e"],
        );
        check("select `s`.`f`(1) AS `x`,nextval(`s`.`q`) AS `n`", &[], &["s.f", "s.q"]);
        check("select `d`.`x` AS `x` from (select `s`.`t`.`x` AS `x` from `s`.`t`) `d`", &["s.t"], &["d.x"]);
        // Without sql_quote_show_create, with odd names, and with spaces that no server writes.
        check("select s.t.id AS id from s.t where s.t.n = 1.5", &["s.t"], &["1.5"]);
        check("select 1 from `odd``name`.`from``x` `from`", &["odd`name.from`x"], &[]);
        check("select 1 from `s` . `t`", &["s.t"], &[]);
        check("select 1 FROM\n( \"s\".\"t\")", &["s.t"], &[]);
    }

    #[test]
    fn parts_of_a_merge_table_are_found() {
        let of = |text: &str| {
            union(text).map(|parts| {
                parts
                    .into_iter()
                    .map(|(database, name)| format!("{}:{name}", database.unwrap_or_default()))
                    .collect::<Vec<_>>()
            })
        };
        let table = "CREATE TABLE `m` (\n  `union` int COMMENT 'UNION=(`no`)'\n) ENGINE=MRG_MyISAM";
        assert_eq!(of(&format!("{table} UNION=(`m1`,`s`.`m``2`,m3)")).unwrap(), [":m1", "s:m`2", ":m3"]);
        assert!(of(table).unwrap().is_empty());
        for wrong in ["UNION=()", "UNION=(`a`", "UNION=(`a`,)", "UNION=(`a`.`b`.`c`)", "UNION=(1+1)", "COMMENT='"] {
            assert_eq!(of(&format!("{table} {wrong}")), None, "{wrong}");
        }
    }

    #[test]
    fn strings_and_comments_name_nothing() {
        check(
            r"select '`s`.`t`' AS `a`,'it\'s `x`.`y`' AS `b`,'\\' AS `c`,'d''`p`.`q`' AS `d` from `s`.`u`",
            &["s.u"],
            &[],
        );
        check("select /* `s`.`t` */ _utf8mb4'from `a`.`b`' AS `x` from `s`.`u`", &["s.u"], &[]);
        for open in ["select 'abc from `s`.`t`", "select `abc from s", "select 1 /* from `s`.`t`", "select \"x"] {
            assert_eq!(named(open), None, "{open}");
        }
    }

    proptest! {
        #[test]
        fn any_text_is_read(text in "[a-z`'\"\\\\./*() ]{0,60}") {
            let _ = named(&text);
        }

        /// Whatever the names and the strings around them hold, the relation is found.
        #[test]
        fn no_name_hides_a_relation(database in "[^\0]{1,8}", name in "[^\0]{1,8}", text in "[^\0]{0,8}") {
            let quote = |name: &str| format!("`{}`", name.replace('`', "``"));
            let string = text.replace('\\', "\\\\").replace('\'', "\\'");
            let definition =
                format!("select '{string}' AS {} from {}.{}", quote(&name), quote(&database), quote(&name));
            prop_assert!(named(&definition).unwrap().sources.contains(&(database, name)));
        }
    }
}
