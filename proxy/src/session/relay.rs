//! The hot path: bytes from either side become steps, steps become bytes for the other side.
//!
//! What must never happen here: a byte of a statement goes upstream before the gate has let it pass, or a byte of a
//! row goes to the client before the gate has charged it. What happens in what order: send what is unsent, read one
//! side, take its steps to the end, send. A side waits while the other is full or while a record is not durable yet.

use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use weir_wire::{ClientStep, Outcome, Telling, Transaction, UpstreamStep};

use super::gate::{Gate, Hearing, Judgement, Release};
use super::leg::{Leg, ReadBuffer};
use super::{End, SessionEngine};

/// A buffer that grew beyond this is given back when it is empty.
const BUFFER_BYTES_KEPT: usize = 64 * 1024;

/// Why a side takes no further steps now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Wait {
    /// Until this record is durable; then the parked frame goes.
    Durable(u64),
    /// Until the running execution has ended, its cancellation included.
    Result,
    /// Until the catalog has been read again.
    Catalog,
    /// Until a cancellation is through, so that it hits nothing else.
    Cancellation,
}

/// What the session's task has to do next.
pub(super) enum Next {
    /// The session is over.
    End(End),
    /// Cancel what runs upstream, then go on.
    Cancel,
    /// Read the catalog again, then go on.
    Renew,
    /// Nothing runs and no transaction is open; told only when asked.
    Idle,
    /// What is waited for has changed.
    Wait,
}

/// What a session waits for that no socket brings.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Waits {
    /// A record that is not durable yet.
    pub(super) record: bool,
    /// The rest of a message that the upstream has begun; not for ever.
    pub(super) rest: bool,
}

/// Both sides of an open session.
pub(super) struct Relay<E> {
    pub(super) client: Leg,
    pub(super) upstream: Leg,
    pub(super) engine: E,
    pub(super) gate: Gate,
    client_wait: Option<Wait>,
    upstream_wait: Option<u64>,
    to_upstream: Vec<u8>,
    to_client: Vec<u8>,
    /// A cut wants the upstream cancelled; what the client sends waits, so that the cancellation hits nothing else.
    pub(super) cancelling: bool,
    /// A result has ended since the client began to wait for one.
    result_ended: bool,
    /// A cut left bytes of the upstream that nobody has looked at yet: no read may come that brings them up.
    unexamined: bool,
    transaction: Transaction,
    /// A side is not read while the other has more than this unsent: a slow peer's share of memory.
    unsent_bytes_max: usize,
    /// The client has said goodbye behind what still waits, and closed.
    client_closed: bool,
    /// The upstream has begun a message and not ended it.
    in_mid_message: bool,
    /// When the upstream last said something.
    heard: Instant,
    /// How much of an unfinished message was there when somebody last looked.
    kept_then: usize,
}

impl<E: SessionEngine> Relay<E> {
    pub(super) fn new(client: Leg, upstream: Leg, engine: E, gate: Gate, unsent_bytes_max: usize) -> Relay<E> {
        // What came behind the login is looked at before anything else is read.
        let client_wait = (client.kept_len() > 0).then_some(Wait::Cancellation);
        Relay {
            client,
            upstream,
            engine,
            gate,
            client_wait,
            upstream_wait: None,
            to_upstream: Vec::new(),
            to_client: Vec::new(),
            cancelling: false,
            result_ended: false,
            unexamined: false,
            transaction: Transaction::Idle,
            unsent_bytes_max,
            client_closed: false,
            in_mid_message: false,
            heard: Instant::now(),
            kept_then: 0,
        }
    }

    /// Moves what can be moved; ready when the session has ended or when something must be awaited outside. `waits`: it is
    /// known already that something is waited for that comes from outside or with time.
    pub(super) fn poll(&mut self, cx: &mut Context<'_>, tell_idle: bool, waits: Waits) -> Poll<Next> {
        loop {
            if tell_idle && self.is_between_transactions() {
                return Poll::Ready(Next::Idle);
            }
            let (Poll::Ready(Ok(())) | Poll::Pending) = self.client.poll_drain(cx) else {
                return Poll::Ready(Next::End(End::ClientGone));
            };
            let (Poll::Ready(Ok(())) | Poll::Pending) = self.upstream.poll_drain(cx) else {
                return Poll::Ready(Next::End(End::UpstreamGone));
            };
            if let Some(next) = self.resume(cx) {
                return Poll::Ready(next);
            }
            let mut moved = false;
            // A vanished client must be noticed while its statement runs, so its side is read while it waits, too;
            // what it sends meanwhile is bounded.
            let client_may = !self.client_closed
                && self.upstream.unsent_len() <= self.unsent_bytes_max
                && (self.client_wait.is_none() || self.client.kept_len() < self.unsent_bytes_max);
            if client_may && let Poll::Ready(next) = self.read_client(cx) {
                if let Some(next) = next {
                    return Poll::Ready(next);
                }
                moved = true;
            }
            if !self.reads_upstream() {
                // Nobody listens, so it is no silence.
                self.heard = Instant::now();
            } else if let Poll::Ready(next) = self.read_upstream(cx) {
                if let Some(next) = next {
                    return Poll::Ready(next);
                }
                moved = true;
            }
            if !moved {
                return if self.waits() == waits { Poll::Pending } else { Poll::Ready(Next::Wait) };
            }
        }
    }

