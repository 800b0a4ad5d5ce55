//! What the client says: which messages pass, which change a name, which need a decision.
//! <https://www.postgresql.org/docs/current/protocol-message-formats.html>

use std::sync::Arc;

use super::engine::{Describe, Entry, Kind, PgEngine, Run};
use super::frame::{Fields, Frame, Header, printable, put_frame};
use super::prepared::{Bind, Portal, ShapeSlot, Statement};
use crate::refusal::{WireError, WireSide};
use crate::step::{ClientStep, Execution, Prepared, Run as RunStep};

type Step<'b, S> = Result<ClientStep<'b, S, super::prepared::Binding>, WireError>;

impl<S: Prepared, X: Execution> PgEngine<S, X> {
    pub(super) fn next_of_client<'b>(&mut self, input: &'b [u8], to_upstream: &mut Vec<u8>) -> Step<'b, S> {
        if input.is_empty() {
            return Ok(ClientStep::More(0));
        }
        if self.client_rest > 0 {
            let pass = self.client_rest.min(input.len());
            self.client_rest -= pass;
            return Ok(ClientStep::Pass(pass));
        }
        let Some(header) = Header::read_from(input, self.limits.frame_bytes_max, WireSide::Client)? else {
            return Ok(ClientStep::More(0));
        };
        // At its header: before its body is waited for, and whatever else is going on.
        known(header.kind)?;
        let len = header.frame_len;
        if header.kind == b'd' {
            // COPY data towards the server is not judged row by row, so it need not be whole.
            let pass = len.min(input.len());
            self.client_rest = len - pass;
            return Ok(ClientStep::Pass(pass));
        }
        if input.len() < len {
            return Ok(ClientStep::More(len));
        }
        let frame = Frame::of(input, header);
        if self.holding > 0 && !self.passes_while_holding(frame.kind) {
            if !self.flushed && !self.copy_in {
                // Without a Flush the server may keep the held execution's reply in its buffer for ever.
                self.flushed = true;
                put_frame(to_upstream, b'H', &[]);
            }
            return Ok(ClientStep::Hold);
        }
        if self.skipping && !matches!(frame.kind, b'S' | b'X') {
            return Ok(ClientStep::Pass(len));
        }
        match frame.kind {
            b'Q' => {
                let text = query_text(frame)?;
                Ok(ClientStep::Judge { len, run: RunStep::Text { text: text.into() } })
            }
            b'P' => {
                let mut fields = Fields::new(frame.body);
                let (_, text) = fields.cstr().zip(fields.cstr()).ok_or_else(|| malformed(frame, "parse"))?;
                let types = fields.count().ok_or_else(|| malformed(frame, "parse"))?;
                if fields.rest().len() != usize::from(types) * 4 {
                    return Err(malformed(frame, "parameter types"));
                }
                Ok(ClientStep::Prepare { len, text })
            }
            b'B' => self.bind(frame).map(|()| ClientStep::Pass(len)),
            b'D' => self.describe(frame).map(|()| ClientStep::Pass(len)),
            b'C' => self.close(frame).map(|()| ClientStep::Pass(len)),
            b'E' => self.execute(frame, len),
            b'F' => {
                let oid = Fields::new(frame.body).u32().ok_or_else(|| malformed(frame, "function call"))?;
                Ok(ClientStep::Judge { len, run: RunStep::Function { oid } })
            }
            b'S' => {
                // In the middle of COPY data the server ignores it.
                if self.copy_in {
                    self.synced_in_copy = true;
                } else {
                    self.skipping = false;
                    self.runs_since_sync = 0;
                    self.push(Entry::Sync)?;
                }
                Ok(ClientStep::Pass(len))
            }
            b'H' => Ok(ClientStep::Pass(len)),
            b'c' | b'f' => {
                if !std::mem::take(&mut self.copy_in) && !self.queue.is_empty() {
                    self.push(Entry::CopyEnd)?;
                }
                Ok(ClientStep::Pass(len))
            }
            b'X' => Ok(ClientStep::Terminate(len)),
            kind => Err(unexpected(kind)),
        }
    }

    fn bind(&mut self, frame: Frame<'_>) -> Result<(), WireError> {
        let bind = Bind::read(frame.body).ok_or_else(|| malformed(frame, "names"))?;
        let statement = self.names.statements.get(bind.statement).cloned();
        let tag = statement.as_ref().map(|statement| statement.tag.clone());
        let keep = tag.as_ref().is_some_and(Prepared::wants_values);
        let binding = bind.binding(keep).ok_or_else(|| malformed(frame, "parameters"))?;
        self.bound(self.names.portals.len(), "portals")?;
        let portal = Portal { statement, binding: Arc::new(binding), shape: ShapeSlot::default() };
        let before = self.names.set_portal(bind.portal, Some(Arc::new(portal)));
        self.push(Entry::Name(before, tag))
    }

    fn describe(&mut self, frame: Frame<'_>) -> Result<(), WireError> {
        let mut fields = Fields::new(frame.body);
        let (kind, name) = fields.u8().zip(fields.cstr()).ok_or_else(|| malformed(frame, "describe"))?;
        let mut describe = Describe { statement: None, portal: None, injected: false, names_of: None, shape: None };
        match kind {
            b'S' => {
                let statement = self.names.statements.get(name);
                describe.names_of = statement.map(|statement| statement.tag.clone());
                describe.statement = statement.map(|statement| Arc::clone(&statement.shape));
            }
            b'P' => {
                let portal = self.names.portals.get(name);
                let statement = portal.and_then(|portal| portal.statement.as_ref());
                describe.names_of = statement.map(|statement| statement.tag.clone());
                describe.portal = portal.cloned();
            }
            _ => return Err(malformed(frame, "neither a statement nor a portal")),
        }
        describe.names_of = describe.names_of.filter(Prepared::may_compute);
        if let Some(slot) = &describe.statement {
            slot.ask();
        }
        if let Some(portal) = &describe.portal {
            portal.shape.ask();
        }
        self.push(Entry::Describe(describe))
    }

    fn close(&mut self, frame: Frame<'_>) -> Result<(), WireError> {
        let mut fields = Fields::new(frame.body);
        let (kind, name) = fields.u8().zip(fields.cstr()).ok_or_else(|| malformed(frame, "close"))?;
        let before = match kind {
            b'S' => self.names.set_statement(name, None),
            b'P' => self.names.set_portal(name, None),
            _ => return Err(malformed(frame, "neither a statement nor a portal")),
        };
        self.push(Entry::Name(before, None))
    }

    fn execute<'b>(&mut self, frame: Frame<'b>, len: usize) -> Step<'b, S> {
        let (name, rows_max) = execute_fields(frame)?;
        let portal = self.names.portals.get(name);
        let run = RunStep::Portal {
            statement: portal.and_then(|portal| portal.statement.as_ref()).map(|statement| statement.tag.clone()),
            binding: portal.map(|portal| Arc::clone(&portal.binding)),
            rows_max,
        };
        Ok(ClientStep::Judge { len, run })
    }

    pub(super) fn learn_statement(&mut self, bytes: &[u8], tag: S) -> Result<(), WireError> {
        let frame = whole(bytes)?;
        let name = Fields::new(frame.body).cstr().ok_or_else(|| malformed(frame, "parse"))?;
        self.bound(self.names.statements.len(), "prepared statements")?;
        let before = self.names.set_statement(name, Some(Statement { tag, shape: Arc::default() }));
        self.push(Entry::Name(before, None))
    }

    pub(super) fn forward_run(
        &mut self,
        bytes: &[u8],
        execution: X,
        to_upstream: &mut Vec<u8>,
    ) -> Result<(), WireError> {
        let frame = match whole(bytes).and_then(|frame| self.room_for_run().map(|()| frame)) {
            Ok(frame) => frame,
            Err(error) => {
                // The session is over, but what was admitted must come back to be settled.
                self.skipped.push(execution);
                return Err(error);
            }
        };
        if self.skipping {
            self.skipped.push(execution);
            to_upstream.extend_from_slice(bytes);
            return Ok(());
        }
        let mut run = Run {
            execution,
            kind: Kind::Text,
            portal: None,
            anonymous: None,
            shape: None,
            index: 0,
            outcome: None,
            copying: false,
            last_tag: String::new(),
        };
        match frame.kind {
            b'E' => {
                self.runs_since_sync += 1;
                // The step that pointed at this frame has read the name.
                let name = Fields::new(frame.body).cstr().unwrap_or_default();
                run.kind = Kind::Portal;
                run.portal = self.names.portals.get(name).cloned();
                if run.execution.wants_shape() {
                    self.describe_for(name, &mut run, to_upstream)?;
                }
            }
            b'F' => run.kind = Kind::Function,
            _ => {}
        }
        if run.execution.holds() {
            self.holding += 1;
        }
        self.push(Entry::Run(run))?;
        to_upstream.extend_from_slice(bytes);
        Ok(())
    }

    /// Asks for the shape that the client did not ask for: the second witness.
    fn describe_for(&mut self, name: &[u8], run: &mut Run<S, X>, to_upstream: &mut Vec<u8>) -> Result<(), WireError> {
        let mut describe = Describe { statement: None, portal: None, injected: true, names_of: None, shape: None };
        match &run.portal {
            Some(portal) => {
                let statement_asked = portal.statement.as_ref().is_some_and(|statement| statement.shape.is_asked());
                if portal.shape.is_asked() || statement_asked {
                    return Ok(());
                }
                portal.shape.ask();
                describe.portal = Some(Arc::clone(portal));
            }
            None => {
                let slot: Arc<ShapeSlot> = Arc::default();
                run.anonymous = Some(Arc::clone(&slot));
                describe.shape = Some(slot);
            }
        }
        self.push(Entry::Describe(describe))?;
        self.injected += 1;
        let mut body = vec![b'P'];
        body.extend_from_slice(name);
        body.push(0);
        put_frame(to_upstream, b'D', &body);
        Ok(())
    }

    /// Whether a message may overtake the end of an execution that holds. A Sync commits the implicit transaction of its
    /// pipeline, which a cut must still be able to undo; with nothing but the held execution in it there is nothing that
    /// the server has not seen when the rows come, and the Sync saves a round trip.
    fn passes_while_holding(&self, kind: u8) -> bool {
        match kind {
            b'S' => self.copy_in || self.runs_since_sync <= 1,
            b'H' | b'c' | b'f' | b'X' => true,
            _ => false,
        }
    }

    /// Whether an execution, with the description that may go before it, fits into the pipeline.
    fn room_for_run(&self) -> Result<(), WireError> {
        self.bound(self.outstanding(), "outstanding messages")
    }

    fn bound(&self, len: usize, what: &'static str) -> Result<(), WireError> {
        if len >= self.limits.pipeline_max {
            return Err(WireError::TooMany { what, max: self.limits.pipeline_max });
        }
        Ok(())
    }
}

