//! Questions: what comparisons tell of values that do not leave.
//!
//! A statement that lets no value out may still answer a question about one: whether there is a row with it, how many,
//! in which order, or an error instead. An answer to `email like 'a%'` is a part of the value, and some seven of them are
//! a character. What is asked is noted here, by column; whether it is sensitive, and how often it is asked, is judged
//! elsewhere.

use std::collections::BTreeSet;
use std::sync::Arc;

use sqlparser::ast::BinaryOperator;

use super::lineage::Walker;
use super::scope::{Rows, Scope, map};
use super::uses::{Atom, Flow, Grain, Pack, add, key_names};
use crate::statement::ByKey;

/// How values are compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Compared {
    /// With one value, for equality.
    Equal,
    /// With each of several, for equality.
    Any,
    /// By order, by pattern, by what they hold.
    Otherwise,
}

/// Whether a function gives back what it is given, in another spelling or as a hash of it: equality with its value is
/// equality with the whole. Aggregates that pick one of the values are among them.
fn keeps_whole(name: &str) -> bool {
    matches!(
        name,
        "aes_decrypt"
            | "any_value"
            | "array_agg"
            | "btrim"
            | "casefold"
            | "char"
            | "coalesce"
            | "compress"
            | "concat"
            | "concat_ws"
            | "convert"
            | "convert_from"
            | "convert_to"
            | "crypt"
            | "decode"
            | "digest"
            | "encode"
            | "first_value"
            | "format"
            | "group_concat"
            | "hex"
            | "hmac"
            | "ifnull"
            | "initcap"
            | "isnull"
            | "json_agg"
            | "json_extract"
            | "json_extract_path_text"
            | "json_unquote"
            | "json_value"
            | "jsonb_extract_path_text"
            | "last_value"
            | "lcase"
            | "lower"
            | "ltrim"
            | "max"
            | "md5"
            | "min"
            | "normalize"
            | "nullif"
            | "pgp_sym_decrypt"
            | "quote"
            | "quote_literal"
            | "quote_nullable"
            | "replace"
            | "rtrim"
            | "sha1"
            | "sha2"
            | "sha256"
            | "sha512"
            | "string_agg"
            | "to_char"
            | "to_jsonb"
            | "translate"
            | "trim"
            | "ucase"
            | "unaccent"
            | "uncompress"
            | "unhex"
            | "upper"
            | "weight_string"
    )
}

/// Whether a function of many values, or of whether there is one, tells nothing of what they are.
fn counts_only(name: &str) -> bool {
    matches!(
        name,
        "charset"
            | "coercibility"
            | "collation"
            | "count"
            | "cume_dist"
            | "dense_rank"
            | "exists"
            | "grouping"
            | "isnull"
            | "ntile"
            | "num_nonnulls"
            | "num_nulls"
            | "percent_rank"
            | "pg_typeof"
            | "rank"
            | "row_number"
    )
}

/// Whether an operator's value is all of what it is given: what it adds, or takes out of a document, may be any of it.
fn operator_keeps_whole(op: &BinaryOperator) -> bool {
    matches!(
        op,
        BinaryOperator::StringConcat
            | BinaryOperator::Arrow
            | BinaryOperator::LongArrow
            | BinaryOperator::HashArrow
            | BinaryOperator::HashLongArrow
            | BinaryOperator::And
            | BinaryOperator::Or
            | BinaryOperator::Xor
    )
}

/// What a predicate asks of its two sides; `None` where it only joins answers.
pub(super) fn asked_by(op: &BinaryOperator) -> Option<Compared> {
    match op {
        BinaryOperator::And | BinaryOperator::Or | BinaryOperator::Xor => None,
        BinaryOperator::Eq | BinaryOperator::NotEq | BinaryOperator::Spaceship => Some(Compared::Equal),
        BinaryOperator::PGCustomBinaryOperator(parts)
            if parts.last().is_some_and(|name| name == "=" || name == "<>") =>
        {
            Some(Compared::Equal)
        }
        _ => Some(Compared::Otherwise),
    }
}

/// A flow of which only a part is there.
pub(super) fn part(flow: &Flow) -> Flow {
    map(flow, &|atom| Atom { grain: Grain::Part, ..atom.clone() })
}

/// What an operator makes of its operands.
pub(super) fn through_operator(op: &BinaryOperator, flow: Flow) -> Flow {
    if operator_keeps_whole(op) { flow } else { part(&flow) }
}

