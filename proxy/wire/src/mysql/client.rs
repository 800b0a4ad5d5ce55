//! What the client says: which commands pass, which change a statement, which need a decision.
//! <https://dev.mysql.com/doc/dev/mysql-server/latest/page_protocol_basic_packets.html>

use super::command::{Execute, Request, STMT_PREPARE, TextAnswer, malformed, query};
use super::engine::{Entry, Kind, LocalFile, MysqlEngine, Reply, Voice, holds};
use super::error::put_error;
use super::kill;
use super::packet::{HEADER_LEN, Header, Packet, Scan, put_packet};
use super::prepared::{Binding, Bound, Found, LAST};
use super::resultset::Format;
use crate::refusal::{Refusal, WireError, WireSide};
use crate::step::{ClientStep, Command, Execution, Prepared, Run};

type Step<'b, S> = Result<ClientStep<'b, S, Binding>, WireError>;

impl<S: Prepared, X: Execution> MysqlEngine<S, X> {
    pub(super) fn next_of_client<'b>(&mut self, input: &'b [u8]) -> Step<'b, S> {
        if self.local_file.is_some() {
            return self.file(input);
        }
        let max = self.limits.frame_bytes_max;
        let Some(header) = Header::read_from(input, max, WireSide::Client)? else { return Ok(ClientStep::More(0)) };
        if header.seq != 0 {
            return Err(malformed("a command whose sequence id is not 0"));
        }
        let packet = match Packet::scan(input, max, WireSide::Client)? {
            Scan::More(len) => return Ok(ClientStep::More(len)),
            Scan::Whole(packet) => packet,
        };
        let request = Request::read(&packet, self.dialect())?;
        if self.holding > 0 && !matches!(request, Request::Quit) {
            return Ok(ClientStep::Hold);
        }
        let len = packet.frame_len;
        let judge = |run| Ok(ClientStep::Judge { len, run });
        match request {
            Request::Quit => Ok(ClientStep::Terminate(len)),
            Request::Text { text, .. } => judge(Run::Text { text }),
            Request::Prepare(text) => Ok(ClientStep::Prepare { len, text }),
            Request::Command { command: Command::ResetConnection, .. } if self.resets_anew => {
                Ok(if self.queue.is_empty() { ClientStep::ChangeUser(len) } else { ClientStep::Hold })
            }
            Request::Command { command, .. } => judge(Run::Command(command)),
            Request::ChangeUser if self.queue.is_empty() => Ok(ClientStep::ChangeUser(len)),
            Request::ChangeUser => Ok(ClientStep::Hold),
            Request::Harmless => self.awaits(Kind::Ok, &packet),
            Request::Statistics => self.awaits(Kind::Line, &packet),
            Request::Execute => self.execute(&packet),
            Request::BulkExecute { id } => judge(Run::Portal { statement: self.tag(id), binding: None, rows_max: 0 }),
            Request::Fetch { id, rows } => {
                let statement = match self.statements.find(id, self.dialect()) {
                    Found::Known(serial) => self.statements.get(serial),
                    Found::Refused | Found::Unknown => None,
                };
                let binding = statement.and_then(|statement| statement.binding.clone());
                let statement = statement.map(|statement| statement.tag.clone());
                judge(Run::Portal { statement, binding, rows_max: rows })
            }
            Request::LongData { id, parameter } => {
                let known = self.direct(id)?.and_then(|serial| self.statements.get_mut(serial));
                if let Some(statement) = known {
                    statement.takes_piece(parameter);
                }
                Ok(ClientStep::Pass(len))
            }
            Request::Close { id } => {
                if let Some(serial) = self.direct(id)? {
                    self.statements.close(serial);
                }
                Ok(ClientStep::Pass(len))
            }
            Request::Reset { id } => {
                if let Some(statement) = self.direct(id)?.and_then(|serial| self.statements.get_mut(serial)) {
                    statement.resets();
                }
                self.awaits(Kind::Ok, &packet)
            }
        }
    }

    /// Content of a file that the server has asked for: packets up to an empty one.
    /// <https://dev.mysql.com/doc/dev/mysql-server/latest/page_protocol_com_query_response_local_infile_request.html>
    fn file<'b>(&mut self, input: &'b [u8]) -> Step<'b, S> {
        let Some(file) = &mut self.local_file else { return Ok(ClientStep::More(0)) };
        if file.rest == 0 {
            let Some(header) = Header::read_from(input, usize::MAX, WireSide::Client)? else {
                return Ok(ClientStep::More(0));
            };
            if header.seq != file.seq {
                return Err(malformed("a piece of a file whose sequence id is out of order"));
            }
            let LocalFile { seq, is_continued, .. } = *file;
            *file = LocalFile {
                seq: seq.wrapping_add(1),
                rest: header.frame_len,
                is_continued: header.is_continued(),
                is_last: header.payload_len == 0 && !is_continued,
            };
        }
        if input.is_empty() {
            return Ok(ClientStep::More(0));
        }
        let len = file.rest.min(input.len());
        file.rest -= len;
        if file.rest == 0 && file.is_last {
            self.local_file = None;
        }
        Ok(ClientStep::Pass(len))
    }

    /// A command that passes and brings a reply which means nothing to anybody but the client.
    fn awaits<'b>(&mut self, kind: Kind, packet: &Packet<'b>) -> Step<'b, S> {
        self.push(Entry::Reply(Reply::new(kind, packet.seq_last)))?;
        Ok(ClientStep::Pass(packet.frame_len))
    }

    fn tag(&self, id: u32) -> Option<S> {
        match self.statements.find(id, self.dialect()) {
            Found::Known(serial) => self.statements.get(serial).map(|statement| statement.tag.clone()),
            Found::Refused | Found::Unknown => None,
        }
    }

    /// The statement that a command without a decision acts on. `None`: the server does not know it either, or Weir
    /// judges all that is done with it as unseen.
    ///
    /// # Errors
    /// The statement prepared last where Weir cannot say which one that is for the server: a piece of a value would
    /// reach a statement whose bindings are then read wrongly.
    fn direct(&self, id: u32) -> Result<Option<u64>, WireError> {
        match self.statements.find(id, self.dialect()) {
            Found::Known(serial) => Ok(Some(serial)),
            Found::Unknown if id != LAST || !self.facts.mariadb => Ok(None),
            Found::Unknown | Found::Refused => Err(malformed("the statement prepared last, which there is not")),
        }
    }

    fn execute<'b>(&mut self, packet: &Packet<'b>) -> Step<'b, S> {
        let payload = packet.payload();
        let execute = Execute::read(&payload)?;
        let known = match self.statements.find(execute.id, self.dialect()) {
            Found::Known(serial) => self.statements.get(serial),
            Found::Refused | Found::Unknown => None,
        };
        let Some(statement) = known else {
            let run = Run::Portal { statement: None, binding: None, rows_max: 0 };
            return Ok(ClientStep::Judge { len: packet.frame_len, run });
        };
        let keep = statement.tag.wants_values();
        let binding = match statement.id {
            Some(_) => statement.bind(execute, keep, self.dialect())?.binding,
            // How many parameters there are is in the reply to the preparation, which is on its way.
            None if keep => return Ok(ClientStep::Hold),
            None => None,
        };
        let run = Run::Portal { statement: Some(statement.tag.clone()), binding, rows_max: 0 };
        Ok(ClientStep::Judge { len: packet.frame_len, run })
    }

    pub(super) fn learn_statement(&mut self, frame: &[u8], tag: S) -> Result<(), WireError> {
        let packet = whole(frame)?;
        if self.statements.len() >= self.limits.pipeline_max {
            return Err(WireError::TooMany { what: "prepared statements", max: self.limits.pipeline_max });
        }
        self.room()?;
        let serial = self.statements.learn(tag);
        let mut reply = Reply::new(Kind::Prepare, packet.seq_last);
        reply.statement = Some((serial, 0));
        self.push(Entry::Reply(reply))
    }

    pub(super) fn forward_run(
        &mut self,
        frame: &[u8],
        execution: X,
        to_upstream: &mut Vec<u8>,
    ) -> Result<(), WireError> {
        let dialect = self.dialect();
        let read = whole(frame).and_then(|packet| {
            self.room()?;
            Ok((packet, Request::read(&packet, dialect)?))
        });
        let (packet, request) = match read {
            Ok(read) => read,
            Err(error) => {
                // The session is over, but what was admitted must come back to be settled.
                self.skipped.push(execution);
                return Err(error);
            }
        };
        let mut reply = Reply::new(Kind::Ok, packet.seq_last);
        let mut named = None;
        match request {
            Request::Text { answer: TextAnswer::Results, .. } => reply.kind = Kind::Results(Format::Text),
            Request::Text { answer: TextAnswer::Fields, .. } => reply = Reply::new(Kind::Fields, packet.seq_last),
            Request::Execute => {
                reply.kind = Kind::Results(Format::Binary);
                match self.executes(&packet, &mut reply) {
                    Ok(id) => named = Some(id),
                    Err(error) => {
                        self.skipped.push(execution);
                        return Err(error);
                    }
                }
            }
            Request::BulkExecute { id } => {
                named = Some(id);
                reply.kind = Kind::Results(Format::Binary);
                if let Found::Known(serial) = self.statements.find(id, dialect)
                    && let Some(statement) = self.statements.get_mut(serial)
                {
                    reply.statement = Some((serial, statement.executes_in_bulk()));
                }
            }
            Request::Fetch { id, .. } => {
                named = Some(id);
                reply = Reply::new(Kind::Fetch, packet.seq_last);
                reply.cursor_of = Some(id);
                if let Found::Known(serial) = self.statements.find(id, dialect) {
                    reply.statement = Some((serial, 0));
                }
            }
            Request::Command { command: Command::ResetConnection, .. } => self.statements.clear(),
            Request::Command { streams: true, .. } => reply = Reply::new(Kind::Stream, packet.seq_last),
            Request::Command { command: Command::Unknown(_), .. } => reply.kind = Kind::Results(Format::Text),
            _ => {}
        }
        if holds(&execution) {
            self.holding += 1;
        }
        reply.run = Some(execution);
        self.push(Entry::Reply(reply))?;
        let refused = named.is_some_and(|id| self.statements.find(id, dialect) == Found::Refused);
        let start = to_upstream.len();
        to_upstream.extend_from_slice(frame);
        if refused {
            // The server has not seen the preparation that was refused, and would run the one before it. No statement
            // has the number 0, so it says what it says when a preparation has failed.
            let id = start + HEADER_LEN + 1;
            if let Some(bytes) = to_upstream.get_mut(id..id + 4) {
                bytes.fill(0);
            }
        }
        Ok(())
    }

    /// A COM_STMT_EXECUTE goes to the server. Returns the number that it names.
    fn executes(&mut self, packet: &Packet<'_>, reply: &mut Reply<X>) -> Result<u32, WireError> {
        let payload = packet.payload();
        let execute = Execute::read(&payload)?;
        let dialect = self.dialect();
        reply.wants_cursor = execute.wants_cursor();
        reply.cursor_of = reply.wants_cursor.then_some(execute.id);
        if let Found::Known(serial) = self.statements.find(execute.id, dialect)
            && let Some(statement) = self.statements.get_mut(serial)
        {
            let bound = match statement.id {
                Some(_) => statement.bind(execute, statement.tag.wants_values(), dialect)?,
                None => Bound::unknown(),
            };
            reply.statement = Some((serial, statement.executes(bound, reply.wants_cursor)));
        }
        Ok(execute.id)
    }

    pub(super) fn refuse_command(
        &mut self,
        frame: &[u8],
        refusal: &Refusal,
        to_client: &mut Vec<u8>,
    ) -> Result<(), WireError> {
        let packet = whole(frame)?;
        if packet.head().first() == Some(&STMT_PREPARE) {
            self.statements.refuse();
        }
        let mut error = Vec::new();
        put_error(&mut error, packet.seq_last.wrapping_add(1), refusal);
        if self.queue.is_empty() {
            to_client.extend_from_slice(&error);
            return Ok(());
        }
        self.push(Entry::Refused(Some(error)))
    }

    /// Asks something of the server that the client does not hear the answer to.
    pub(super) fn inject(&mut self, payload: &[u8], to_upstream: &mut Vec<u8>) {
        let seq = put_packet(to_upstream, 0, payload);
        let mut reply = Reply::new(Kind::Ok, seq.wrapping_sub(1));
        reply.voice = Voice::Injected;
        // Beyond the bound, which is the client's.
        self.queue.push_back(Entry::Reply(reply));
    }
}

/// The packet that a step pointed at.
/// Longest command that can be a KILL: with query attributes, and they are few.
const KILL_BYTES_MAX: usize = 1024;

impl<S: Prepared, X: Execution> MysqlEngine<S, X> {
    pub(super) fn kill_renumbered(&self, frame: &[u8], known: &dyn Fn(u32) -> Option<u32>) -> Option<Vec<u8>> {
        if frame.len() > KILL_BYTES_MAX {
            return None;
        }
        let packet = whole(frame).ok()?;
        let text = query(&packet, self.dialect()).ok()?;
        kill::renumbered(&packet, packet.payload().len() - text.len(), known)
    }
}

fn whole(frame: &[u8]) -> Result<Packet<'_>, WireError> {
    match Packet::scan(frame, usize::MAX, WireSide::Client)? {
        Scan::Whole(packet) if packet.frame_len == frame.len() => Ok(packet),
        _ => Err(malformed("a command that is not whole")),
    }
}
