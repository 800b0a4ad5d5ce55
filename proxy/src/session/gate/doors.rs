//! What the server says besides rows: an error, a notice, a setting, a notification, names of columns, the words of an
//! end. It passes, is charged, or is withheld.
//!
//! What must never happen here: a message that may hold values of a dataset leaves before it is charged as such, or
//! before the record that says so is durable; and a message of a statement that touches nothing sensitive is looked at
//! for longer than it takes to see that.
//!
//! A message is charged to the datasets that its statement touches, as somebody who reads them would be: who may not read
//! them gets other words. What a statement says of which nobody knows what it touches, and what is notified by
//! somebody else, has a small budget of bytes of its own ([`allowance`]) for everybody whom a budget holds.

use std::sync::Arc;
use std::time::Instant;

use weir_audit_store::event::{Charge, Outcome as Ended};
use weir_policy::budget::{Unit, Window};
use weir_policy::exposure::Exposure;
use weir_policy::ledger::Replay;
use weir_policy::meter::{RowBatch, Then};
use weir_policy::statement::{Access, SessionAct, Verb};
use weir_policy::verdict::{Alert, AlertKind, Basis, Decision, Denial, Outcome as Came};
use weir_wire::{Content, Door, Moment, Quote, Refusal, Told};

use super::Gate;
use crate::analyses::Understood;
use crate::audit::words;
use crate::budgets;
use crate::session::SessionEngine;
use crate::session::execution::{Execution, Handle};

/// Literals of a text that a quoted value is held against, and words of it that a quoted name is: each place that fits
/// tells no more than which of so many it was.
const OWN_LITERALS_MAX: usize = 64;
const OWN_WORDS_MAX: usize = 512;

/// A payload up to this many bytes names an event, a number or a key; more of them is data.
const NOTIFICATION_BYTES_FREE: usize = 128;

/// The rule that a door's own budget goes by.
const DOORS_RULE: &str = "weir.doors";

/// Bytes an hour that a person under a budget may be told by one door where no dataset can be charged.
fn allowance(door: Door) -> u64 {
    match door {
        // What migrations and maintenance print of themselves in an hour, by far.
        Door::Notice | Door::Error => 64 << 10,
        // A few hundred changes of names; each is 63 bytes at most.
        Door::Setting | Door::Info => 8 << 10,
        // Names of some hundred results.
        Door::Columns => 16 << 10,
        // Several events a second that carry a small document each.
        Door::Notification => 256 << 10,
    }
}

/// A statement, and what it and those before it were about.
pub(super) type Subject = (Arc<Understood>, Arc<Exposure>);

/// What becomes of a message.
pub enum Hearing {
    /// It passes.
    Pass,
    /// Not before the record of this sequence is durable.
    Wait(u64),
    /// Its values are left out.
    Trim,
    /// The client reads this instead.
    Instead(Refusal),
    /// The client does not see it.
    Nothing,
}

impl Gate {
    /// Whether anybody wants to hear what the server says besides rows.
    pub fn listens(&self) -> bool {
        self.mind.may_be_sensitive()
    }

    /// Something that the server says besides rows. Called again with the same after a wait.
    pub fn hear<E: SessionEngine>(&mut self, told: &Told, engine: &mut E) -> Hearing {
        if told.content == Content::Words {
            return Hearing::Pass;
        }
        match told.moment {
            Moment::Running => match engine.running() {
                Some(running) => self.hear_of(running.execution, told),
                None => Hearing::Pass,
            },
            Moment::Binding => {
                let Some(Handle(known)) = engine.binding() else { return Hearing::Pass };
                let execution = match self.aside.take() {
                    Some(execution) => execution,
                    None => {
                        let understood = match &*known.last.borrow() {
                            Some((_, understood)) => Arc::clone(understood),
                            None => self.mind.unseen("too-long", "text of a prepared statement".to_owned()),
                        };
                        self.execution(Some(known), understood, None, Instant::now())
                    }
                };
                self.hear_aside(execution, told)
            }
            Moment::Ending => {
                let execution = match (self.aside.take(), self.pipelined.take()) {
                    (Some(execution), pipelined) => {
                        self.pipelined = pipelined;
                        execution
                    }
                    (None, Some((understood, exposure))) => {
                        let mut execution = self.execution(None, Arc::clone(&understood), None, Instant::now());
                        execution.exposure = Arc::clone(&exposure);
                        self.pipelined = Some((understood, exposure));
                        execution
                    }
                    (None, None) => return Hearing::Pass,
                };
                self.hear_aside(execution, told)
            }
            Moment::Aside if told.door == Door::Notification => self.notified(told.bytes),
            Moment::Aside => Hearing::Pass,
        }
    }