/// What a function makes of its arguments.
pub(super) fn through_function(name: &str, flow: &Flow) -> Flow {
    if keeps_whole(name) { flow.clone() } else { part(flow) }
}

impl Walker<'_> {
    /// Values are compared with each other, and only the answer goes on.
    pub(super) fn compared(&mut self, how: Compared, left: &Flow, right: &Flow) {
        self.found.spend(1 + (left.len() + right.len()) / 8);
        let mut asked = Vec::new();
        for (flow, other) in [(left, right), (right, left)] {
            for atom in flow.iter() {
                let tells_part = atom.grain == Grain::Part || how == Compared::Otherwise;
                let from_outside = other.is_empty();
                if from_outside {
                    self.by_key(how, atom);
                }
                let Some(draft) = self.found.drafts.get_mut(atom.usage) else { continue };
                add(&mut draft.used, atom.column.as_ref());
                if tells_part {
                    add(&mut draft.question.parts, atom.column.as_ref());
                    asked.push(atom.usage);
                } else if from_outside {
                    add(&mut draft.question.wholes, atom.column.as_ref());
                }
            }
        }
        self.shown(asked);
    }

    /// How often or how far something happens tells the value: as many rows as a function makes of it, a limit.
    pub(super) fn measured(&mut self, flow: &Flow) {
        self.compared(Compared::Otherwise, flow, &Flow::default());
    }

    /// A function that gives nothing back of what it is given but a number or an answer.
    pub(super) fn summed(&mut self, name: &str, flow: &Flow) {
        if counts_only(name) {
            return self.mark_used(flow);
        }
        self.measured(flow);
    }

    /// Relations of one SELECT of which others are let out row by row: they are searched by, as a list of tickets is by
    /// the name of a customer.
    pub(super) fn stand_beside(&mut self, rows: &Rows, scope: &Scope<'_>) {
        if scope.outer.is_some() || scope.items.len() < 2 {
            return;
        }
        let one_by_one = |atom: &&Atom| atom.pack <= Pack::Bounded;
        let flows = rows.columns.iter().map(|column| &column.flow).chain(&rows.open);
        let shown: BTreeSet<usize> =
            flows.flat_map(|flow| flow.iter().filter(one_by_one).map(|atom| atom.usage)).collect();
        for item in &scope.items {
            let own = item.rows.usages();
            if shown.iter().any(|usage| !own.contains(usage)) {
                for usage in own {
                    if let Some(draft) = self.found.drafts.get_mut(usage) {
                        draft.question.beside = true;
                    }
                }
            }
        }
    }

    /// Values that are only looked at: what is there in part only is asked about.
    pub(super) fn mark_used(&mut self, flow: &Flow) {
        let mut asked = Vec::new();
        for atom in flow.iter() {
            let Some(draft) = self.found.drafts.get_mut(atom.usage) else { continue };
            add(&mut draft.used, atom.column.as_ref());
            if atom.grain == Grain::Part {
                add(&mut draft.question.parts, atom.column.as_ref());
                asked.push(atom.usage);
            }
        }
        self.shown(asked);
    }

    /// One answer about these uses stands in a row of its own.
    fn shown(&mut self, mut asked: Vec<usize>) {
        if self.found.showing == 0 {
            return;
        }
        asked.sort_unstable();
        asked.dedup();
        for usage in asked {
            if let Some(draft) = self.found.drafts.get_mut(usage) {
                draft.question.shown = draft.question.shown.saturating_add(1);
            }
        }
    }

    /// A row's place in its table chooses it as its key does.
    pub(super) fn addressed(&mut self, name: &str, row: &Flow) {
        if name == "ctid" {
            for atom in row.iter() {
                if let Some(draft) = self.found.drafts.get_mut(atom.usage) {
                    draft.question.by_key = draft.question.by_key.max(ByKey::Range);
                }
            }
        }
    }

    /// A column of the primary key that is compared with a value from outside chooses rows.
    fn by_key(&mut self, how: Compared, atom: &Atom) {
        let (Grain::Whole, Some(column)) = (atom.grain, &atom.column) else { return };
        let Some(draft) = self.found.drafts.get_mut(atom.usage) else { return };
        let Some(relation) = draft.relation.and_then(|index| self.context.catalog.relations().get(index)) else {
            return;
        };
        if key_names(relation).iter().any(|key: &Arc<str>| key == column) {
            let way = match how {
                Compared::Equal => ByKey::Equal,
                Compared::Any => ByKey::List,
                Compared::Otherwise => ByKey::Range,
            };
            draft.question.by_key = draft.question.by_key.max(way);
        }
    }
}
