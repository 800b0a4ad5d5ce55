//! What a line tells the extraction that its dataset is taken out by.

use super::line::Line;
use crate::budget::Amounts;
use crate::extraction::{Extractions, Fresh, Manner, Step, Taken};
use crate::ledger::LedgerTime;
use crate::relation::RelationId;

/// What an execution knows of the extraction that it is part of.
#[derive(Clone, Debug)]
pub(super) struct Stitch {
    /// Rows of the relations, as far as they are known.
    tables: Vec<(RelationId, u64)>,
    pub(super) manner: Manner,
    /// It has let something out.
    has_taken: bool,
    /// Records that it took, as the present stretch tells them apart.
    taken: u64,
}

impl Stitch {
    pub(super) fn new(tables: Vec<(RelationId, u64)>, manner: Manner) -> Stitch {
        Stitch { tables, manner, has_taken: false, taken: 0 }
    }
}

impl Line {
    /// Rows are about to leave.
    pub(super) fn begin_taking(&mut self, extractions: &mut Extractions, now: LedgerTime) {
        if self.extraction.is_some() {
            self.since = extractions.begin(&self.dataset, now);
        }
    }

    /// Records that were new, by relation, and rows have left.
    pub(super) fn take(
        &mut self,
        fresh: &[(&RelationId, Fresh)],
        traffic: Amounts,
        extractions: &mut Extractions,
        now: LedgerTime,
    ) {
        let records = fresh.iter().fold(0_u64, |sum, (_, fresh)| sum.saturating_add(fresh.stretch));
        let any = records > 0 || fresh.iter().any(|(_, fresh)| fresh.extraction > 0) || traffic.rows > 0;
        let Some(stitch) = self.extraction.as_mut().filter(|_| any) else { return };
        // What is charged at admission has not begun anything yet.
        extractions.begin(&self.dataset, now);
        let rows_of = |relation: &RelationId| {
            stitch.tables.iter().find(|(known, _)| known == relation).map_or(0, |(_, rows)| *rows)
        };
        let steps: Vec<Step<'_>> = fresh
            .iter()
            .map(|(relation, fresh)| Step { relation, table_rows: rows_of(relation), fresh: *fresh })
            .collect();
        let statements = u64::from(!stitch.has_taken);
        let taken = Taken { statements, records: 0, rows: traffic.rows, bytes: traffic.bytes };
        extractions.take(&self.dataset, &steps, stitch.manner, taken, now);
        stitch.has_taken = true;
        stitch.taken = stitch.taken.saturating_add(records);
    }

    /// The execution is over.
    pub(super) fn end_taking(&self, extractions: &mut Extractions) {
        if let Some(stitch) = &self.extraction
            && stitch.manner == Manner::Bulk
            && stitch.has_taken
            && self.released.records <= 1
        {
            extractions.was_single(&self.dataset, stitch.taken);
        }
    }
}