/// The text of a Query message. The server refuses bytes behind the first NUL, so does Weir.
fn query_text(frame: Frame<'_>) -> Result<&[u8], WireError> {
    match frame.body.split_last() {
        Some((0, text)) if !text.contains(&0) => Ok(text),
        _ => Err(malformed(frame, "text with a NUL inside or none at its end")),
    }
}

fn execute_fields(frame: Frame<'_>) -> Result<(&[u8], u32), WireError> {
    let mut fields = Fields::new(frame.body);
    let (name, rows_max) = fields.cstr().zip(fields.i32()).ok_or_else(|| malformed(frame, "execute"))?;
    // The server takes zero and below as "no limit".
    Ok((name, u32::try_from(rows_max).unwrap_or(0)))
}

/// The frame that a step pointed at.
fn whole(bytes: &[u8]) -> Result<Frame<'_>, WireError> {
    match Header::read_from(bytes, usize::MAX, WireSide::Client)? {
        Some(header) if header.frame_len == bytes.len() => Ok(Frame::of(bytes, header)),
        _ => Err(WireError::Malformed { side: WireSide::Client, kind: '?', what: "frame is not whole" }),
    }
}

/// Refuses an unknown message at its header, before its body is waited for.
fn known(kind: u8) -> Result<(), WireError> {
    if b"QPBDCEFSHdcfX".contains(&kind) { Ok(()) } else { Err(unexpected(kind)) }
}

fn unexpected(kind: u8) -> WireError {
    WireError::Unexpected { side: WireSide::Client, kind: printable(kind), state: "the session is open" }
}

fn malformed(frame: Frame<'_>, what: &'static str) -> WireError {
    WireError::Malformed { side: WireSide::Client, kind: printable(frame.kind), what }
}
