//! What MySQL and MariaDB say besides rows: which of it may hold values of rows, and what the client reads instead.
//! <https://dev.mysql.com/doc/mysql-errors/en/server-error-reference.html>
//! <https://mariadb.com/kb/en/mariadb-error-code-reference/>
//!
//! A number alone proves nothing: SIGNAL gives any number and any text. So a message is words of the server only where
//! it is, word for word, what the server says under that number, and whatever stands between is the client's own: each
//! template below has places, and what stands in one must be found in the client's text. INVARIANT: what fits no template
//! may hold anything; so does a text in another language (`lc_messages`).

use super::capability::Capabilities;
use super::engine::{Heard, Kind, MysqlEngine, Phase};
use super::error::{
    Change, EOF, ERR, ErrPacket, OK, OkPacket, STATUS_SESSION_STATE_CHANGED, put_error_as, read_error, words,
};
use super::packet::{Fields, HEADER_LEN, Packet, Scan, put_lenenc, put_lenenc_bytes, put_packet};
use super::upstream::classic_status;
use crate::refusal::{Refusal, WireSide};
use crate::step::{Content, Door, Execution, Moment, Prepared, Quote, Telling, Told};

/// Messages that hold no value of a row but what the client's text has. `%` is a word of that text, `~` its end, `#` a
/// number, `^` one of [`CLAUSES`].
const TEMPLATES: &[(u16, &str)] = &[
    (1040, "Too many connections"),
    (1046, "No database selected"),
    (1048, "Column '%' cannot be null"),
    (1052, "Column '%' in ^ is ambiguous"),
    (1053, "Server shutdown in progress"),
    (1054, "Unknown column '%' in '^'"),
    (1054, "Unknown column '%.%' in '^'"),
    (1055, "'%.%.%' isn't in GROUP BY"),
    (1062, "Duplicate entry '%' for key 'PRIMARY'"),
    (1062, "Duplicate entry '%' for key '%.PRIMARY'"),
    (1062, "Duplicate entry '%' for key '%'"),
    (
        1064,
        "You have an error in your SQL syntax; check the manual that corresponds to your MySQL server version for the right \
         syntax to use near '~' at line #",
    ),
    (
        1064,
        "You have an error in your SQL syntax; check the manual that corresponds to your MariaDB server version for the \
         right syntax to use near '~' at line #",
    ),
    (1065, "Query was empty"),
    (1066, "Not unique table/alias: '%'"),
    (1109, "Unknown table '%' in ^"),
    (1111, "Invalid use of group function"),
    (1136, "Column count doesn't match value count at row #"),
    (
        1140,
        "Mixing of GROUP columns (MIN(),MAX(),COUNT(),...) with no GROUP columns is illegal if there is no GROUP BY clause",
    ),
    (
        1140,
        "In aggregated query without GROUP BY, expression ## of SELECT list contains nonaggregated column '%.%.%'; this is \
         incompatible with sql_mode=only_full_group_by",
    ),
    (1146, "Table '%.%' doesn't exist"),
    (1205, "Lock wait timeout exceeded; try restarting transaction"),
    (1213, "Deadlock found when trying to get lock; try restarting transaction"),
    (1222, "The used SELECT statements have a different number of columns"),
    (1241, "Operand should contain # column(s)"),
    (1242, "Subquery returns more than 1 row"),
    (1248, "Every derived table must have its own alias"),
    (1264, "Out of range value for column '%' at row #"),
    (1265, "Data truncated for column '%' at row #"),
    (1290, "The MySQL server is running with the --read-only option so it cannot execute this statement"),
    (1290, "The MariaDB server is running with the --read-only option so it cannot execute this statement"),
    (1305, "FUNCTION %.% does not exist"),
    (1305, "PROCEDURE %.% does not exist"),
    (1317, "Query execution was interrupted"),
    (1364, "Field '%' doesn't have a default value"),
    (1365, "Division by 0"),
    (1406, "Data too long for column '%' at row #"),
    (1792, "Cannot execute statement in a READ ONLY transaction"),
    (1792, "Cannot execute statement in a READ ONLY transaction."),
    (1969, "Query execution was interrupted (max_statement_time exceeded)"),
    (
        1055,
        "Expression ## of SELECT list is not in GROUP BY clause and contains nonaggregated column '%.%.%' which is not \
         functionally dependent on columns in GROUP BY clause; this is incompatible with sql_mode=only_full_group_by",
    ),
    (3024, "Query execution was interrupted, maximum statement execution time exceeded"),
    (3572, "Statement aborted because lock(s) could not be acquired immediately and NOWAIT is set."),
];

