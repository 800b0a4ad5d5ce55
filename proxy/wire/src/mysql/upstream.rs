//! What the upstream says: how far a reply is, what is data, what has ended.
//! <https://dev.mysql.com/doc/dev/mysql-server/latest/page_protocol_com_query_response.html>
//! <https://dev.mysql.com/doc/dev/mysql-server/latest/page_protocol_com_stmt_execute_response.html>

use super::capability::Capabilities;
use super::command::STMT_RESET;
use super::engine::{Entry, Kind, LocalFile, MysqlEngine, Phase, Reply, Voice};
use super::error::{
    Change, EOF, EOF_BYTES_MAX, ERR, ErrPacket, OK, OkPacket, STATUS_CURSOR_EXISTS, STATUS_IN_TRANS,
    STATUS_LAST_ROW_SENT, STATUS_MORE_RESULTS, STATUS_NO_BACKSLASH_ESCAPES, put_error, read_error,
};
use super::packet::{Fields, Header, KIND_UNKNOWN, Packet, Scan, put_packet};
use crate::refusal::{Refusal, WireError, WireSide};
use crate::step::{Execution, Outcome, Prepared, Transaction, UpstreamStep};

/// First byte of a request for a file of the client.
const LOCAL_INFILE: u8 = 0xFB;
/// Payloads that begin with 0xFE and are shorter than this are EOF where EOF is not deprecated: a row's first value that
/// needs eight bytes for its length has at least these nine.
pub(super) const CLASSIC_EOF_BYTES_MAX: usize = 9;
/// Payload of an EOF packet.
const CLASSIC_EOF_BYTES: usize = 5;
/// MariaDB: sql_mode has ANSI_QUOTES.
const STATUS_ANSI_QUOTES: u16 = 0x8000;

/// Settings that wait for the trunk, in bytes: some hundred variables of which none is long. Dropping one would leave
/// Weir with a wrong idea of the session.
const SETTINGS_BYTES_MAX: usize = 64 * 1024;
/// What was declined and waits for the trunk; one command declines one thing.
const DECLINED_MAX: usize = 16;
/// Bytes of a file's name in an error.
const FILE_NAME_CHARS_MAX: usize = 200;

/// Errors with which a server ends the session: shutdown, out of order, read and write errors, killed, idle too long.
const FAREWELLS: &[u16] = &[1053, 1153, 1156, 1158, 1159, 1160, 1161, 1927, 3169, 4031];

pub(super) type Step<X> = Result<UpstreamStep<'static, X>, WireError>;

/// What the packet at the end of a result says.
#[derive(Clone, Copy)]
struct End {
    status: u16,
    affected: Option<u64>,
}

impl<S: Prepared, X: Execution> MysqlEngine<S, X> {
    pub(super) fn next_of_upstream(&mut self, input: &[u8], to_upstream: &mut Vec<u8>) -> Step<X> {
        if let Some(Entry::Refused(error)) = self.queue.front_mut() {
            // Its turn has come: all before it has ended.
            if let Some(error) = error.take() {
                return Ok(UpstreamStep::Swap(0, error));
            }
            self.queue.pop_front();
            let transaction = self.transaction;
            return Ok(UpstreamStep::Idle { len: 0, swallow: true, finished: None, transaction });
        }
        if let Some(rest) = self.upstream_rest {
            return self.rest(input, rest);
        }
        let max = self.limits.frame_bytes_max;
        let Some(header) = Header::read_from(input, max, WireSide::Upstream)? else { return Ok(UpstreamStep::More(0)) };
        let Some(reply) = self.front() else { return self.unasked(input) };
        reply.seq = header.seq;
        if let Voice::Cut(refusal) = &reply.voice {
            let mut error = Vec::new();
            put_error(&mut error, header.seq, refusal);
            reply.voice = Voice::Silent;
            return Ok(UpstreamStep::Swap(0, error));
        }
        match reply.phase {
            Phase::Columns(left, _) => self.columns(input, left, to_upstream),
            Phase::Definitions(left) => self.definitions(input, left, to_upstream),
            Phase::Rows if reply.kind != Kind::Fields => self.rows(input, to_upstream),
            Phase::First | Phase::ColumnsEnd | Phase::Rows => {
                let packet = match Packet::scan(input, max, WireSide::Upstream)? {
                    Scan::More(len) => return Ok(UpstreamStep::More(len)),
                    Scan::Whole(packet) => packet,
                };
                self.packet(&packet, to_upstream)
            }
        }
    }