    /// Notes what a statement was about: what is reported at the end of a pipeline may be, and what is checked at the end
    /// of a transaction is about what it has written.
    pub(super) fn keep_in_mind(&mut self, execution: &Execution) {
        let exposure = &execution.exposure;
        if exposure.touched().is_empty() && exposure.opaque().is_none() {
            return;
        }
        self.pipelined = Some(self.with(self.pipelined.as_ref(), execution));
        let writes = exposure.touched().iter().any(|exposed| exposed.access == Access::Write);
        if writes || exposure.opaque().is_some() {
            self.written = Some(self.with(self.written.as_ref(), execution));
        }
    }

    fn with(&self, before: Option<&Subject>, execution: &Execution) -> Subject {
        let exposure = match before {
            Some((_, before)) if !Arc::ptr_eq(before, &execution.exposure) => {
                Arc::new(self.mind.merge([&**before, &*execution.exposure]))
            }
            _ => Arc::clone(&execution.exposure),
        };
        (Arc::clone(&execution.understood), exposure)
    }

    /// The server waits for the next command: what ran before is through, but for what is checked at the end of an open
    /// transaction.
    pub(super) fn forget_pipeline(&mut self, is_transaction_over: bool) {
        if is_transaction_over {
            self.written = None;
        }
        self.pipelined.clone_from(&self.written);
    }

    /// A message that belongs to no execution which runs: it gets one that ends with it.
    fn hear_aside(&mut self, mut execution: Box<Execution>, told: &Told) -> Hearing {
        let hearing = self.hear_of(&mut execution, told);
        if let Hearing::Wait(_) = hearing {
            self.aside = Some(execution);
        } else if execution.doors.as_ref().is_some_and(|doors| doors.were_used()) {
            self.statements += 1;
            let ended = if told.door == Door::Error { Ended::Error } else { Ended::Complete };
            self.complete(&mut execution, ended, None, None);
        }
        hearing
    }

    fn hear_of(&mut self, execution: &mut Execution, told: &Told) -> Hearing {
        let Some(exposure) = self.subject(execution) else { return Hearing::Pass };
        let bytes = match &told.content {
            Content::Words => 0,
            Content::Values => told.bytes,
            // Nobody has read the text that these come from, so that any of the client's words may stand for anything.
            Content::Quotes(_) if told.door == Door::Columns => told.bytes,
            Content::Quotes(quotes) => match (self.foreign_bytes(execution, quotes), told.door) {
                (0, _) => 0,
                // Its other words tell what they are about.
                (_, Door::Error | Door::Notice) => told.bytes,
                (foreign, _) => foreign,
            },
        };
        if bytes == 0 {
            return Hearing::Pass;
        }
        if told.door == Door::Error {
            // No row comes any more: what was reserved for some is free for this.
            self.replace_meter(execution);
        }
        if exposure.touched().is_empty() {
            self.hear_unknown(execution, told, bytes)
        } else {
            self.hear_counted(execution, &exposure, told, bytes)
        }
    }

    /// What a message about an execution may hold; `None`: nothing that anybody protects.
    fn subject(&mut self, execution: &mut Execution) -> Option<Arc<Exposure>> {
        if let Some(known) = execution.doors.as_ref().and_then(|doors| doors.exposure.as_ref()) {
            return Some(Arc::clone(known));
        }
        let understood = &execution.understood;
        let binding = Arc::clone(&self.mind.bound().binding);
        let mut about = vec![Arc::clone(&execution.exposure)];
        // What is only prepared or declared is planned all the same.
        for act in understood.analysis.statements.iter().flat_map(|statement| &statement.acts) {
            if let SessionAct::Prepare { body, .. } | SessionAct::DeclareCursor { body, .. } = act {
                about.push(Arc::new(binding.exposure(body)));
            }
        }
        let ends = matches!(understood.verb(), Verb::Transaction | Verb::Session | Verb::Utility);
        about.extend(self.written.iter().filter(|_| ends).map(|(_, exposure)| Arc::clone(exposure)));
        about.retain(|exposure| !exposure.touched().is_empty() || exposure.opaque().is_some());
        let merged = match about.as_slice() {
            [] => return None,
            [only] => Arc::clone(only),
            several => Arc::new(binding.merge(several.iter().map(AsRef::as_ref))),
        };
        let exposure = Arc::new(binding.told(&merged));
        execution.doors.get_or_insert_default().exposure = Some(Arc::clone(&exposure));
        Some(exposure)
    }

