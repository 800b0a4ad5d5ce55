//! Rows that are to leave: held against the analysis, charged one by one, released or cut.
//!
//! What must never happen here: a row that leaves before it is charged, or before the record that says so is durable.

use std::sync::Arc;

use weir_policy::exposure::Exposure;
use weir_policy::meter::{LeaseLine, Meter, RowBatch, Then};
use weir_policy::verdict::{Denial, Outcome as Came};
use weir_wire::Shape;
use weir_wire::step::Running;

use super::telling::refusal;
use super::{Gate, Release};
use crate::audit::words;
use crate::budgets;
use crate::session::SessionEngine;
use crate::session::execution::{Execution, KeyPlan};
use crate::telemetry;

impl Gate {
    /// Rows that are to leave.
    pub fn release<E: SessionEngine>(
        &mut self,
        running: Running<'_, Execution, E::Shape>,
        bytes: &[u8],
        rows: usize,
    ) -> Release {
        let execution = running.execution;
        if execution.waits_for > self.mind.shared.recorder.durable() && !self.continues_without_record(execution) {
            if !self.store_failed {
                return Release::Part { bytes: 0, wait: execution.waits_for };
            }
            return self.cut_without_record(execution, 0);
        }
        if execution.reviewed != Some(running.index) {
            let shape = running.shape.map(|shape| Arc::clone(shape) as Arc<dyn Shape>);
            match self.review(execution, shape, running.index) {
                Ok(0) => {}
                Ok(wait) => {
                    execution.waits_for = wait;
                    return Release::Part { bytes: 0, wait };
                }
                Err(Some(denial)) => return self.cut(execution, 0, denial),
                Err(None) => return self.cut_without_record(execution, 0),
            }
        }
        if execution.meter.is_none() {
            add(&mut execution.rows, rows);
            add(&mut execution.bytes, bytes.len());
            return Release::All;
        }
        self.charge::<E>(execution, bytes)
    }

    /// Compares the server's description with the analysis and says what to count; returns a record to wait for.
    ///
    /// # Errors
    /// The denial when the server names what may not leave; nothing when that cannot be recorded.
    pub(super) fn review(
        &mut self,
        execution: &mut Execution,
        shape: Option<Arc<dyn Shape>>,
        index: usize,
    ) -> Result<u64, Option<Denial>> {
        let origins = shape.as_ref().map_or_else(Vec::new, |shape| self.mind.origins(&**shape));
        let bound = self.mind.bound();
        let binding = Arc::clone(&bound.binding);
        let mut wait = 0;
        if execution.wants_shape
            && let Some(tightened) = binding.tighten(&execution.exposure, &origins)
        {
            tracing::info!(statement = %execution.id, "the server's description names more than the text showed");
            self.replace_meter(execution);
            execution.exposure = Arc::new(tightened);
            match self.decide(execution) {
                Ok(Ok(sequence)) => wait = sequence,
                Ok(Err(error)) if self.continues_without_record(execution) => {
                    self.mind.shared.recorder.lose("admission", &error);
                }
                Ok(Err(_)) => return Err(None),
                Err(mut denial) => {
                    denial.basis.outcome = Came::Cut;
                    return Err(Some(denial));
                }
            }
        }
        execution.reviewed = Some(index);
        if execution.may_be_elsewhere() && self.mind.is_elsewhere(&origins) {
            self.replace_meter(execution);
        }
        if execution.meter.is_some() {
            let part = part(execution, index);
            let lanes = binding.lanes(&part, &origins);
            let tenants = binding.tenant_places(&part, &origins);
            execution.plan = KeyPlan::new(&lanes, &tenants, shape, execution, &self.mind.shared.budgets);
            if let Some(meter) = &mut execution.meter {
                meter.set_lanes(lanes);
            }
        }
        Ok(if wait > self.mind.shared.recorder.durable() { wait } else { 0 })
    }

    /// Settles the meter of an execution that is admitted anew.
    pub(super) fn replace_meter(&mut self, execution: &mut Execution) {
        if let Some(meter) = execution.meter.take() {
            self.settle_meter(execution, meter);
        }
    }

    /// Gives back what a meter has reserved; what it has charged is the execution's.
    pub(super) fn settle_meter(&mut self, execution: &mut Execution, mut meter: Meter) {
        execution.charged.extend(words::charges(&meter.take_charged()));
        let now = self.mind.shared.budgets.clock().now();
        let settlement = meter.settle(&mut budgets::lock(&self.ledger), now);
        execution.settled.extend(settlement.lines);
    }