    /// Goes on with what waited for a record or for a result, once that is there.
    fn resume(&mut self, cx: &mut Context<'_>) -> Option<Next> {
        let durable = self.gate.durable();
        let go_on = self.upstream_wait.is_some_and(|sequence| sequence <= durable);
        if go_on || (self.upstream_wait.is_none() && self.unexamined) {
            self.upstream_wait = None;
            self.unexamined = false;
            let kept = self.upstream.take_kept();
            let next = self.take_upstream(cx, &kept);
            if next.is_some() {
                return next;
            }
        }
        let go = match self.client_wait {
            None => false,
            Some(Wait::Durable(sequence)) => sequence <= durable,
            Some(Wait::Result) => !self.cancelling && std::mem::take(&mut self.result_ended),
            Some(Wait::Catalog) => !self.gate.mind().must_renew(),
            Some(Wait::Cancellation) => !self.cancelling,
        };
        if go {
            self.client_wait = None;
            let kept = self.client.take_kept();
            return self.take_client(cx, &kept);
        }
        None
    }

    fn read_client(&mut self, cx: &mut Context<'_>) -> Poll<Option<Next>> {
        ReadBuffer::lend(|buffer| match self.client.poll_read(cx, buffer) {
            Poll::Pending => Poll::Pending,
            // What it sent before an orderly end was meant to run.
            Poll::Ready(Err(_)) if self.client_wait.is_some() && self.client.kept_ends_with(E::TERMINATE) => {
                self.client_closed = true;
                Poll::Pending
            }
            Poll::Ready(Err(_)) => Poll::Ready(Some(Next::End(End::ClientGone))),
            Poll::Ready(Ok(bytes)) => Poll::Ready(self.take_client(cx, bytes)),
        })
    }

    fn read_upstream(&mut self, cx: &mut Context<'_>) -> Poll<Option<Next>> {
        ReadBuffer::lend(|buffer| match self.upstream.poll_read(cx, buffer) {
            Poll::Pending => Poll::Pending,
            Poll::Ready(Err(_)) => Poll::Ready(Some(Next::End(End::UpstreamGone))),
            Poll::Ready(Ok(bytes)) => {
                self.heard = Instant::now();
                Poll::Ready(self.take_upstream(cx, bytes))
            }
        })
    }

    /// Takes all steps that the client's bytes allow, and sends what they gave.
    fn take_client(&mut self, cx: &mut Context<'_>, bytes: &[u8]) -> Option<Next> {
        if self.client_wait.is_none() && self.cancelling {
            self.client_wait = Some(Wait::Cancellation);
        }
        if self.client_wait.is_some() {
            self.client.keep(bytes, 0);
            return None;
        }
        let (used, need, next) = self.client_steps(bytes);
        self.client.keep(bytes.get(used..).unwrap_or(&[]), need);
        // What was refused and need not wait for other replies is answered at once.
        let answered = if self.to_client.is_empty() { Ok(()) } else { self.send_client(cx, &[]) };
        let sent = self.send_upstream(cx);
        next.or(answered.err().map(Next::End)).or(sent)
    }