    /// A whole packet that is neither a row nor one of many definitions.
    pub(super) fn packet(&mut self, packet: &Packet<'_>, to_upstream: &mut Vec<u8>) -> Step<X> {
        let len = packet.frame_len;
        let Some(reply) = self.front() else { return Err(unexpected("no reply is due")) };
        reply.seq = packet.seq_last.wrapping_add(1);
        let payload = packet.payload();
        match self.is_unheard(&payload) {
            Err(told) => Ok(UpstreamStep::Told { len, told }),
            Ok(false) => self.said(packet, &payload, to_upstream),
            Ok(true) => self.said(packet, &payload, to_upstream).map(UpstreamStep::unheard),
        }
    }

    /// Takes a packet that somebody has decided on.
    fn said(&mut self, packet: &Packet<'_>, payload: &[u8], to_upstream: &mut Vec<u8>) -> Step<X> {
        let len = packet.frame_len;
        let Some(reply) = self.front() else { return Err(unexpected("no reply is due")) };
        let (kind, is_columns_end) = (reply.kind, matches!(reply.phase, Phase::ColumnsEnd));
        let first = payload.first().copied();
        if first == Some(ERR) {
            return self.error(payload, len, to_upstream);
        }
        let Some(first) = first else { return Err(self.out_of_place()) };
        match (kind, first) {
            (Kind::Line, _) => self.ends(len, Outcome::Complete("statistics".to_owned()), to_upstream),
            (Kind::Prepare, OK) => self.prepared(payload, len, to_upstream),
            (Kind::Ok, OK | EOF) => {
                let end = self.end(payload)?;
                self.ends(len, complete(end.affected), to_upstream)
            }
            (Kind::Fields, EOF) if self.is_end(EOF, payload.len()) => {
                let end = self.end(payload)?;
                self.ends(len, complete(end.affected), to_upstream)
            }
            (Kind::Fields, _) => Ok(self.visible(len)),
            (Kind::Results(_), EOF) if is_columns_end => self.columns_end(payload, len, to_upstream),
            (Kind::Results(_), _) if is_columns_end => Err(self.out_of_place()),
            (Kind::Results(_), OK) => self.result_ends(payload, len, to_upstream),
            (Kind::Results(_), EOF) if payload.len() < CLASSIC_EOF_BYTES_MAX => {
                self.result_ends(payload, len, to_upstream)
            }
            (Kind::Results(_), LOCAL_INFILE) => self.local_infile(packet, payload, to_upstream),
            (Kind::Results(format), _) => self.column_count(format, payload, len),
            _ => Err(self.out_of_place()),
        }
    }

    /// Whether a payload that begins so is the end of what has no count.
    pub(super) fn is_end(&self, first: u8, payload_len: usize) -> bool {
        let max = if self.has(Capabilities::DEPRECATE_EOF) { EOF_BYTES_MAX } else { CLASSIC_EOF_BYTES_MAX };
        first == EOF && payload_len < max
    }

    pub(super) fn rows_end(&mut self, input: &[u8], to_upstream: &mut Vec<u8>) -> Step<X> {
        let packet = match Packet::scan(input, self.limits.frame_bytes_max, WireSide::Upstream)? {
            Scan::More(len) => return Ok(UpstreamStep::More(len)),
            Scan::Whole(packet) => packet,
        };
        let Some(reply) = self.front() else { return Err(unexpected("no reply is due")) };
        reply.seq = packet.seq_last.wrapping_add(1);
        let (payload, len) = (packet.payload(), packet.frame_len);
        let unheard = match self.is_unheard(&payload) {
            Err(told) => return Ok(UpstreamStep::Told { len, told }),
            Ok(unheard) => unheard,
        };
        let step = match payload.first() {
            Some(&ERR) => self.error(&payload, len, to_upstream)?,
            _ => self.result_ends(&payload, len, to_upstream)?,
        };
        Ok(if unheard { step.unheard() } else { step })
    }