/// How the servers name the place of a column.
const CLAUSES: &[&str] = &[
    "field list",
    "where clause",
    "on clause",
    "order clause",
    "group statement",
    "having clause",
    "from clause",
    "partition function",
    "SELECT",
    "WHERE",
    "ON",
    "ORDER BY",
    "GROUP BY",
    "HAVING",
    "USING",
    "SET",
    "VALUES",
    "INSERT",
    "UPDATE",
    "DELETE",
    "MULTI DELETE",
];

/// Most bytes of the client's text that a syntax error quotes.
const NEAR_BYTES_MAX: usize = 80;

/// Variables of which the servers take no free text.
fn is_worldly(variable: &[u8]) -> bool {
    const NAMES: &[&[u8]] = &[
        b"autocommit",
        b"time_zone",
        b"sql_mode",
        b"transaction_isolation",
        b"tx_isolation",
        b"transaction_read_only",
        b"tx_read_only",
        b"foreign_key_checks",
        b"unique_checks",
        b"sql_safe_updates",
        b"redirect_url",
    ];
    NAMES.contains(&variable) || variable.starts_with(b"character_set_") || variable.starts_with(b"collation_")
}

impl<S: Prepared, X: Execution> MysqlEngine<S, X> {
    /// Whether the client must not see the packet that is next.
    ///
    /// # Errors
    /// What it says, when nobody has decided on that yet.
    pub(super) fn is_unheard(&mut self, payload: &[u8]) -> Result<bool, Told> {
        match self.heard.take() {
            Some(heard) => Ok(heard == Heard::Otherwise),
            None => self.told_packet(payload).map_or(Ok(false), Err),
        }
    }

    fn told_packet(&mut self, payload: &[u8]) -> Option<Told> {
        let agreed = self.facts.capabilities;
        let listening = self.listening;
        let reply = self.front().filter(|reply| listening && reply.is_heard())?;
        let moment = match reply.kind {
            _ if reply.run.is_some() => Moment::Running,
            Kind::Prepare => Moment::Binding,
            _ => Moment::Aside,
        };
        let computes = reply.run.as_ref().is_some_and(Execution::may_compute);
        match *payload.first()? {
            ERR => told_error(payload, moment),
            OK | EOF if !matches!(reply.kind, Kind::Prepare | Kind::Line) && classic_status(payload).is_none() => {
                told_ok(payload, agreed, computes)
            }
            _ => None,
        }
    }

    /// The names in the definitions that are there, where they may be computed, and how many bytes those have.
    pub(super) fn told_columns(&mut self, input: &[u8], left: usize) -> Option<(usize, Told)> {
        let listening = self.listening;
        self.front()
            .filter(|reply| listening && reply.is_heard() && reply.run.as_ref().is_some_and(Execution::may_compute))?;
        let (mut len, mut bytes) = (0, 0);
        let mut quotes = Vec::new();
        for packet in definitions(input).take(left) {
            let payload = packet.payload();
            for name in names(&payload)?.into_iter().filter(|name| !name.is_empty()) {
                bytes += name.len();
                quotes.push(Quote::Word(name.to_vec()));
            }
            len += packet.frame_len;
        }
        let content = Content::Quotes(quotes);
        (bytes > 0)
            .then_some((len, Told { door: Door::Columns, moment: Moment::Running, bytes, content, trims: false }))
    }