    /// Takes the client's steps; returns how many bytes they consumed.
    fn client_steps(&mut self, bytes: &[u8]) -> (usize, usize, Option<Next>) {
        let mut used = 0;
        loop {
            let rest = &bytes[used..];
            let step = match self.engine.client_step(rest, &mut self.to_upstream) {
                Ok(step) => step,
                Err(error) => return (used, 0, Some(Next::End(End::Broken(error)))),
            };
            let result = match step {
                ClientStep::More(need) => return (used, need, None),
                ClientStep::Hold => {
                    self.client_wait = Some(Wait::Result);
                    return (used, 0, None);
                }
                ClientStep::Pass(len) => {
                    self.to_upstream.extend_from_slice(&rest[..len]);
                    used += len;
                    continue;
                }
                ClientStep::ChangeUser(_) => return (used, 0, Some(Next::End(End::UserChange))),
                ClientStep::Terminate(len) => {
                    self.to_upstream.extend_from_slice(&rest[..len]);
                    return (used + len, 0, Some(Next::End(End::Terminated)));
                }
                ClientStep::Prepare { len, text } => {
                    let statement = self.gate.prepare(text, &self.engine);
                    used += len;
                    self.engine.learn(&rest[..len], statement, &mut self.to_upstream)
                }
                ClientStep::Judge { len, run } => match self.gate.judge(&run, &self.engine) {
                    Judgement::Forward(execution) => {
                        used += len;
                        let mind = &*self.gate.mind();
                        let known = |number| mind.number_of(number);
                        let anew = self.engine.renumbered(&rest[..len], &known);
                        let frame = anew.as_deref().unwrap_or(&rest[..len]);
                        self.engine.forward(frame, *execution, &mut self.to_upstream)
                    }
                    Judgement::Refuse(refusal) => {
                        used += len;
                        self.engine.refuse(&rest[..len], &refusal, &mut self.to_upstream, &mut self.to_client)
                    }
                    Judgement::Park(sequence) => {
                        self.client_wait = Some(Wait::Durable(sequence));
                        return (used, 0, None);
                    }
                    Judgement::Renew => {
                        self.client_wait = Some(Wait::Catalog);
                        return (used, 0, Some(Next::Renew));
                    }
                },
            };
            if let Err(error) = result {
                return (used, 0, Some(Next::End(End::Broken(error))));
            }
        }
    }

    /// Takes all steps that the upstream's bytes allow, and sends what they gave.
    fn take_upstream(&mut self, cx: &mut Context<'_>, bytes: &[u8]) -> Option<Next> {
        self.engine.listen(self.gate.listens());
        let mut used = 0;
        // Bytes from here to `used` pass unchanged and go out in one piece.
        let mut run = 0;
        let mut need = 0;
        let mut next = None;
        while next.is_none() && self.upstream_wait.is_none() {
            let rest = &bytes[used..];
            let step = match self.engine.upstream_step(rest, &mut self.to_upstream) {
                Ok(step) => step,
                Err(error) => {
                    next = Some(Next::End(End::Broken(error)));
                    break;
                }
            };
            match step {
                UpstreamStep::More(len) => {
                    need = len;
                    break;
                }
                UpstreamStep::Pass(len) | UpstreamStep::Shape(len) => used += len,
                UpstreamStep::ResultEnd(len) => {
                    self.take_settings();
                    used += len;
                }
                UpstreamStep::Setting { len, name, value, swallow } => {
                    let (name, value) = (String::from_utf8_lossy(name), String::from_utf8_lossy(value));
                    self.gate.mind().setting(&name, &value);
                    (run, used) = self.pass_or_drop(bytes, run, used, len, swallow);
                }
                UpstreamStep::Told { len, told } => {
                    let hearing = self.gate.hear(&told, &mut self.engine);
                    if !matches!(hearing, Hearing::Pass) {
                        self.to_client.extend_from_slice(&bytes[run..used]);
                        run = used;
                    }
                    let telling = match &hearing {
                        Hearing::Pass => Telling::Whole,
                        Hearing::Wait(sequence) => {
                            self.upstream_wait = Some(*sequence);
                            break;
                        }
                        Hearing::Trim => Telling::Trimmed,
                        Hearing::Instead(refusal) => Telling::Instead(refusal),
                        Hearing::Nothing => Telling::Nothing,
                    };
                    self.engine.tell(&rest[..len], telling, &mut self.to_client);
                }
                UpstreamStep::Swallow(len) => {
                    self.to_client.extend_from_slice(&bytes[run..used]);
                    used += len;
                    run = used;
                }
                UpstreamStep::Swap(len, instead) => {
                    self.to_client.extend_from_slice(&bytes[run..used]);
                    self.to_client.extend_from_slice(&instead);
                    used += len;
                    run = used;
                }
                UpstreamStep::Rows { len, rows } => {
                    let Some(running) = self.engine.running() else {
                        used += len;
                        continue;
                    };
                    match self.gate.release::<E>(running, &rest[..len], rows) {
                        Release::All => used += len,
                        Release::Part { bytes: part, wait } => {
                            used += part;
                            self.upstream_wait = Some(wait);
                        }
                        Release::Cut { bytes: part, refusal } => {
                            used += part;
                            self.to_client.extend_from_slice(&bytes[run..used]);
                            run = used;
                            self.engine.cut(&refusal, &mut self.to_client);
                            self.cancelling = true;
                            self.unexamined = true;
                            next = Some(Next::Cancel);
                        }
                    }
                }
                UpstreamStep::Finished { len, swallow, execution, outcome } => {
                    self.gate.finished(execution, &outcome, &mut self.engine);
                    self.take_settings();
                    (run, used) = self.pass_or_drop(bytes, run, used, len, swallow);
                    self.free_client();
                }
                UpstreamStep::Idle { len, swallow, finished, transaction } => {
                    if let Some((execution, outcome)) = finished {
                        self.gate.finished(execution, &outcome, &mut self.engine);
                    }
                    self.take_settings();
                    self.transaction = transaction;
                    self.gate.idle(transaction);
                    (run, used) = self.pass_or_drop(bytes, run, used, len, swallow);
                    self.free_client();
                }
            }
        }
        self.gate.note_declined(self.engine.take_declined());
        for skipped in self.engine.take_skipped() {
            self.gate.finished(skipped, &Outcome::Skipped, &mut self.engine);
        }
        if let Err(end) = self.send_client(cx, &bytes[run..used]) {
            next = next.or(Some(Next::End(end)));
        }
        let rest = bytes.get(used..).unwrap_or(&[]);
        self.in_mid_message = !rest.is_empty() || self.engine.is_in_mid_message();
        self.upstream.keep(rest, need);
        let sent = self.send_upstream(cx);
        next.or(sent)
    }