    /// Bytes of quotes that are not the client's own words.
    fn foreign_bytes(&self, execution: &Execution, quotes: &[Quote]) -> usize {
        let Some((known, text)) = execution.known.as_ref().and_then(|known| Some((known, known.text.as_deref()?)))
        else {
            return quotes.iter().map(|quote| quote.len()).sum();
        };
        let literals: Vec<Vec<u8>> =
            (0..known.shape.literals.len().min(OWN_LITERALS_MAX)).filter_map(|index| known.literal(index)).collect();
        let is_part =
            |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'$' | b'@') || !byte.is_ascii();
        let mut own: Vec<&[u8]> = text
            .split(|byte| !is_part(byte))
            .filter(|word| !word.is_empty())
            .take(OWN_WORDS_MAX)
            .chain(self.mind.own_words().map(str::as_bytes))
            .collect();
        let columns = self.mind.columns_of(&execution.understood);
        own.extend(columns.iter().map(|column| column.as_bytes()));
        own.sort_unstable_by_key(|word| word.to_ascii_lowercase());
        let is_word = |part: &[u8]| {
            let wanted = part.to_ascii_lowercase();
            own.binary_search_by_key(&wanted, |word| word.to_ascii_lowercase()).is_ok()
        };
        let is_own = |quote: &Quote| match quote {
            Quote::Word(word) => {
                literals.iter().any(|literal| literal == word) || word.split(|byte| *byte == b'.').all(is_word)
            }
            Quote::Rest { text: rest, is_cut } => {
                let end = text.trim_ascii_end();
                let end = end.strip_suffix(b";").unwrap_or(end);
                let rest = rest.strip_suffix(b";").unwrap_or(rest);
                end.ends_with(rest)
                    || (*is_cut && !rest.is_empty() && text.windows(rest.len()).any(|part| part == rest))
            }
        };
        quotes.iter().filter(|quote| !is_own(quote)).map(Quote::len).sum()
    }

    /// A message that may hold values of datasets: charged like a row of its reader's.
    fn hear_counted(&mut self, execution: &mut Execution, exposure: &Exposure, told: &Told, bytes: usize) -> Hearing {
        if let Some(denial) = execution.doors.as_ref().and_then(|doors| doors.withheld.clone()) {
            return self.withhold(execution, told, bytes, &denial);
        }
        let waits_for = execution.doors.as_ref().map_or(0, |doors| doors.waits_for);
        if waits_for > self.mind.shared.recorder.durable() && !self.continues_without_record(execution) {
            return if self.store_failed {
                self.withhold_unrecorded(execution, told, bytes)
            } else {
                Hearing::Wait(waits_for)
            };
        }
        if execution.doors.as_ref().is_none_or(|doors| doors.meter.is_none()) {
            match self.admit_told(execution, exposure) {
                Ok(0) => {}
                Ok(sequence) => return Hearing::Wait(sequence),
                Err(Some(denial)) => return self.withhold(execution, told, bytes, &denial),
                Err(None) => return self.withhold_unrecorded(execution, told, bytes),
            }
        }
        let now = self.mind.shared.budgets.clock().now();
        let row_bytes = [u32::try_from(bytes).unwrap_or(u32::MAX)];
        let batch = RowBatch { keys: &[], row_bytes: &row_bytes };
        loop {
            let Some(meter) = execution.doors.as_mut().and_then(|doors| doors.meter.as_mut()) else {
                // Nothing is counted for this person.
                return self.pass(execution, told, bytes);
            };
            let (charge, extended) = {
                let mut ledger = budgets::lock(&self.ledger);
                let charge = meter.charge(&mut ledger, &batch, now);
                let extended = matches!(charge.then, Then::Extend).then(|| meter.extend(&mut ledger, now));
                (charge, extended)
            };
            for alert in &charge.alerts {
                self.tell(execution, alert);
            }
            match (charge.then, extended) {
                (Then::All, _) => return self.pass(execution, told, bytes),
                (Then::Cut(denial), _) | (Then::Extend, Some(Err(denial))) => {
                    return self.withhold(execution, told, bytes, &denial);
                }
                (Then::Extend, Some(Ok(leases))) => {
                    match self.record_leases(execution, &leases, Vec::new(), true, true) {
                        Ok(sequence) if sequence > self.mind.shared.recorder.durable() => {
                            execution.doors.get_or_insert_default().waits_for = sequence;
                            return Hearing::Wait(sequence);
                        }
                        Ok(_) => {}
                        Err(error) if self.continues_without_record(execution) => {
                            self.mind.shared.recorder.lose("lease", &error);
                        }
                        Err(_) => return self.withhold_unrecorded(execution, told, bytes),
                    }
                }
                (Then::Extend, None) => return self.withhold_unrecorded(execution, told, bytes),
            }
        }
    }

    /// Admits somebody as a reader of what messages may hold; returns a record to wait for, 0 for none.
    ///
    /// # Errors
    /// The denial; nothing when there can be no record.
    fn admit_told(&mut self, execution: &mut Execution, exposure: &Exposure) -> Result<u64, Option<Denial>> {
        let moment = self.mind.shared.budgets.clock().moment();
        let verdict = {
            let mut ledger = budgets::lock(&self.ledger);
            execution.in_force.set.admit(&self.mind.who, exposure, &mut ledger, &moment)
        };
        // What was told of the statement is not told again of its words.
        let is_known = |basis: &Basis| {
            let same = |known: &&Basis| known.rule == basis.rule && known.dataset == basis.dataset;
            execution.basis.iter().find(same).is_some_and(|known| known.outcome == basis.outcome)
        };
        let speaks = reads(execution);
        let alerts: Vec<Alert> = verdict.alerts.into_iter().filter(|alert| speaks && !is_known(&alert.basis)).collect();
        execution.basis.extend(verdict.basis);
        for alert in &alerts {
            self.tell(execution, alert);
        }
        let permit = match verdict.decision {
            Decision::Allow(permit) => permit,
            Decision::Deny(denial) => return Err(Some(denial)),
        };
        let Some(meter) = permit.meter else { return Ok(0) };
        let leases = meter.lease();
        execution.doors.get_or_insert_default().meter = Some(meter);
        let more = execution.admitted;
        match self.record_leases(execution, &leases, Vec::new(), true, more) {
            Ok(sequence) => {
                execution.doors.get_or_insert_default().waits_for = sequence;
                Ok(if sequence > self.mind.shared.recorder.durable() { sequence } else { 0 })
            }
            Err(error) if self.continues_without_record(execution) => {
                self.mind.shared.recorder.lose("admission", &error);
                Ok(0)
            }
            Err(_) => Err(None),
        }
    }

    /// A message of a statement of which nobody knows what it touches.
    fn hear_unknown(&mut self, execution: &mut Execution, told: &Told, bytes: usize) -> Hearing {
        if let Some(denial) = execution.doors.as_ref().and_then(|doors| doors.withheld.clone()) {
            return self.withhold(execution, told, bytes, &denial);
        }
        match self.spend(told.door, bytes) {
            Ok(charge) => {
                execution.charged.extend(charge);
                self.pass(execution, told, bytes)
            }
            Err(denial) => self.withhold(execution, told, bytes, &denial),
        }
    }

    /// A notification, which somebody else may have sent.
    fn notified(&mut self, bytes: usize) -> Hearing {
        if bytes <= NOTIFICATION_BYTES_FREE {
            return Hearing::Pass;
        }
        match self.spend(Door::Notification, bytes) {
            Ok(charge) => {
                // One line for each door, however long nothing else is recorded of the session.
                if let Some(charge) = charge {
                    match self.spent.iter_mut().find(|known| known.dataset == charge.dataset) {
                        Some(known) => {
                            known.rows = known.rows.saturating_add(charge.rows);
                            known.bytes = known.bytes.saturating_add(charge.bytes);
                        }
                        None => self.spent.push(charge),
                    }
                }
                Hearing::Pass
            }
            Err(denial) => {
                if !std::mem::replace(&mut self.is_notification_withheld, true) {
                    let message = format!("payloads of notifications are withheld: {}", denial.message);
                    self.mind.alert_aside(&Alert { kind: AlertKind::Withheld, message, basis: denial.basis.clone() });
                }
                Hearing::Instead(withheld("is empty", &denial.message))
            }
        }
    }

    /// Charges a door's own budget; what to record of it.
    ///
    /// # Errors
    /// It is used up.
    fn spend(&mut self, door: Door, bytes: usize) -> Result<Option<Charge>, Denial> {
        let moment = self.mind.shared.budgets.clock().moment();
        let wall = u64::try_from(moment.wall).unwrap_or(0);
        let in_force = Arc::clone(&self.mind.bound().in_force);
        if !in_force.set.budgets(&self.mind.who, wall) {
            return Ok(None);
        }
        let account = format!("({}s)", words::door(door));
        let bytes = u64::try_from(bytes).unwrap_or(u64::MAX);
        let limit = allowance(door);
        let mut ledger = budgets::lock(&self.ledger);
        let before = ledger.used(&account, Window::Hour, Unit::Bytes, moment.now);
        let after = before.saturating_add(bytes);
        if after > limit {
            let basis = Basis {
                rule: DOORS_RULE.into(),
                dataset: Some(account.as_str().into()),
                window: Some(Window::Hour),
                unit: Unit::Bytes.into(),
                limit,
                before,
                after: before,
                outcome: Came::Refused,
            };
            let door = words::door(door);
            return Err(Denial { message: format!("{limit} bytes of {door}s per hour are used up"), basis });
        }
        ledger.replay(&Replay { dataset: &account, at: moment.now, keys: &[], unkeyed: 0, rows: 1, bytes });
        Ok(Some(Charge {
            relation: account.clone(),
            dataset: account,
            keys: String::new(),
            unkeyed: 0,
            rows: 1,
            bytes,
        }))
    }

    /// Keeps a message back; told once for each statement.
    fn withhold(&mut self, execution: &mut Execution, told: &Told, bytes: usize, denial: &Denial) -> Hearing {
        let doors = execution.doors.get_or_insert_default();
        doors.kept(told.door, bytes);
        let exposure = doors.exposure.clone();
        let is_first = doors.withheld.is_none();
        if is_first {
            doors.withheld = Some(denial.clone());
            execution.basis.push(denial.basis.clone());
            if reads(execution) {
                let reference = self.mind.reference();
                execution.reference.get_or_insert(reference);
                let message = format!("a message of the server was withheld: {}", denial.message);
                let alert = Alert { kind: AlertKind::Withheld, message, basis: denial.basis.clone() };
                self.tell(execution, &alert);
            }
        }
        match told.door {
            Door::Error | Door::Notice if told.trims => Hearing::Trim,
            Door::Notice if !is_first => Hearing::Nothing,
            _ => {
                let about = exposure.as_deref().map_or_else(String::new, datasets);
                let why = match &execution.reference {
                    Some(reference) => format!("{} (reference {reference})", denial.message),
                    None => denial.message.clone(),
                };
                Hearing::Instead(withheld(&format!("is withheld: it may hold values of {about}"), &why))
            }
        }
    }

    fn withhold_unrecorded(&mut self, execution: &mut Execution, told: &Told, bytes: usize) -> Hearing {
        execution.doors.get_or_insert_default().kept(told.door, bytes);
        let refusal = self.without_record(&execution.id);
        Hearing::Instead(withheld("is withheld", &refusal.message))
    }

    /// Settles what was told of an execution.
    pub(super) fn settle_doors(&mut self, execution: &mut Execution) {
        if let Some(meter) = execution.doors.as_mut().and_then(|doors| doors.meter.take()) {
            self.settle_meter(execution, meter);
        }
    }

    fn pass(&mut self, execution: &mut Execution, told: &Told, bytes: usize) -> Hearing {
        execution.doors.get_or_insert_default().left(told.door, bytes);
        Hearing::Pass
    }
}

/// What the client reads in place of a message.
fn withheld(what: &str, why: &str) -> Refusal {
    Refusal::new(
        super::telling::DENIED,
        format!("the server's message {what}"),
        format!("its code is the server's own; {why}"),
    )
}

/// Whether a statement reads what it touches. One that only writes meets a key that is taken, or a check: that is nothing
/// to look at, whatever its message holds.
fn reads(execution: &Execution) -> bool {
    let touched = execution.exposure.touched();
    touched.is_empty() || touched.iter().any(|exposed| matches!(exposed.access, Access::Read | Access::Export))
}

/// Datasets in words.
fn datasets(exposure: &Exposure) -> String {
    let mut names: Vec<String> = exposure.touched().iter().map(|exposed| format!("`{}`", exposed.dataset)).collect();
    names.sort_unstable();
    names.dedup();
    if names.is_empty() { "anything sensitive".to_owned() } else { names.join(", ") }
}
