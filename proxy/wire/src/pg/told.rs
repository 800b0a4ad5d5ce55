//! What PostgreSQL says besides rows: which of it may hold values of rows, and what the client reads instead.
//! <https://www.postgresql.org/docs/current/protocol-error-fields.html>
//! <https://www.postgresql.org/docs/current/errcodes-appendix.html>
//!
//! A code alone proves nothing: RAISE gives any code and any text, and a cast to `regclass` names a value in an error
//! that others know of misspelt tables. What no SQL can forge is where the server stood when it spoke: a position in the
//! client's own text (`P`) is set by who parses that text; a context (`W`) or an inner query (`q`) by whatever ran inside
//! it; the routine (`R`) is the server's own. INVARIANT: what is not known here may hold anything.

use super::error::put_fields;
use super::frame::{Fields, Frame, put_frame};
use crate::refusal::Refusal;
use crate::step::{Content, Door, Moment, Quote, Told};

/// Codes, or the classes that these begin with, whose messages hold words of the server, names that exist and numbers,
/// when nothing ran around them: no value of a row is at hand where they are raised.
const WORDLY: &[&str] = &[
    // Invalid transaction state, transaction rollback: what the transaction may do, who waits for whom (by number).
    "25", "40",
    // The session: authorization, protocol, and names of statements, cursors and savepoints that the client chose.
    "28", "2D", "08P01", "26", "34", "3B",    // Rights: names of objects that exist.
    "42501", // Resources and the operator: sizes, limits, shutdown, cancellation and time-outs.
    "53", "57", // What is in use or locked: names of objects that exist.
    "55006", "55P03", // Depth of the stack, number of columns.
    "54001", "54011",
];

/// Messages that are the same for every row.
const FIXED: &[&[u8]] = &[
    b"division by zero",
    b"smallint out of range",
    b"integer out of range",
    b"bigint out of range",
    b"numeric field overflow",
    b"value out of range: overflow",
    b"value out of range: underflow",
    b"timestamp out of range",
    b"interval out of range",
    b"more than one row returned by a subquery used as an expression",
    b"LIMIT must not be negative",
    b"OFFSET must not be negative",
    b"ON CONFLICT DO UPDATE command cannot affect row a second time",
];

/// Settings whose values are the server's own or one of a few words.
const WORDLY_SETTINGS: &[&[u8]] = &[
    b"server_version",
    b"server_encoding",
    b"client_encoding",
    b"is_superuser",
    b"in_hot_standby",
    b"DateStyle",
    b"IntervalStyle",
    b"integer_datetimes",
    b"standard_conforming_strings",
    b"default_transaction_read_only",
    b"scram_iterations",
];

/// What a client gets instead of a computed name: PostgreSQL's own for a column without one.
const NAMELESS: &[u8] = b"?column?";

/// The fields of an ErrorResponse or NoticeResponse. Those that are missing are empty.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Report<'b> {
    code: &'b [u8],
    message: &'b [u8],
    detail: Option<&'b [u8]>,
    hint: Option<&'b [u8]>,
    context: Option<&'b [u8]>,
    inner_query: Option<&'b [u8]>,
    has_position: bool,
    routine: &'b [u8],
    /// Bytes of fields that hold text of any kind.
    bytes: usize,
}