    /// OK or EOF: a result has ended, and with it the reply unless another one follows.
    pub(super) fn result_ends(&mut self, payload: &[u8], len: usize, to_upstream: &mut Vec<u8>) -> Step<X> {
        let end = self.end(payload)?;
        let Some(reply) = self.front() else { return Err(unexpected("no reply is due")) };
        reply.affected = end.affected.or(reply.affected);
        let affected = reply.affected;
        if matches!(reply.kind, Kind::Results(_)) && end.status & STATUS_MORE_RESULTS != 0 {
            reply.index = reply.index.saturating_add(1);
            reply.shape = None;
            reply.has_begun = false;
            reply.phase = Phase::First;
            return Ok(if reply.is_heard() { UpstreamStep::ResultEnd(len) } else { UpstreamStep::Swallow(len) });
        }
        let opened = reply.wants_cursor && end.status & STATUS_CURSOR_EXISTS != 0;
        let (fetched, has_begun) = (reply.kind == Kind::Fetch, reply.has_begun);
        let shape = reply.shape.clone();
        if let Some((serial, _)) = reply.statement.filter(|_| opened)
            && let Some(statement) = self.statements.get_mut(serial)
        {
            statement.cursor = shape;
        }
        // MySQL says so, too, of an EXPLAIN whose rows have come.
        let suspended = (opened && !has_begun) || (fetched && end.status & STATUS_LAST_ROW_SENT == 0);
        self.ends(len, if suspended { Outcome::Suspended } else { complete(affected) }, to_upstream)
    }

    /// The reply at the front has ended.
    fn ends(&mut self, len: usize, outcome: Outcome, to_upstream: &mut Vec<u8>) -> Step<X> {
        let Some(reply) = self.pop() else { return Err(unexpected("no reply is due")) };
        if let Some(file) = &mut self.local_file {
            // The server has said its last word; whatever is left of the present packet was announced to it.
            file.is_last = true;
            if file.rest == 0 {
                self.local_file = None;
            }
        }
        let swallow = !reply.is_heard();
        let cut = matches!(reply.voice, Voice::Silent | Voice::Cut(_));
        if let Some((serial, execution)) = reply.statement
            && !matches!(outcome, Outcome::Error(_))
            && let Some(statement) = self.statements.get_mut(serial)
        {
            statement.executed(execution);
        }
        if let Some(id) = reply.cursor_of.filter(|_| cut) {
            self.close_cursor(id, reply.statement, to_upstream);
        }
        let outcome = if cut { Outcome::Cut } else { outcome };
        let finished = reply.run.map(|run| (run, outcome));
        Ok(UpstreamStep::Idle { len, swallow, finished, transaction: self.transaction })
    }

    /// Nobody reads on from a cursor that was cut.
    fn close_cursor(&mut self, id: u32, statement: Option<(u64, u64)>, to_upstream: &mut Vec<u8>) {
        let mut id = id;
        if let Some(statement) = statement.and_then(|(serial, _)| self.statements.get_mut(serial)) {
            statement.resets();
            // What was prepared last may have changed since.
            id = statement.id.unwrap_or(id);
        }
        let mut payload = vec![STMT_RESET];
        payload.extend_from_slice(&id.to_le_bytes());
        self.inject(&payload, to_upstream);
    }

    /// ERR: the reply has ended, whatever it was, unless MariaDB tells how far it is.
    fn error(&mut self, payload: &[u8], len: usize, to_upstream: &mut Vec<u8>) -> Step<X> {
        let error = match read_error(payload).ok_or(malformed("error"))? {
            ErrPacket::Error(error) => error,
            ErrPacket::Progress(_) if self.has(Capabilities::PROGRESS) => return Ok(self.visible(len)),
            ErrPacket::Progress(_) => return Err(malformed("progress report that nobody asked for")),
        };
        self.farewell |= FAREWELLS.contains(&error.errno);
        if let Some(Reply { kind: Kind::Prepare, statement: Some((serial, _)), .. }) = self.front() {
            let serial = *serial;
            self.statements.close(serial);
        }
        self.ends(len, Outcome::Error(error.sqlstate()), to_upstream)
    }