    /// Takes note of settings that came with the end of a result: behind its acts, since the server knows better.
    fn take_settings(&mut self) {
        for (name, value) in self.engine.take_settings() {
            self.gate.mind().setting(&name, &value);
        }
    }

    /// Moves behind a frame that passes or that the client must not see; returns the new run and position.
    fn pass_or_drop(&mut self, bytes: &[u8], run: usize, used: usize, len: usize, drop: bool) -> (usize, usize) {
        if !drop {
            return (run, used + len);
        }
        self.to_client.extend_from_slice(&bytes[run..used]);
        (used + len, used + len)
    }

    /// What is waited for that no socket brings.
    pub(super) fn waits(&self) -> Waits {
        Waits {
            record: self.upstream_wait.is_some() || matches!(self.client_wait, Some(Wait::Durable(_))),
            rest: self.in_mid_message && self.reads_upstream(),
        }
    }

    /// Whether the upstream is read now: not while the client is behind, nor while a record is waited for.
    fn reads_upstream(&self) -> bool {
        self.client.unsent_len() <= self.unsent_bytes_max && self.upstream_wait.is_none()
    }

    /// When the upstream last said something.
    pub(super) fn heard(&self) -> Instant {
        self.heard
    }

    /// Whether the upstream has said nothing for so long. A long message grows where it is kept, which is no silence.
    pub(super) fn is_silent_for(&mut self, stall: Duration) -> bool {
        let kept = self.upstream.kept_len();
        if std::mem::replace(&mut self.kept_then, kept) != kept {
            self.heard = Instant::now();
        }
        self.heard.elapsed() >= stall
    }

    /// Whether nothing runs, no transaction is open and the client has everything.
    pub(super) fn is_between_transactions(&self) -> bool {
        self.engine.is_quiet()
            && self.transaction == Transaction::Idle
            && self.client.unsent_len() == 0
            && self.upstream.unsent_len() == 0
    }

    /// A result has ended: what the client sent meanwhile may go on, as soon as no cancellation is under way.
    fn free_client(&mut self) {
        self.result_ended = true;
    }

    fn send_client(&mut self, cx: &mut Context<'_>, run: &[u8]) -> Result<(), End> {
        let sent = if self.to_client.is_empty() {
            self.client.poll_send(cx, run)
        } else {
            self.to_client.extend_from_slice(run);
            let sent = self.client.poll_send(cx, &self.to_client);
            self.to_client.clear();
            sent
        };
        sent.map_err(|_| End::ClientGone)
    }

    fn send_upstream(&mut self, cx: &mut Context<'_>) -> Option<Next> {
        if self.to_upstream.is_empty() {
            return None;
        }
        let sent = self.upstream.poll_send(cx, &self.to_upstream);
        self.to_upstream.clear();
        if self.to_upstream.capacity() > BUFFER_BYTES_KEPT {
            self.to_upstream = Vec::new();
        }
        sent.err().map(|_| Next::End(End::UpstreamGone))
    }
}
