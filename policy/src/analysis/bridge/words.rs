//! Which words of a MySQL statement are keywords where they stand, and which are names.

use crate::analysis::lexer::{Kind, Token};
use crate::analysis::shape::Unit;

/// Where a word stands.
#[derive(Clone, Copy, Debug)]
pub(super) struct Around<'u> {
    pub(super) unit: &'u Unit<'u>,
    pub(super) at: usize,
    pub(super) first: usize,
    pub(super) end: usize,
    /// The statement may have RETURNING.
    pub(super) returns: bool,
}

impl Around<'_> {
    fn next(&self) -> Option<Token> {
        self.unit.tokens[..self.end].get(self.at + 1).copied()
    }

    fn is_next(&self, words: &[&str]) -> bool {
        self.next().is_some_and(|next| words.iter().any(|word| next.is_word(self.unit.text, word)))
    }

    fn opens(&self) -> bool {
        self.next().is_some_and(|next| next.is_punct(self.unit.text, "("))
    }

    fn is_after(&self, words: &[&str]) -> bool {
        let before = self.at.checked_sub(1).filter(|before| *before >= self.first);
        before.is_some_and(|before| words.iter().any(|word| self.unit.tokens[before].is_word(self.unit.text, word)))
    }

    fn is_after_value(&self) -> bool {
        let before = self.at.checked_sub(1).filter(|before| *before >= self.first);
        before.is_some_and(|before| matches!(self.unit.tokens[before].kind, Kind::Number | Kind::Param | Kind::Text(_)))
    }
}

/// Whether MySQL's grammar has this word (in lower case) for a keyword in this place, and the parser for the same.
pub(super) fn is_keyword(word: &str, around: Around<'_>) -> bool {
    match word {
        // Reserved, and no function has the name.
        "select" | "distinct" | "from" | "where" | "group" | "by" | "having" | "order" | "limit" | "union"
        | "except" | "intersect" | "join" | "inner" | "cross" | "outer" | "natural" | "on" | "using" | "as" | "and"
        | "or" | "not" | "in" | "is" | "null" | "true" | "false" | "like" | "between" | "exists" | "case" | "when"
        | "then" | "else" | "asc" | "desc" | "with" | "recursive" | "over" | "update" | "delete" | "set"
        | "lateral" | "window" | "cast" | "into" => true,
        // Functions too.
        "left" | "right" | "insert" | "replace" => !around.opens(),
        "values" => true,
        "all" => around.opens() || around.is_after(&["union", "except", "intersect"]),
        "any" | "some" => around.opens(),
        "escape" => around.next().is_some_and(|next| matches!(next.kind, Kind::Text(_) | Kind::Param)),
        "unknown" => around.is_after(&["is", "not"]),
        "rollup" => around.is_after(&["with"]),
        "rows" | "range" => {
            around.is_next(&["between", "unbounded", "current", "interval"])
                || around.next().is_some_and(|next| matches!(next.kind, Kind::Number | Kind::Param))
        }
        "unbounded" => around.is_next(&["preceding", "following"]),
        "preceding" | "following" => around.is_after(&["unbounded"]) || around.is_after_value(),
        "current" => around.is_next(&["row"]),
        "row" => around.is_after(&["current"]),
        "partition" => around.is_next(&["by"]),
        "within" => around.is_next(&["group"]),
        "ignore" | "respect" => around.is_next(&["nulls"]),
        "nulls" => around.is_after(&["ignore", "respect"]),
        "returning" => around.returns,
        _ => false,
    }
}

/// Whether an expression may begin right behind this word: what follows is no operand's end.
pub(super) fn begins_expression(word: &str) -> bool {
    matches!(
        word,
        "select"
            | "distinct"
            | "distinctrow"
            | "where"
            | "and"
            | "or"
            | "xor"
            | "not"
            | "on"
            | "when"
            | "then"
            | "else"
            | "case"
            | "by"
            | "having"
            | "between"
            | "like"
            | "rlike"
            | "regexp"
            | "limit"
            | "offset"
            | "returning"
            | "all"
            | "from"
            | "in"
            | "is"
            | "div"
            | "mod"
            | "interval"
            | "binary"
            | "set"
            | "values"
            | "using"
            | "do"
            | "return"
            | "separator"
            | "for"
            | "join"
    )
}

/// Units of time.
const UNITS: [&str; 28] = [
    "microsecond",
    "second",
    "minute",
    "hour",
    "day",
    "week",
    "month",
    "quarter",
    "year",
    "second_microsecond",
    "minute_microsecond",
    "minute_second",
    "hour_microsecond",
    "hour_second",
    "hour_minute",
    "day_microsecond",
    "day_second",
    "day_minute",
    "day_hour",
    "year_month",
    "sql_tsi_second",
    "sql_tsi_minute",
    "sql_tsi_hour",
    "sql_tsi_day",
    "sql_tsi_week",
    "sql_tsi_month",
    "sql_tsi_quarter",
    "sql_tsi_year",
];

/// Whether it is a unit of time, in any case.
pub(super) fn is_unit(word: &[u8]) -> bool {
    UNITS.iter().any(|unit| word.eq_ignore_ascii_case(unit.as_bytes()))
}