    /// See [`Engine::tell`](crate::step::Engine::tell).
    pub(super) fn tell_otherwise(&mut self, frame: &[u8], telling: Telling<'_>, to_client: &mut Vec<u8>) {
        self.heard = Some(if matches!(telling, Telling::Whole) { Heard::Whole } else { Heard::Otherwise });
        let Telling::Instead(refusal) = telling else { return };
        let agreed = self.facts.capabilities;
        let defines = self.front().is_some_and(|reply| matches!(reply.phase, Phase::Columns(..)));
        if defines && frame.get(HEADER_LEN) != Some(&ERR) {
            definitions(frame).for_each(|packet| put_nameless(to_client, packet.seq, &packet.payload()));
        } else if let Ok(Scan::Whole(packet)) = Packet::scan(frame, usize::MAX, WireSide::Upstream) {
            put_instead(to_client, packet.seq, &packet.payload(), agreed, refusal);
        }
    }
}

/// Whole column definitions at the start of a buffer.
fn definitions(mut input: &[u8]) -> impl Iterator<Item = Packet<'_>> {
    std::iter::from_fn(move || match Packet::scan(input, usize::MAX, WireSide::Upstream) {
        Ok(Scan::Whole(packet)) if packet.head().first() != Some(&ERR) => {
            input = input.get(packet.frame_len..)?;
            Some(packet)
        }
        _ => None,
    })
}

/// What an ERR packet says. `None`: a progress report, or nothing that can be read.
fn told_error(payload: &[u8], moment: Moment) -> Option<Told> {
    let Some(ErrPacket::Error(error)) = read_error(payload) else { return None };
    let mut fitting = TEMPLATES.iter().filter(|(errno, _)| *errno == error.errno);
    let quotes = fitting.find_map(|(_, template)| fit(template, error.message));
    let content = match quotes {
        Some(quotes) if quotes.is_empty() => Content::Words,
        Some(quotes) => Content::Quotes(quotes),
        None => Content::Values,
    };
    let bytes = error.message.len();
    (bytes > 0).then_some(Told { door: Door::Error, moment, bytes, content, trims: false })
}

/// What an OK packet says: settings whose values are free, and where it may be computed the number of LAST_INSERT_ID.
fn told_ok(payload: &[u8], agreed: Capabilities, computes: bool) -> Option<Told> {
    let ok = OkPacket::read(payload, agreed)?;
    let mut quotes = Vec::new();
    let mut bytes = 0_usize;
    for change in ok.known_changes() {
        if let Change::Variable { name, value } = change
            && !is_worldly(name)
        {
            bytes = bytes.saturating_add(value.len());
            quotes.push(Quote::Word(value.to_vec()));
        }
    }
    let door = if quotes.is_empty() { Door::Info } else { Door::Setting };
    if computes && ok.last_insert_id > 0 {
        let number = ok.last_insert_id.to_string().into_bytes();
        bytes = bytes.saturating_add(number.len());
        quotes.push(Quote::Word(number));
    }
    (bytes > 0).then_some(Told { door, moment: Moment::Running, bytes, content: Content::Quotes(quotes), trims: false })
}

/// The names in column definitions that may be computed: of the column, and of what stands for its relation.
fn names(payload: &[u8]) -> Option<[&[u8]; 2]> {
    let mut fields = Fields::new(payload);
    let mut take = || fields.lenenc_bytes();
    let (_, _, relation, _, name) = (take()?, take()?, take()?, take()?, take()?);
    Some([relation, name])
}