    fn prepared(&mut self, payload: &[u8], len: usize, to_upstream: &mut Vec<u8>) -> Step<X> {
        let mut fields = Fields::new(payload);
        fields.u8();
        let head = fields.u32().zip(fields.u16()).zip(fields.u16());
        let ((id, columns), parameters) = head.ok_or(malformed("answer to a preparation"))?;
        let per_part = usize::from(!self.has(Capabilities::DEPRECATE_EOF));
        let packets = |count: u16| if count == 0 { 0 } else { usize::from(count) + per_part };
        let left = packets(parameters) + packets(columns);
        let Some(reply) = self.front() else { return Err(unexpected("no reply is due")) };
        reply.phase = Phase::Definitions(left);
        if let Some((serial, _)) = reply.statement {
            self.statements.prepared(serial, id, parameters);
        }
        if left == 0 {
            return self.ends(len, complete(None), to_upstream);
        }
        Ok(self.visible(len))
    }

    /// Definitions of a prepared statement's parameters and columns, which its executions repeat.
    fn definitions(&mut self, input: &[u8], left: usize, to_upstream: &mut Vec<u8>) -> Step<X> {
        let mut left = left;
        let mut len = 0;
        while left > 0 {
            let rest = input.get(len..).unwrap_or(&[]);
            match Packet::scan(rest, self.limits.frame_bytes_max, WireSide::Upstream) {
                Ok(Scan::Whole(packet)) if packet.head().first() == Some(&ERR) && len == 0 => {
                    return self.packet(&packet, to_upstream);
                }
                Ok(Scan::Whole(packet)) if packet.head().first() != Some(&ERR) => {
                    len += packet.frame_len;
                    left -= 1;
                }
                Ok(Scan::More(need)) if len == 0 => return Ok(UpstreamStep::More(need)),
                Err(error) if len == 0 => return Err(error),
                _ => break,
            }
        }
        if left == 0 {
            return self.ends(len, complete(None), to_upstream);
        }
        if let Some(reply) = self.front() {
            reply.phase = Phase::Definitions(left);
        }
        Ok(self.visible(len))
    }

    /// The server asks for a file of the client: only where the statement does.
    fn local_infile(&mut self, packet: &Packet<'_>, payload: &[u8], to_upstream: &mut Vec<u8>) -> Step<X> {
        let len = packet.frame_len;
        let seq = packet.seq_last.wrapping_add(1);
        let others = self.queue.iter().skip(1).any(|entry| matches!(entry, Entry::Reply(_)));
        let Some(reply) = self.front() else { return Err(unexpected("no reply is due")) };
        let heard = reply.is_heard();
        if heard && reply.run.as_ref().is_some_and(Execution::may_load_local) {
            self.local_file = Some(LocalFile { seq, rest: 0, is_continued: false, is_last: false });
            return Ok(UpstreamStep::Pass(len));
        }
        if others || self.local_file.is_some() {
            // The server would take what was sent behind this command for the file.
            return Err(unexpected("a file is not asked for by the statement"));
        }
        let name = String::from_utf8_lossy(payload.get(1..).unwrap_or(&[]));
        let name: String = name.chars().take(FILE_NAME_CHARS_MAX).collect();
        let refusal = Refusal::new(
            "42501",
            format!("the server asked for the file `{name}` of this client, and the statement may not load one"),
            "only LOAD DATA LOCAL brings a file, where policy allows it",
        );
        // An empty packet is the end of the file; the server's answer to that is nobody's business.
        put_packet(to_upstream, seq, &[]);
        if !heard {
            return Ok(UpstreamStep::Swallow(len));
        }
        let mut error = Vec::new();
        put_error(&mut error, packet.seq, &refusal);
        if self.declined.len() < DECLINED_MAX {
            self.declined.push(refusal);
        }
        if let Some(reply) = self.front() {
            reply.voice = Voice::Silent;
        }
        Ok(UpstreamStep::Swap(len, error))
    }

