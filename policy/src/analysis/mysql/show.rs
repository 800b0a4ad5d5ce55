//! EXPLAIN, DESCRIBE, MariaDB's ANALYZE of a statement, SHOW.

use super::super::Context;
use super::super::candidates;
use super::super::cursor::Cursor;
use super::super::found::Found;
use super::super::reading::{self, Fate};
use super::super::uses::{self, Draft};
use super::opaque;
use crate::relation::RelationName;
use crate::statement::{Access, Coverage, Extent, SessionAct, Source, Verb};

/// Words that begin a statement that has a plan.
const PLANNED: [&str; 8] = ["select", "with", "values", "table", "insert", "replace", "update", "delete"];

/// EXPLAIN and its synonyms. The optimiser reads tables of one row while it plans, and shows their values in the plan or
/// in its warnings: what a SELECT would let out or compare is taken to leave, a row of it for a row of the plan.
pub(super) fn explain(cursor: &mut Cursor<'_, '_>, context: &Context<'_>, found: &mut Found, depth: usize) {
    let analyzes = cursor.take("analyze");
    if !analyzes {
        cursor.at += 1;
    }
    let mut runs = analyzes;
    let mut kept = false;
    loop {
        if cursor.take("analyze") {
            runs = true;
        } else if cursor.is("format") && cursor.at + 2 < cursor.end {
            cursor.at += 3;
        } else if cursor.is("into") || (cursor.is("for") && (cursor.is_at(1, "schema") || cursor.is_at(1, "database")))
        {
            // INTO @v: the plan is kept.
            kept |= cursor.is("into");
            cursor.at += if cursor.is("into") { 2 } else { 3 };
        } else if !(cursor.take("extended") || cursor.take("partitions")) {
            break;
        }
    }
    found.verb = Verb::Explain;
    let planned = cursor.is_punct("(") || PLANNED.iter().any(|word| cursor.is(word));
    if cursor.at >= cursor.end || !planned {
        if cursor.is("for") {
            // EXPLAIN FOR CONNECTION: another session's plan, with the values of rows that it was made from.
            opaque(found, "explain for connection");
        }
        // DESCRIBE t: its columns, not its rows.
        return;
    }
    reading::statement(cursor.unit, cursor.at..cursor.end, context, found, depth + 1);
    if !runs {
        found.moved.clear();
        found.acts.retain(|act| matches!(act, SessionAct::ExecutePrepared { .. }));
        for draft in &mut found.drafts {
            let copied = std::mem::take(&mut draft.copied);
            uses::merge(&mut draft.used, &copied);
        }
    }
    for draft in found.drafts.iter_mut().filter(|draft| draft.access == Access::Read) {
        let used = draft.used.clone();
        uses::merge(&mut draft.released, &used);
        if kept {
            draft.copies();
            // One row of it, as in a plan that is shown.
            draft.copied_many = false;
        }
    }
    found.extent = Extent::Unbounded;
    found.verb = Verb::Explain;
}

/// SHOW: structure, settings, states; and some that show what statements held.
pub(super) fn show(cursor: &mut Cursor<'_, '_>, context: &Context<'_>, found: &mut Found) {
    found.verb = Verb::Session;
    cursor.at += 1;
    cursor.take_all(&["full", "global", "session", "local", "extended", "all"]);
    if cursor.is("processlist") {
        // Texts of running statements, of other people's where the account may.
        let written = RelationName { schema: Some("information_schema".to_owned()), name: "PROCESSLIST".to_owned() };
        if let Some(relation) = candidates::resolve(&written, context) {
            found.draft(Draft::new(written, Some(relation), Access::Read, Source::Parser).released_all());
        }
        found.verb = Verb::Select;
        return;
    }
    let counted = cursor.is("count");
    if counted {
        cursor.at += 1;
        cursor.parenthesised();
    }
    if cursor.is("warnings") || cursor.is("errors") {
        // A value that is no number or no date, where one was wanted, is named here, whatever became of it there.
        if !counted {
            found.acts.push(SessionAct::ReadsWarnings);
        }
        return;
    }
    if (cursor.is("binlog") || cursor.is("relaylog")) && cursor.is_at(1, "events") {
        opaque(found, "show binlog events");
        return;
    }
    if (cursor.is("explain") || cursor.is("analyze")) && cursor.find("for").is_some() {
        opaque(found, "show explain");
        return;
    }
    if cursor.is("engine") && cursor.find("status").is_some() {
        // Rows that a deadlock was about.
        opaque(found, "show engine status");
        return;
    }
    // What a relation is like, and not what its rows hold: names of relations here are no reads.
    if let Some(at) = cursor.find("where") {
        reading::expressions(cursor.unit, at + 1..cursor.end, context, found, ("show", Fate::Stay));
        // The columns of the answer have names that no relation has.
        found.gaps.retain(|gap| gap.code != "unknown-column");
        if found.gaps.is_empty() {
            found.coverage = Coverage::Full;
        }
        found.verb = Verb::Session;
    }
}