impl<'b> Report<'b> {
    fn read(body: &'b [u8]) -> Report<'b> {
        let mut report = Report::default();
        let mut fields = Fields::new(body);
        while let Some(kind) = fields.u8().filter(|kind| *kind != 0) {
            let Some(text) = fields.cstr() else { break };
            match kind {
                b'C' => report.code = text,
                b'M' => report.message = text,
                b'D' => report.detail = Some(text),
                b'H' => report.hint = Some(text),
                b'W' => report.context = Some(text),
                b'q' => report.inner_query = Some(text),
                b'P' => report.has_position = true,
                b'R' => report.routine = text,
                _ => {}
            }
            // Severity, position, file and line have no room for anything.
            if !matches!(kind, b'S' | b'V' | b'C' | b'P' | b'p' | b'F' | b'L' | b'R') {
                report.bytes = report.bytes.saturating_add(text.len());
            }
        }
        report
    }

    /// Whether it was said of the client's own text and not of anything that ran inside it.
    fn is_at_top(&self) -> bool {
        self.inner_query.is_none() && self.context.is_none_or(is_place)
    }

    fn content(&self) -> (Content, bool) {
        if !self.is_at_top() {
            return (Content::Values, false);
        }
        let fixed = self.detail.is_none() && FIXED.contains(&self.message);
        if self.has_position || fixed || WORDLY.iter().any(|known| self.code.starts_with(known.as_bytes())) {
            return (Content::Words, false);
        }
        match self.constraint() {
            Some(quotes) => (quotes.map_or(Content::Values, Content::Quotes), true),
            None => (Content::Values, false),
        }
    }

    /// A violated constraint, told by the routine that checks it: the message has names only, the detail has the values.
    /// Outer `None`: it is none. Inner `None`: a whole row is told.
    fn constraint(&self) -> Option<Option<Vec<Quote>>> {
        match (self.routine, self.code) {
            // "Key (a, b)=(1, x) already exists."
            (b"_bt_check_unique", b"23505")
            | (b"ri_ReportViolation", b"23503")
            | (b"check_exclusion_or_unique_constraint", b"23P01") => Some(self.detail.map_or(Some(Vec::new()), keys)),
            // "Failing row contains (1, x, null)."
            (b"ExecConstraints" | b"ReportNotNullViolationError", b"23502" | b"23514") => {
                Some(self.detail.is_none().then(Vec::new))
            }
            _ => None,
        }
    }
}

/// Whether a context only says where in a relation the server stood: `while updating tuple (0,7) in relation "t"`.
fn is_place(context: &[u8]) -> bool {
    let line = |line: &[u8]| line.starts_with(b"while ") && line.windows(11).any(|part| part == b" relation \"");
    context.split(|byte| *byte == b'\n').all(line)
}

/// The values in `Key (a, b)=(1, x) already exists.`; `None` where they cannot be told from each other.
fn keys(detail: &[u8]) -> Option<Vec<Quote>> {
    let find = |mark: &[u8]| detail.windows(mark.len()).position(|part| part == mark);
    let (columns_end, first) = (find(b")=(")?, find(b"Key (")? + 5);
    let columns = detail.get(first..columns_end)?.split(|byte| *byte == b',').count();
    let values = detail.get(columns_end + 3..)?;
    let end = values.iter().rposition(|byte| *byte == b')')?;
    let values = values.get(..end)?;
    let parts: Vec<&[u8]> = match columns {
        1 => vec![values],
        _ => values.split(|byte| *byte == b',').map(|part| part.strip_prefix(b" ").unwrap_or(part)).collect(),
    };
    (parts.len() == columns).then(|| parts.into_iter().map(word).collect())
}

fn word(bytes: &[u8]) -> Quote {
    Quote::Word(bytes.to_vec())
}

/// What a message besides rows says. `None`: nothing by any door.
pub(super) fn told(frame: Frame<'_>, moment: Moment) -> Option<Told> {
    let (door, bytes, content, trims) = match frame.kind {
        b'E' | b'N' => {
            let report = Report::read(frame.body);
            let door = if frame.kind == b'E' { Door::Error } else { Door::Notice };
            let (content, trims) =
                if door == Door::Notice && report.is_of_names() { (Content::Words, false) } else { report.content() };
            (door, report.bytes, content, trims)
        }
        b'S' => {
            let mut fields = Fields::new(frame.body);
            let (name, value) = fields.cstr().zip(fields.cstr())?;
            if WORDLY_SETTINGS.contains(&name) {
                return None;
            }
            (Door::Setting, value.len(), Content::Quotes(vec![word(value)]), false)
        }
        b'A' => {
            let payload = payload(frame.body)?;
            (Door::Notification, payload.len(), Content::Values, false)
        }
        b'T' => {
            let names = names(frame.body)?;
            let bytes = names.iter().map(|name| name.len()).sum();
            (Door::Columns, bytes, Content::Quotes(names.into_iter().map(word).collect()), false)
        }
        _ => return None,
    };
    (bytes > 0).then_some(Told { door, moment, bytes, content, trims })
}

/// Whether a message holds no value of any row: such a one passes also behind a cut.
pub(super) fn holds_words(frame: Frame<'_>) -> bool {
    told(frame, Moment::Aside).is_none_or(|told| told.content == Content::Words)
}

impl Report<'_> {
    /// A notice that names objects of the client's own text: what is skipped, cut to length, out of place in a
    /// transaction, or not supported.
    fn is_of_names(&self) -> bool {
        self.is_at_top() && ["42", "25", "0A", "28"].iter().any(|class| self.code.starts_with(class.as_bytes()))
    }
}

/// The payload of a NotificationResponse.
fn payload(body: &[u8]) -> Option<&[u8]> {
    let mut fields = Fields::new(body);
    fields.u32()?;
    fields.cstr()?;
    fields.cstr()
}