/// Appends a definition without the names that may be computed.
fn put_nameless(out: &mut Vec<u8>, seq: u8, payload: &[u8]) {
    let mut fields = Fields::new(payload);
    let mut definition = Vec::with_capacity(payload.len());
    for place in 0..5 {
        let Some(text) = fields.lenenc_bytes() else { return };
        put_lenenc_bytes(&mut definition, if matches!(place, 2 | 4) { b"" } else { text });
    }
    definition.extend_from_slice(fields.rest());
    put_packet(out, seq, &definition);
}

/// Appends what the client reads in place of a packet: the same error number with other words, or an OK without
/// session state, text and LAST_INSERT_ID.
fn put_instead(out: &mut Vec<u8>, seq: u8, payload: &[u8], agreed: Capabilities, refusal: &Refusal) {
    if let Some(ErrPacket::Error(error)) = read_error(payload) {
        put_error_as(out, seq, error.errno, error.sqlstate, &words(refusal));
        return;
    }
    let (Some(ok), Some(first)) = (OkPacket::read(payload, agreed), payload.first()) else { return };
    let mut bare = vec![*first];
    put_lenenc(&mut bare, ok.affected_rows);
    put_lenenc(&mut bare, 0);
    bare.extend_from_slice(&(ok.status & !STATUS_SESSION_STATE_CHANGED).to_le_bytes());
    bare.extend_from_slice(&ok.warnings.to_le_bytes());
    put_packet(out, seq, &bare);
}