    /// The server speaks though nothing was asked: only to say why it ends the session.
    fn unasked(&mut self, input: &[u8]) -> Step<X> {
        let packet = match Packet::scan(input, self.limits.frame_bytes_max, WireSide::Upstream)? {
            Scan::More(len) => return Ok(UpstreamStep::More(len)),
            Scan::Whole(packet) => packet,
        };
        match read_error(&packet.payload()) {
            Some(ErrPacket::Error(_)) => {
                self.farewell = true;
                Ok(UpstreamStep::Pass(packet.frame_len))
            }
            _ => Err(unexpected("no reply is due")),
        }
    }

    /// Reads the packet that ends a result, and takes up what it tells of the session.
    fn end(&mut self, payload: &[u8]) -> Result<End, WireError> {
        if let Some(status) = classic_status(payload) {
            self.told(status);
            return Ok(End { status, affected: None });
        }
        let ok = OkPacket::read(payload, self.facts.capabilities).ok_or(malformed("end of a result"))?;
        for change in ok.known_changes() {
            match change {
                Change::Variable { name, value } => self.set(name, value)?,
                Change::Schema(name) => self.set(b"database", name)?,
                _ => {}
            }
        }
        self.told(ok.status);
        let affected = (payload.first() == Some(&OK)).then_some(ok.affected_rows);
        Ok(End { status: ok.status, affected })
    }

    fn set(&mut self, name: &[u8], value: &[u8]) -> Result<(), WireError> {
        self.settings_bytes = self.settings_bytes.saturating_add(name.len()).saturating_add(value.len());
        if self.settings_bytes > SETTINGS_BYTES_MAX {
            return Err(malformed("end of a result with more settings than there are"));
        }
        let text = |bytes| String::from_utf8_lossy(bytes).into_owned();
        self.settings.push((text(name), text(value)));
        Ok(())
    }

    /// What the status flags tell of transaction and lexical settings.
    fn told(&mut self, status: u16) {
        self.transaction = if status & STATUS_IN_TRANS != 0 { Transaction::Open } else { Transaction::Idle };
        let switch = |on| if on { "ON" } else { "OFF" }.to_owned();
        let no_escapes = status & STATUS_NO_BACKSLASH_ESCAPES != 0;
        if self.told.no_backslash_escapes.replace(no_escapes) != Some(no_escapes) {
            self.settings.push(("no_backslash_escapes".to_owned(), switch(no_escapes)));
        }
        let ansi_quotes = status & STATUS_ANSI_QUOTES != 0;
        if self.facts.mariadb && self.told.ansi_quotes.replace(ansi_quotes) != Some(ansi_quotes) {
            self.settings.push(("ansi_quotes".to_owned(), switch(ansi_quotes)));
        }
    }

    pub(super) fn visible(&mut self, len: usize) -> UpstreamStep<'static, X> {
        match self.front() {
            Some(reply) if !reply.is_heard() => UpstreamStep::Swallow(len),
            _ => UpstreamStep::Pass(len),
        }
    }

    fn out_of_place(&mut self) -> WireError {
        unexpected(match self.front().map(|reply| (reply.kind, &reply.phase)) {
            None => "no reply is due",
            Some((Kind::Ok | Kind::Line, _)) => "the end of a command is due",
            Some((Kind::Prepare, _)) => "the answer to a preparation is due",
            Some((_, Phase::ColumnsEnd)) => "the end of column definitions is due",
            Some(_) => "a result is due",
        })
    }
}

/// Status of an EOF packet.
pub(super) fn classic_status(payload: &[u8]) -> Option<u16> {
    let mut fields = Fields::new(payload);
    if payload.len() != CLASSIC_EOF_BYTES || fields.u8()? != EOF {
        return None;
    }
    fields.u16()?;
    fields.u16()
}

fn complete(affected: Option<u64>) -> Outcome {
    Outcome::Complete(affected.map_or_else(|| "EOF".to_owned(), |rows| format!("OK {rows}")))
}

pub(super) fn malformed(what: &'static str) -> WireError {
    WireError::Malformed { side: WireSide::Upstream, kind: KIND_UNKNOWN, what }
}

pub(super) fn unexpected(state: &'static str) -> WireError {
    WireError::Unexpected { side: WireSide::Upstream, kind: KIND_UNKNOWN, state }
}