/// Names of a RowDescription's columns.
fn names(body: &[u8]) -> Option<Vec<&[u8]>> {
    let mut fields = Fields::new(body);
    let count = fields.count()?;
    (0..count)
        .map(|_| {
            let name = fields.cstr()?;
            fields.bytes(18)?;
            Some(name)
        })
        .collect()
}

/// Appends the frame without its values: details, hints, contexts and inner queries.
pub(super) fn put_trimmed(out: &mut Vec<u8>, frame: Frame<'_>) {
    let mut kept = Vec::new();
    let mut fields = Fields::new(frame.body);
    while let Some(kind) = fields.u8().filter(|kind| *kind != 0) {
        let Some(text) = fields.cstr() else { break };
        if !matches!(kind, b'D' | b'H' | b'W' | b'q' | b'p') {
            kept.push((kind, text));
        }
    }
    put_fields(out, frame.kind, kept);
}

/// Appends what the client reads in place of a frame: for an error or a notice the same severity and code, for a
/// notification the same channel, for a result the same columns.
pub(super) fn put_instead(out: &mut Vec<u8>, frame: Frame<'_>, refusal: &Refusal) {
    match frame.kind {
        b'E' | b'N' => {
            let mut kept = Vec::new();
            let mut fields = Fields::new(frame.body);
            while let Some(kind) = fields.u8().filter(|kind| *kind != 0) {
                let Some(text) = fields.cstr() else { break };
                if matches!(kind, b'S' | b'V' | b'C') {
                    kept.push((kind, text));
                }
            }
            kept.push((b'M', refusal.message.as_bytes()));
            kept.extend(refusal.hint.as_deref().map(|hint| (b'H', hint.as_bytes())));
            put_fields(out, frame.kind, kept);
        }
        b'A' => {
            let head = frame.body.len().saturating_sub(payload(frame.body).map_or(0, <[u8]>::len) + 1);
            let mut body = frame.body.get(..head).unwrap_or(&[]).to_vec();
            body.push(0);
            put_frame(out, frame.kind, &body);
        }
        b'T' => {
            let mut fields = Fields::new(frame.body);
            let Some(count) = fields.count() else { return };
            let mut body = count.to_be_bytes().to_vec();
            for _ in 0..count {
                let Some(rest) = fields.cstr().and_then(|_| fields.bytes(18)) else { return };
                body.extend_from_slice(NAMELESS);
                body.push(0);
                body.extend_from_slice(rest);
            }
            put_frame(out, frame.kind, &body);
        }
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Each field as `Ctext`, parted by `|`.
    fn body(fields: &str) -> Vec<u8> {
        let mut body = Vec::new();
        for field in fields.split('|') {
            body.extend_from_slice(field.as_bytes());
            body.push(0);
        }
        body.push(0);
        body
    }

    fn check(kind: u8, fields: &str, expected: &str) {
        let body = body(fields);
        let told = told(Frame { kind, body: &body }, Moment::Running).unwrap();
        let words = match &told.content {
            Content::Words => "words".to_owned(),
            Content::Values => "values".to_owned(),
            Content::Quotes(quotes) => quotes
                .iter()
                .map(|quote| match quote {
                    Quote::Word(word) | Quote::Rest { text: word, .. } => String::from_utf8_lossy(word).into_owned(),
                })
                .collect::<Vec<_>>()
                .join("+"),
        };
        let trims = if told.trims { " trims" } else { "" };
        assert_eq!(format!("{words}{trims}"), expected, "{fields}");
    }

    #[test]
    fn only_who_parses_the_clients_text_is_believed() {
        // As PostgreSQL 15 sends them.
        check(b'E', "SERROR|C42703|Mcolumn \"emial\" does not exist|P8|Fparse_relation.c|RerrorMissingColumn", "words");
        check(b'E', "SERROR|C42601|Msyntax error at or near \"selec\"|P1|Fscan.l|Rscanner_yyerror", "words");
        check(
            b'E',
            "SERROR|C22P02|Minvalid input syntax for type integer: \"abc\"|P36|Fnumutils.c|Rpg_strtoint32",
            "words",
        );
        // The same codes with a value of a row.
        check(
            b'E',
            "SERROR|C22P02|Minvalid input syntax for type integer: \"a@b.c\"|Fnumutils.c|Rpg_strtoint32",
            "values",
        );
        check(
            b'E',
            "SERROR|C42P01|Mrelation \"a@b.c\" does not exist|Fnamespace.c|RRangeVarGetRelidExtended",
            "values",
        );
        check(b'E', "SERROR|C42601|Msyntax error in tsquery: \"a b\"|Ftsquery.c|Rmakepol", "values");
        check(
            b'E',
            "SERROR|C42601|Msyntax error at or near \"a\"|q select a@b.c|p3|WPL/pgSQL function f() line 3 at EXECUTE",
            "values",
        );
        check(
            b'E',
            "SERROR|C22P02|Minvalid input syntax for type json|DToken \"x\" is invalid.|WJSON data, line 1: {\"a@b.c\": x",
            "values",
        );
    }

    #[test]
    fn codes_of_rights_locks_and_cancellation_have_no_values_unless_they_are_raised() {
        for code in ["42501", "40001", "40P01", "55P03", "57014", "57P01", "53300", "25P02", "26000", "34000", "3B001"]
        {
            check(b'E', &format!("SERROR|C{code}|Mof names"), "words");
            check(
                b'E',
                &format!("SERROR|C{code}|Ma@b.c|WPL/pgSQL function inline_code_block line 1 at RAISE|Rexec_stmt_raise"),
                "values",
            );
        }
        check(
            b'E',
            "SERROR|C55P03|Mcanceling statement due to lock timeout|Wwhile updating tuple (0,1) in relation \"t\"",
            "words",
        );
        check(
            b'E',
            "SERROR|C55P03|Mcanceling statement due to lock timeout|WSQL statement \"SELECT 'a@b.c' FROM t\"",
            "values",
        );
        for code in ["22012", "XX000", "P0001", "23514", "58P01", "08001", "99999"] {
            check(b'E', &format!("SERROR|C{code}|Many"), "values");
        }
        check(b'E', "SERROR|C22012|Mdivision by zero|Fint.c|Rint4div", "words");
    }

    #[test]
    fn a_violated_constraint_shows_where_its_values_are() {
        check(
            b'E',
            "SERROR|C23505|Mduplicate key value violates unique constraint \"k\"|DKey (email)=(a@b.c) already exists.|\
             st|nk|R_bt_check_unique",
            "a@b.c trims",
        );
        check(b'E', "SERROR|C23505|Mdup|DKey (a, b)=(1, x y) already exists.|R_bt_check_unique", "1+x y trims");
        // Nobody can tell which comma is whose.
        check(b'E', "SERROR|C23505|Mdup|DKey (a, b)=(1, x, y) already exists.|R_bt_check_unique", "values trims");
        check(
            b'E',
            "SERROR|C23502|Mnull value in column \"n\" of relation \"t\" violates|DFailing row contains (1, a@b.c, null).|\
             RExecConstraints",
            "values trims",
        );
        check(b'E', "SERROR|C23505|Ma@b.c|DKey (a)=(b) already exists.|Rexec_stmt_raise", "values");
    }

    #[test]
    fn notices_of_names_are_words_and_others_may_hold_anything() {
        check(b'N', "SNOTICE|C42P07|Mrelation \"t\" already exists, skipping", "words");
        check(b'N', "SNOTICE|C00000|Ma@b.c|WPL/pgSQL function f() line 1 at RAISE", "values");
        check(b'N', "SNOTICE|C42P07|Ma@b.c|WPL/pgSQL function f() line 1 at RAISE", "values");
        check(b'N', "SINFO|C00000|Ma@b.c", "values");
    }

    #[test]
    fn what_is_left_out_is_gone() {
        let body =
            body("SERROR|VERROR|C23505|Mdup|DKey (a)=(secret) already exists.|Wsecret|qsecret|st|nk|R_bt_check_unique");
        let frame = Frame { kind: b'E', body: &body };
        let refusal = Refusal::new("42501", "withheld", "ask");
        let mut out = Vec::new();
        put_trimmed(&mut out, frame);
        assert_eq!(&out[5..], b"SERROR\0VERROR\0C23505\0Mdup\0st\0nk\0R_bt_check_unique\0\0");
        out.clear();
        put_instead(&mut out, frame, &refusal);
        assert_eq!(&out[5..], b"SERROR\0VERROR\0C23505\0Mwithheld\0Hask\0\0");
        out.clear();
        put_instead(&mut out, Frame { kind: b'A', body: b"\0\0\0\x07jobs\0secret\0" }, &refusal);
        assert_eq!(out, b"A\0\0\0\x0e\0\0\0\x07jobs\0\0");
        let column = b"\0\x01secret\0\0\0\x40\0\0\x01\0\0\0\x17\0\x04\xff\xff\xff\xff\0\0";
        out.clear();
        put_instead(&mut out, Frame { kind: b'T', body: column }, &refusal);
        assert_eq!(out, b"T\0\0\0\x21\0\x01?column?\0\0\0\x40\0\0\x01\0\0\0\x17\0\x04\xff\xff\xff\xff\0\0");
    }
}
