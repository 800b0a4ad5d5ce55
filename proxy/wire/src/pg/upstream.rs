//! What the upstream says: every message is matched with the reply that is due, and rows are counted by their headers.
//! <https://www.postgresql.org/docs/current/protocol-message-formats.html>
//!
//! INVARIANT: a data row passes only as part of a running execution. A server that sends rows which nobody asked for
//! (or behind the end of a result) ends the session.

use std::sync::Arc;

use super::copy::drop_ignored_syncs;
use super::engine::{Describe, Entry, Heard, Kind, PgEngine, Run};
use super::error::{is_fatal, sqlstate};
use super::frame::{Fields, Frame, Header, printable};
use super::row::RowShape;
use super::told::{holds_words, told};
use crate::refusal::{WireError, WireSide};
use crate::step::{Execution, Moment, Outcome, Prepared, Told, Transaction, UpstreamStep};

/// Longest command tag that is kept for the record.
const TAG_BYTES_MAX: usize = 64;

impl<S: Prepared, X: Execution> PgEngine<S, X> {
    pub(super) fn next_of_upstream<'b>(
        &mut self,
        input: &'b [u8],
        to_upstream: &mut Vec<u8>,
    ) -> Result<UpstreamStep<'b, X>, WireError> {
        if self.upstream_rest > 0 {
            if input.is_empty() {
                return Ok(UpstreamStep::More(0));
            }
            let len = self.upstream_rest.min(input.len());
            self.upstream_rest -= len;
            return Ok(if self.suppressing { UpstreamStep::Swallow(len) } else { UpstreamStep::Rows { len, rows: 0 } });
        }
        let Some(header) = Header::read_from(input, self.limits.frame_bytes_max, WireSide::Upstream)? else {
            return Ok(UpstreamStep::More(0));
        };
        while matches!(self.queue.front(), Some(Entry::CopyEnd)) {
            self.queue.pop_front();
        }
        if matches!(header.kind, b'D' | b'd') {
            return self.data(input, header);
        }
        let len = header.frame_len;
        if input.len() < len {
            return Ok(UpstreamStep::More(len));
        }
        let frame = Frame::of(input, header);
        match self.heard.take() {
            Some(Heard::Whole) => self.said(frame, len, to_upstream),
            Some(Heard::Otherwise) => self.said(frame, len, to_upstream).map(UpstreamStep::unheard),
            None => match self.told(frame) {
                Some(told) => Ok(UpstreamStep::Told { len, told }),
                None => self.said(frame, len, to_upstream),
            },
        }
    }

    /// What the frame says besides rows, where somebody listens and the client would read it.
    fn told(&self, frame: Frame<'_>) -> Option<Told> {
        // Behind a cut the client hears only what others say.
        if !self.listening || !matches!(frame.kind, b'E' | b'N' | b'S' | b'A' | b'T') {
            return None;
        }
        if self.suppressing && frame.kind != b'A' {
            return None;
        }
        let moment = match (frame.kind, self.queue.front()) {
            (b'A', _) => Moment::Aside,
            // Exchanged for Weir's own words.
            (b'E', Some(Entry::Refused { .. } | Entry::Poison { .. })) => return None,
            (b'T', Some(Entry::Run(run))) if run.execution.may_compute() => Moment::Running,
            (b'T', Some(Entry::Describe(Describe { injected: false, names_of: Some(_), .. }))) => Moment::Binding,
            (b'T', _) => return None,
            (_, Some(Entry::Run(_))) => Moment::Running,
            (_, Some(Entry::Name(_, Some(_)))) => Moment::Binding,
            (_, Some(Entry::Sync)) => Moment::Ending,
            _ => Moment::Aside,
        };
        told(frame, moment)
    }

    /// A whole frame that is no row.
    fn said<'b>(
        &mut self,
        frame: Frame<'b>,
        len: usize,
        to_upstream: &mut Vec<u8>,
    ) -> Result<UpstreamStep<'b, X>, WireError> {
        match frame.kind {
            b'N' if self.suppressing && !holds_words(frame) => Ok(UpstreamStep::Swallow(len)),
            b'N' | b'A' => Ok(UpstreamStep::Pass(len)),
            b'S' => {
                let mut fields = Fields::new(frame.body);
                let (name, value) = fields.cstr().zip(fields.cstr()).ok_or_else(|| malformed(frame, "setting"))?;
                Ok(UpstreamStep::Setting { len, name, value, swallow: self.suppressing && !holds_words(frame) })
            }
            b'E' => self.error(frame, len),
            b'Z' => self.ready(frame, len, to_upstream),
            b'1' | b'2' | b'3' => match self.queue.front() {
                Some(Entry::Name(..)) => {
                    self.queue.pop_front();
                    Ok(self.visible(len))
                }
                _ => Err(self.unexpected(frame)),
            },
            b't' => match self.queue.front() {
                Some(Entry::Describe(describe)) => Ok(if describe.injected || self.suppressing {
                    UpstreamStep::Swallow(len)
                } else {
                    UpstreamStep::Pass(len)
                }),
                _ => Err(self.unexpected(frame)),
            },
            b'n' => self.shape(frame, len, RowShape::default()),
            b'T' => {
                let shape = RowShape::read(frame.body).ok_or_else(|| malformed(frame, "row description"))?;
                self.shape(frame, len, shape)
            }
            b'C' | b'I' | b's' => self.result_end(frame, len, to_upstream),
            b'G' | b'H' | b'W' => self.copy_begins(frame, len),
            b'c' => match self.queue.front() {
                Some(Entry::Run(run)) if run.copying => Ok(self.visible(len)),
                _ => Err(self.unexpected(frame)),
            },
            b'V' => match self.queue.front_mut() {
                Some(Entry::Run(run)) if run.kind == Kind::Function => {
                    run.outcome = Some(Outcome::Complete("FUNCTION".to_owned()));
                    Ok(if self.suppressing { UpstreamStep::Swallow(len) } else { UpstreamStep::Rows { len, rows: 1 } })
                }
                _ => Err(self.unexpected(frame)),
            },
            _ => Err(self.unexpected(frame)),
        }
    }

    /// A run of DataRow or CopyData frames of the execution at the front.
    fn data<'b>(&mut self, input: &'b [u8], first: Header) -> Result<UpstreamStep<'b, X>, WireError> {
        let copy = first.kind == b'd';
        let streams = match self.queue.front() {
            Some(Entry::Run(run)) if run.copying == copy && run.outcome.is_none() && run.kind != Kind::Function => {
                if !copy && run.kind == Kind::Text && run.shape.is_none() {
                    return Err(self.unexpected(Frame::of(&[], first)));
                }
                run.execution.streams()
            }
            _ => return Err(self.unexpected(Frame { kind: first.kind, body: &[] })),
        };
        let mut len = 0;
        let mut rows = 0;
        let mut header = first;
        loop {
            let available = input.len() - len;
            if header.frame_len > available {
                if streams || self.suppressing {
                    // Counted at its header: a row that has begun to leave has left.
                    rows += 1;
                    len = input.len();
                    self.upstream_rest = header.frame_len - available;
                }
                break;
            }
            len += header.frame_len;
            rows += 1;
            // A header that cannot be ends the session at its own step: the rows before it are whole.
            match Header::read_from(&input[len..], self.limits.frame_bytes_max, WireSide::Upstream) {
                Ok(Some(next)) if next.kind == first.kind => header = next,
                _ => break,
            }
        }
        Ok(match (len, self.suppressing) {
            (0, _) => UpstreamStep::More(first.frame_len),
            (_, true) => UpstreamStep::Swallow(len),
            (_, false) => UpstreamStep::Rows { len, rows },
        })
    }

    fn shape(&mut self, frame: Frame<'_>, len: usize, shape: RowShape) -> Result<UpstreamStep<'static, X>, WireError> {
        match self.queue.front_mut() {
            Some(Entry::Describe(describe)) => {
                let shape = Arc::new(shape);
                if let Some(portal) = &describe.portal {
                    portal.shape.set(&shape);
                    if let Some(statement) = &portal.statement {
                        statement.shape.set(&shape);
                    }
                }
                if let Some(slot) = describe.statement.as_ref().or(describe.shape.as_ref()) {
                    slot.set(&shape);
                }
                let injected = describe.injected;
                self.injected -= usize::from(injected).min(self.injected);
                self.queue.pop_front();
                Ok(if injected || self.suppressing { UpstreamStep::Swallow(len) } else { UpstreamStep::Pass(len) })
            }
            Some(Entry::Run(run)) if run.kind == Kind::Text && frame.kind == b'T' && run.shape.is_none() => {
                run.shape = Some(Arc::new(shape));
                Ok(if self.suppressing { UpstreamStep::Swallow(len) } else { UpstreamStep::Shape(len) })
            }
            _ => Err(self.unexpected(frame)),
        }
    }

    /// CommandComplete, EmptyQueryResponse, PortalSuspended.
    fn result_end(
        &mut self,
        frame: Frame<'_>,
        len: usize,
        to_upstream: &mut Vec<u8>,
    ) -> Result<UpstreamStep<'static, X>, WireError> {
        let suppressing = self.suppressing;
        match self.queue.front_mut() {
            Some(Entry::Run(run)) if run.kind == Kind::Text && frame.kind != b's' => {
                run.shape = None;
                run.copying = false;
                run.index += 1;
                self.copy_in = false;
                if frame.kind == b'C' {
                    self.last_tag(tag(frame.body));
                }
                Ok(if suppressing { UpstreamStep::Swallow(len) } else { UpstreamStep::ResultEnd(len) })
            }
            Some(Entry::Run(run)) if run.kind == Kind::Portal => {
                let outcome = match (suppressing, frame.kind) {
                    (true, _) => Outcome::Cut,
                    (false, b's') => Outcome::Suspended,
                    (false, _) => Outcome::Complete(tag(frame.body)),
                };
                self.copy_in = false;
                let Some(run) = self.pop_run() else { return Err(self.unexpected(frame)) };
                if suppressing && !self.queue.iter().any(|entry| matches!(entry, Entry::Sync | Entry::Poison { .. })) {
                    // The server finished before the cancellation reached it, and nothing ends its pipeline yet: make
                    // it fail, so that what the client sends up to its Sync is skipped as after any error.
                    Self::put_portal_poison(to_upstream);
                    self.push(Entry::Poison { text: false })?;
                }
                Ok(UpstreamStep::Finished { len, swallow: suppressing, execution: run.execution, outcome })
            }
            _ => Err(self.unexpected(frame)),
        }
    }

    fn last_tag(&mut self, tag: String) {
        if let Some(Entry::Run(run)) = self.queue.front_mut() {
            run.last_tag = tag;
        }
    }

    fn copy_begins(&mut self, frame: Frame<'_>, len: usize) -> Result<UpstreamStep<'static, X>, WireError> {
        match self.queue.front_mut() {
            Some(Entry::Run(run)) if run.kind != Kind::Function && frame.kind != b'W' => {
                if frame.kind == b'H' {
                    run.copying = true;
                } else {
                    let ended = drop_ignored_syncs(&mut self.queue);
                    self.copy_in = !ended;
                    self.synced_in_copy = false;
                }
                Ok(self.visible(len))
            }
            _ => Err(self.unexpected(frame)),
        }
    }

    fn error(&mut self, frame: Frame<'_>, len: usize) -> Result<UpstreamStep<'static, X>, WireError> {
        let suppressing = self.suppressing;
        self.farewell |= is_fatal(frame.body);
        if std::mem::take(&mut self.copy_in) && std::mem::take(&mut self.synced_in_copy) && !self.farewell {
            // The server failed before or behind the Sync, and only it knows: one it ignores, the other it answers.
            return Err(self.unexpected(frame));
        }
        match self.queue.front_mut() {
            Some(Entry::Refused { error, text }) => {
                let error = std::mem::take(error);
                if *text {
                    // Its ReadyForQuery is still to come.
                    self.queue.pop_front();
                    self.queue.push_front(Entry::Sync);
                } else {
                    self.queue.pop_front();
                    self.skip_to_sync();
                }
                Ok(if suppressing { UpstreamStep::Swallow(len) } else { UpstreamStep::Swap(len, error) })
            }
            Some(Entry::Poison { text }) => {
                let text = *text;
                self.queue.pop_front();
                if text {
                    self.queue.push_front(Entry::Sync);
                } else {
                    self.skip_to_sync();
                }
                Ok(UpstreamStep::Swallow(len))
            }
            Some(Entry::Run(run)) if run.kind != Kind::Portal => {
                run.outcome = Some(if suppressing { Outcome::Cut } else { Outcome::Error(sqlstate(frame.body)) });
                run.shape = None;
                run.copying = false;
                Ok(self.visible(len))
            }
            Some(Entry::Run(_)) => {
                let outcome = if suppressing { Outcome::Cut } else { Outcome::Error(sqlstate(frame.body)) };
                let Some(run) = self.pop_run() else { return Err(self.unexpected(frame)) };
                self.skip_to_sync();
                Ok(UpstreamStep::Finished { len, swallow: suppressing, execution: run.execution, outcome })
            }
            Some(Entry::Name(..) | Entry::Describe(_)) => {
                self.skip_to_sync();
                Ok(self.visible(len))
            }
            // While it commits at a Sync, or on its own account (57P01): the client must know.
            _ => Ok(self.visible(len)),
        }
    }

    fn ready(
        &mut self,
        frame: Frame<'_>,
        len: usize,
        to_upstream: &mut Vec<u8>,
    ) -> Result<UpstreamStep<'static, X>, WireError> {
        // Who waits for the next command skips nothing any more.
        self.skipping = false;
        self.transaction = match frame.body {
            b"I" => Transaction::Idle,
            b"T" => Transaction::Open,
            b"E" => Transaction::Failed,
            _ => return Err(malformed(frame, "transaction status")),
        };
        let mut finished = None;
        match self.queue.front() {
            // With nothing of a result behind it, it is not the end of this one.
            Some(Entry::Run(run)) if run.kind != Kind::Portal && (run.outcome.is_some() || run.index > 0) => {
                let Some(run) = self.pop_run() else { return Err(self.unexpected(frame)) };
                let outcome = match run.outcome {
                    _ if self.suppressing => Outcome::Cut,
                    Some(outcome) => outcome,
                    None => Outcome::Complete(run.last_tag),
                };
                finished = Some((run.execution, outcome));
            }
            Some(Entry::Sync) => drop(self.queue.pop_front()),
            None => {}
            Some(_) => return Err(self.unexpected(frame)),
        }
        let mut swallow = false;
        if std::mem::take(&mut self.suppressing) && self.transaction == Transaction::Open {
            // The result was cut after the server had finished it. The client was told of an error, so its
            // transaction must be a failed one.
            Self::put_text_poison(to_upstream);
            self.queue.push_front(Entry::Poison { text: true });
            swallow = true;
        }
        if self.transaction == Transaction::Idle && self.queue.is_empty() {
            self.names.portals.clear();
        }
        Ok(UpstreamStep::Idle { len, swallow, finished, transaction: self.transaction })
    }

    fn visible(&self, len: usize) -> UpstreamStep<'static, X> {
        if self.suppressing { UpstreamStep::Swallow(len) } else { UpstreamStep::Pass(len) }
    }

    fn unexpected(&self, frame: Frame<'_>) -> WireError {
        let state = match self.queue.front() {
            None => "no reply is due",
            Some(Entry::Name(..)) => "a completion of Parse, Bind or Close is due",
            Some(Entry::Describe(_)) => "a description is due",
            Some(Entry::Run(Run { kind: Kind::Text, .. })) => "results of a query are due",
            Some(Entry::Run(_)) => "the result of an execution is due",
            Some(Entry::Refused { .. } | Entry::Poison { .. }) => "an error is due",
            Some(Entry::Sync | Entry::CopyEnd) => "ReadyForQuery is due",
        };
        WireError::Unexpected { side: WireSide::Upstream, kind: printable(frame.kind), state }
    }
}

fn tag(body: &[u8]) -> String {
    let text = body.strip_suffix(&[0]).unwrap_or(body);
    String::from_utf8_lossy(text.get(..TAG_BYTES_MAX).unwrap_or(text)).into_owned()
}

fn malformed(frame: Frame<'_>, what: &'static str) -> WireError {
    WireError::Malformed { side: WireSide::Upstream, kind: printable(frame.kind), what }
}
