//! Rights, replication, plugins, maintenance, and everything else.

use std::ops::Range;

use sqlparser::keywords::Keyword;
use sqlparser::tokenizer::Token as ParserToken;

use super::super::Context;
use super::super::candidates::{self, Candidate};
use super::super::cursor::Cursor;
use super::super::found::Found;
use super::super::functions;
use super::super::lexer::Token;
use super::super::reading::{self, Fate};
use super::super::shape::Unit;
use super::super::uses::Draft;
use super::{folded, opaque};
use crate::statement::{Access, Coverage, SessionAct, Source, Verb};

/// Schemas of the servers' own.
const SYSTEM: [&str; 4] = ["mysql", "information_schema", "performance_schema", "sys"];

/// Reads a statement that begins with this word.
pub(super) fn read(cursor: &mut Cursor<'_, '_>, context: &Context<'_>, found: &mut Found, word: &str) {
    let whole = cursor.at..cursor.end;
    found.verb = Verb::Utility;
    match word {
        "grant" | "revoke" => grant(cursor, context, found),
        "kill" => {
            reading::expressions(cursor.unit, whole.start + 1..whole.end, context, found, ("kill", Fate::Stay));
            // KILL QUERY n: the word is no column.
            found.gaps.retain(|gap| gap.code != "unknown-column" && gap.code != "parser-refused");
            if found.gaps.is_empty() {
                found.coverage = Coverage::Full;
            }
            found.verb = Verb::Utility;
        }
        "analyze" | "check" | "checksum" | "optimize" | "repair" | "cache" => {
            if word != "checksum" && word != "cache" {
                found.acts.push(SessionAct::Commit);
            }
            touch(cursor.unit, whole, context, found, Access::Read);
        }
        "flush" | "lock" => {
            found.acts.push(SessionAct::Commit);
            touch(cursor.unit, whole, context, found, Access::Read);
        }
        // The texts of warnings hold values: see SHOW WARNINGS.
        "get" => found.acts.push(SessionAct::ReadsWarnings),
        "unlock" | "help" | "purge" | "signal" | "resignal" | "shutdown" | "restart" => {}
        "reset" => {
            // RESET PERSIST, RESET QUERY CACHE; RESET MASTER and REPLICA forget where they stood.
        }
        "install" | "uninstall" | "change" | "start" | "stop" | "clone" | "backup" | "import" | "binlog" => {
            // A plugin runs anything; a replica, a clone or a backup takes everything elsewhere; a binlog entry
            // writes rows.
            found.accesses.insert(if word == "binlog" { Access::Write } else { Access::Ddl });
            opaque(found, word);
            touch(cursor.unit, whole, context, found, Access::Ddl);
            found.acts.push(SessionAct::CatalogChanged);
        }
        _ => {
            found.verb = Verb::Unknown;
            // A word of SQL: gaps stand in records, and the text may be that of a literal.
            let word = cursor.peek().filter(Token::is_identifier).map(|word| folded(word, cursor.unit));
            let subject = word.filter(|word| is_keyword(word)).unwrap_or_else(|| "statement".to_owned());
            let runs = cursor.unit.tokens[whole.clone()]
                .iter()
                .any(|token| candidates::is_any(cursor.unit, token, &["execute", "prepare", "call"]));
            if runs {
                opaque(found, &subject);
            }
            reading::by_lexer(cursor.unit, whole, context, found, "parser-refused", &subject);
        }
    }
}

fn is_keyword(word: &str) -> bool {
    matches!(ParserToken::make_word(word, None), ParserToken::Word(word) if word.keyword != Keyword::NoKeyword)
}

/// Every name is a use of this kind, from which nothing leaves.
pub(super) fn touch(unit: &Unit<'_>, range: Range<usize>, context: &Context<'_>, found: &mut Found, access: Access) {
    for Candidate { name, relation, .. } in candidates::distinct(unit, range.clone(), context) {
        found.draft(Draft::new(name, Some(relation), access, Source::Parser));
    }
    for call in candidates::calls(unit, range) {
        if functions::is_special(&call.name, context) {
            functions::reach(&call, unit, context, found, &[], 0);
        }
    }
}

/// Whether a name means a relation of the session's own: those are looked up first, also with their database written.
pub(super) fn is_temporary(schema: Option<&str>, name: &str, context: &Context<'_>) -> bool {
    schema.is_none_or(|schema| context.search_path.iter().any(|known| known == schema))
        && context.temporary.iter().any(|known| known == name)
}

fn grant(cursor: &mut Cursor<'_, '_>, context: &Context<'_>, found: &mut Found) {
    found.verb = Verb::Grant;
    found.accesses.insert(Access::Grant);
    found.acts.push(SessionAct::Commit);
    let Some(on) = cursor.find("on") else { return };
    let end = cursor.find("to").or_else(|| cursor.find("from")).filter(|end| *end > on).unwrap_or(cursor.end);
    let unit = cursor.unit;
    let mut inner = Cursor { unit, at: on + 1, end };
    inner.take("table");
    let star = |at: usize| at < end && unit.tokens[at].raw(unit.text) == b"*";
    let schema = match inner.peek() {
        Some(token) if token.is_identifier() && star(inner.at + 2) => Some(folded(token, unit)),
        Some(_) if star(inner.at) && star(inner.at + 2) => None,
        // ON *: the current database.
        Some(_) if star(inner.at) => context.search_path.first().map(|schema| schema.to_lowercase()),
        _ => {
            for Candidate { name, relation, .. } in candidates::distinct(unit, on + 1..end, context) {
                found.draft(Draft::new(name, Some(relation), Access::Grant, Source::Parser));
            }
            return;
        }
    };
    for (index, relation) in context.catalog.relations().iter().enumerate() {
        let of = relation.id.schema.to_lowercase();
        // A database in GRANT is a pattern: `_` and `%` stand for anything.
        let meant = match schema.as_deref() {
            Some(schema) => schema == of || schema.contains(['%', '_', '\\']),
            None => !SYSTEM.contains(&of.as_str()),
        };
        if !meant {
            continue;
        }
        if found.is_spent() {
            found.gap("too-large", "grant", Coverage::Partial);
            return;
        }
        found.draft(Draft::new(functions::catalog_name(relation), Some(index), Access::Grant, Source::Catalog));
    }
}