    /// Charges the rows one by one, as far as leases and limits allow.
    pub(super) fn charge<E: SessionEngine>(&mut self, execution: &mut Execution, bytes: &[u8]) -> Release {
        self.keys.clear();
        self.row_bytes.clear();
        let reads = execution.plan.reads_rows();
        let mut keys = std::mem::take(&mut self.keys);
        for row in rows::<E>(bytes) {
            self.row_bytes.push(u32::try_from(row.len()).unwrap_or(u32::MAX));
            execution.plan.keys_of(if reads { row } else { &[] }, &mut keys);
        }
        self.keys = keys;
        let trapped = self.trap(execution);
        if let Some((rows, _)) = &trapped {
            self.row_bytes.truncate(*rows);
            self.keys.truncate(rows.saturating_mul(execution.plan.width()));
        }
        let Some(meter) = &mut execution.meter else { return Release::All };
        let now = self.mind.shared.budgets.clock().now();
        let batch = RowBatch { keys: &self.keys, row_bytes: &self.row_bytes };
        let (charge, extended) = {
            let mut ledger = budgets::lock(&self.ledger);
            let charge = meter.charge(&mut ledger, &batch, now);
            let extended = match &charge.then {
                Then::Extend => Some(meter.extend(&mut ledger, now)),
                _ => None,
            };
            (charge, extended)
        };
        let released: usize = self.row_bytes.iter().take(charge.rows).map(|bytes| *bytes as usize).sum();
        add(&mut execution.rows, charge.rows);
        add(&mut execution.bytes, released);
        if execution.plan.has_tenants() {
            for row in rows::<E>(bytes).take(charge.rows) {
                execution.plan.tenants_of(row, &mut execution.tenants);
            }
        }
        for alert in &charge.alerts {
            self.tell(execution, alert);
        }
        match (charge.then, extended) {
            (Then::All, _) => match trapped {
                Some((_, denial)) => self.cut(execution, released, denial),
                None => Release::All,
            },
            (Then::Cut(denial), _) | (Then::Extend, Some(Err(denial))) => self.cut(execution, released, denial),
            (Then::Extend, Some(Ok(leases))) => self.extended(execution, released, &leases),
            (Then::Extend, None) => self.cut_without_record(execution, released),
        }
    }

    /// Records a lease that was extended; its rows wait until that is durable.
    pub(super) fn extended(&mut self, execution: &mut Execution, released: usize, leases: &[LeaseLine]) -> Release {
        let charged = execution.meter.as_mut().map(|meter| meter.take_charged()).unwrap_or_default();
        match self.record_leases(execution, leases, charged, true, true) {
            Ok(wait) => {
                execution.waits_for = wait;
                Release::Part { bytes: released, wait }
            }
            Err(error) if self.continues_without_record(execution) => {
                self.mind.shared.recorder.lose("lease", &error);
                // Nothing to wait for: the rest is charged with the next look at it.
                Release::Part { bytes: released, wait: 0 }
            }
            Err(_) => self.cut_without_record(execution, released),
        }
    }

    pub(super) fn cut(&mut self, execution: &mut Execution, bytes: usize, denial: Denial) -> Release {
        let reference = self.mind.reference();
        execution.reference = Some(reference.clone());
        telemetry::cut(&denial.basis.rule);
        self.tell(execution, &denial.alert());
        let asking = self.ask_approval(execution, &denial);
        let refusal = refusal(&denial, &reference, asking.as_ref());
        execution.cut = Some(denial);
        Release::Cut { bytes, refusal }
    }

    pub(super) fn cut_without_record(&mut self, execution: &mut Execution, bytes: usize) -> Release {
        Release::Cut { bytes, refusal: self.without_record(&execution.id) }
    }
}

/// What one result of a text exposes. Where the parts cannot be told apart, all of it.
fn part(execution: &Execution, index: usize) -> Arc<Exposure> {
    // After a review only the whole is up to date.
    let untouched = Arc::ptr_eq(&execution.exposure, &execution.understood.merged);
    match execution.understood.exposures.get(index) {
        Some(part) if untouched && execution.understood.exposures.len() > 1 => Arc::clone(part),
        _ => Arc::clone(&execution.exposure),
    }
}

/// The rows of a run, each as it travels.
fn rows<E: SessionEngine>(mut bytes: &[u8]) -> impl Iterator<Item = &[u8]> {
    std::iter::from_fn(move || {
        let (row, rest) = bytes.split_at_checked(E::row_len(bytes)?)?;
        bytes = rest;
        Some(row)
    })
}

fn add(counter: &mut u64, amount: usize) {
    *counter = counter.saturating_add(u64::try_from(amount).unwrap_or(u64::MAX));
}