/// What stands in the places of a template; `None` where the message is not of it.
fn fit(template: &str, message: &[u8]) -> Option<Vec<Quote>> {
    let mut quotes = Vec::new();
    let mut rest = message;
    let mut pieces = template.split_inclusive(['%', '~', '#', '^']).peekable();
    while let Some(piece) = pieces.next() {
        let (words, place) = match piece.as_bytes().last() {
            Some(place @ (b'%' | b'~' | b'#' | b'^')) => (&piece.as_bytes()[..piece.len() - 1], Some(*place)),
            _ => (piece.as_bytes(), None),
        };
        rest = rest.strip_prefix(words)?;
        let Some(place) = place else { continue };
        let next = pieces.peek().map(|piece| piece.trim_end_matches(['%', '~', '#', '^']).as_bytes());
        // The last words of a template end the message, whatever stands in its places.
        let end = match next {
            None => rest.len(),
            Some(words) if pieces.clone().count() == 1 && !template.ends_with(['%', '~', '#', '^']) => {
                rest.len().checked_sub(words.len()).filter(|end| rest.ends_with(words) && *end <= rest.len())?
            }
            Some(b"") => rest.iter().position(|byte| !byte.is_ascii_digit() && *byte != b'#').unwrap_or(rest.len()),
            Some(words) => rest.windows(words.len()).position(|part| part == words)?,
        };
        let (found, behind) = rest.split_at_checked(end)?;
        rest = behind;
        match place {
            b'#' => found.iter().all(|byte| byte.is_ascii_digit() || *byte == b'#').then_some(())?,
            b'^' => CLAUSES.iter().any(|clause| clause.as_bytes() == found).then_some(())?,
            b'~' if found.is_empty() => {}
            // A character at the bound is not cut in two, so that it may be a few bytes less.
            b'~' => quotes.push(Quote::Rest { text: found.to_vec(), is_cut: found.len() + 4 > NEAR_BYTES_MAX }),
            _ => quotes.push(Quote::Word(found.to_vec())),
        }
    }
    rest.is_empty().then_some(quotes)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(errno: u16, message: &str, expected: &str) {
        let mut payload = vec![ERR];
        payload.extend_from_slice(&errno.to_le_bytes());
        payload.extend_from_slice(b"#HY000");
        payload.extend_from_slice(message.as_bytes());
        let told = told_error(&payload, Moment::Running).unwrap();
        let words = match told.content {
            Content::Words => "words".to_owned(),
            Content::Values => "values".to_owned(),
            Content::Quotes(quotes) => quotes
                .iter()
                .map(|quote| match quote {
                    Quote::Word(word) => String::from_utf8_lossy(word).into_owned(),
                    Quote::Rest { text, .. } => format!("…{}", String::from_utf8_lossy(text)),
                })
                .collect::<Vec<_>>()
                .join("+"),
        };
        assert_eq!(words, expected, "{message}");
    }

    #[test]
    fn what_the_servers_say_is_told_from_what_is_signalled() {
        check(1054, "Unknown column 'emial' in 'field list'", "emial");
        check(1054, "Unknown column 'c.emial' in 'WHERE'", "c.emial");
        check(1054, "Unknown column 'emial' in 'a@b.c'", "values");
        check(1146, "Table 'support.custmers' doesn't exist", "support+custmers");
        check(1205, "Lock wait timeout exceeded; try restarting transaction", "words");
        check(1205, "a@b.c", "values");
        check(1317, "Query execution was interrupted", "words");
        check(1136, "Column count doesn't match value count at row 1", "words");
        check(1136, "Column count doesn't match value count at row 1a", "values");
        check(1241, "Operand should contain 2 column(s)", "words");
        check(1406, "Data too long for column 'name' at row 1", "name");
        check(1062, "Duplicate entry 'a@b.c' for key 'customers.email'", "a@b.c+customers.email");
        check(1062, "Duplicate entry '7' for key 'customers.PRIMARY'", "7+customers");
        check(1062, "Duplicate entry 'it's for key 'x' for key 'PRIMARY'", "it's for key 'x");
        check(1292, "Truncated incorrect INTEGER value: 'a@b.c'", "values");
        check(1105, "XPATH syntax error: '~a@b.c'", "values");
        check(1644, "a@b.c", "values");
        check(
            1064,
            "You have an error in your SQL syntax; check the manual that corresponds to your MariaDB server version for \
             the right syntax to use near 'form customers' at line 1",
            "…form customers",
        );
        check(
            1140,
            "In aggregated query without GROUP BY, expression #1 of SELECT list contains nonaggregated column \
             'support.customers.email'; this is incompatible with sql_mode=only_full_group_by",
            "support+customers+email",
        );
    }

    #[test]
    fn an_ok_tells_free_values_only() {
        let agreed = Capabilities::SESSION_TRACK;
        let ok = |id: u64, variable: Option<(&[u8], &[u8])>| {
            let mut payload = vec![OK];
            put_lenenc(&mut payload, 1);
            put_lenenc(&mut payload, id);
            let status = if variable.is_some() { STATUS_SESSION_STATE_CHANGED } else { 0 };
            payload.extend_from_slice(&status.to_le_bytes());
            payload.extend_from_slice(&[0, 0]);
            if let Some((name, value)) = variable {
                put_lenenc_bytes(&mut payload, b"info");
                let mut pair = Vec::new();
                put_lenenc_bytes(&mut pair, name);
                put_lenenc_bytes(&mut pair, value);
                let mut entry = vec![0];
                put_lenenc_bytes(&mut entry, &pair);
                put_lenenc_bytes(&mut payload, &entry);
            }
            payload
        };
        assert_eq!(told_ok(&ok(0, None), agreed, true), None);
        assert_eq!(told_ok(&ok(77, None), agreed, false), None);
        assert_eq!(told_ok(&ok(77, None), agreed, true).map(|told| (told.door, told.bytes)), Some((Door::Info, 2)));
        assert_eq!(told_ok(&ok(0, Some((b"autocommit", b"ON"))), agreed, true), None);
        let free = ok(7, Some((b"session_track_system_variables", b"a@b.c")));
        assert_eq!(told_ok(&free, agreed, false).map(|told| (told.door, told.bytes)), Some((Door::Setting, 5)));
        let mut out = Vec::new();
        put_instead(&mut out, 3, &free, agreed, &Refusal::new("42501", "withheld", "ask"));
        assert_eq!(out, [7, 0, 0, 3, OK, 1, 0, 0, 0, 0, 0]);
    }
}
