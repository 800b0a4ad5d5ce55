//! What an execution is part of: the extraction of its person, told with alerts and in records, and the portal or cursor
//! that it takes a piece of.

use std::rc::Rc;
use std::sync::Arc;

use weir_audit_store::event::Extraction;
use weir_policy::extraction::Manner;
use weir_policy::meter::Carried;
use weir_policy::relation::Engine;
use weir_policy::statement::SessionAct;
use weir_policy::verdict::{Alert, Denial};
use weir_wire::{Outcome, Values};

use super::Gate;
use crate::audit::words;
use crate::budgets;
use crate::session::execution::{Execution, Known};

/// Portals and cursors of one session that are remembered while they are fetched in pieces. Drivers keep one or two; the
/// one that was fetched longest ago starts anew.
const PIECES_MAX: usize = 16;

/// A binding of which nothing is known.
#[derive(Debug)]
pub(super) struct Unseen;

impl Values for Unseen {
    fn canonical(&self, _parameter: usize, _out: &mut Vec<u8>) -> bool {
        false
    }

    fn put_all(&self, _out: &mut Vec<u8>) -> bool {
        false
    }
}

/// What is fetched in pieces.
#[derive(Clone, Debug)]
pub enum Piece {
    /// A portal, by its binding.
    Portal(Arc<dyn Values>),
    /// The cursor of a prepared statement.
    Statement(Rc<Known>),
    /// A cursor that SQL names.
    Cursor(String),
}

impl Piece {
    fn is(&self, other: &Piece) -> bool {
        match (self, other) {
            (Piece::Portal(one), Piece::Portal(other)) => Arc::ptr_eq(one, other),
            (Piece::Statement(one), Piece::Statement(other)) => Rc::ptr_eq(one, other),
            (Piece::Cursor(one), Piece::Cursor(other)) => one == other,
            _ => false,
        }
    }
}

/// Pieces so far, the one fetched last at the end.
#[derive(Debug, Default)]
pub(super) struct Pieces(Vec<(Piece, Carried)>);

impl Pieces {
    fn take(&mut self, piece: &Piece) -> Option<Carried> {
        let place = self.0.iter().position(|(known, _)| known.is(piece))?;
        Some(self.0.remove(place).1)
    }

    fn knows(&self, piece: &Piece) -> bool {
        self.0.iter().any(|(known, _)| known.is(piece))
    }

    fn keep(&mut self, piece: Piece, carried: Carried) {
        self.take(&piece);
        if self.0.len() >= PIECES_MAX {
            self.0.remove(0);
        }
        self.0.push((piece, carried));
    }
}

/// The piece that a text fetches, when it is one FETCH.
pub(super) fn fetched(execution: &Execution) -> Option<Piece> {
    let [statement] = execution.understood.analysis.statements.as_slice() else { return None };
    let name = statement.acts.iter().find_map(|act| match act {
        SessionAct::Fetch { name } => Some(name.clone()),
        _ => None,
    });
    name.map(Piece::Cursor)
}

impl Gate {
    /// Goes on where the piece before has ended: all of them are one statement.
    pub(super) fn resume(&mut self, execution: &mut Execution) {
        let Some(piece) = &execution.piece else { return };
        let carried = self.pieces.take(piece);
        let Some(meter) = &mut execution.meter else { return };
        meter.set_manner(Manner::Cursor);
        if let Some(carried) = carried {
            meter.resume(carried);
        }
    }

    /// Remembers what the piece took, where another may follow; and forgets cursors that begin anew.
    pub(super) fn suspend(&mut self, execution: &Execution, outcome: &Outcome) {
        for statement in &execution.understood.analysis.statements {
            for act in &statement.acts {
                match act {
                    SessionAct::DeclareCursor { name, .. } | SessionAct::CloseCursor { name: Some(name) } => {
                        self.pieces.take(&Piece::Cursor(name.clone()));
                    }
                    SessionAct::CloseCursor { name: None } | SessionAct::Discard { all: true } => {
                        self.pieces.0.retain(|(piece, _)| !matches!(piece, Piece::Cursor(_)));
                    }
                    _ => {}
                }
            }
        }
        let (Some(piece), Some(meter)) = (&execution.piece, &execution.meter) else { return };
        let goes_on = match piece {
            Piece::Portal(_) => *outcome == Outcome::Suspended,
            Piece::Statement(_) | Piece::Cursor(_) => matches!(outcome, Outcome::Complete(_) | Outcome::Suspended),
        };
        if goes_on {
            self.pieces.keep(piece.clone(), meter.carry());
        }
    }

    /// Tells of an alert, unless the same was told a moment ago: then when it has happened twice as often.
    pub(super) fn tell(&mut self, execution: &Execution, alert: &Alert) {
        let now = self.mind.shared.budgets.clock().now();
        let (telling, view) = {
            let mut ledger = budgets::lock(&self.ledger);
            let view = alert.basis.dataset.as_ref().and_then(|dataset| ledger.extractions().view(dataset));
            (ledger.tell(alert, now), view)
        };
        if let Some(telling) = telling {
            let extraction = view.as_ref().and_then(words::extraction);
            self.mind.alert(execution, alert, telling.times, extraction);
        }
    }

    /// What a message that runs something bound is a piece of, if it is one.
    pub(super) fn piece_of(
        &mut self,
        known: &Rc<Known>,
        values: Option<&Arc<dyn Values>>,
        rows_max: u32,
    ) -> Option<Piece> {
        match self.mind.engine() {
            Engine::Postgres => {
                let portal = values.cloned().map(Piece::Portal);
                portal.filter(|piece| rows_max > 0 || self.pieces.knows(piece))
            }
            Engine::Mysql if rows_max > 0 => Some(Piece::Statement(Rc::clone(known))),
            Engine::Mysql => {
                // Executed anew, its cursor begins anew.
                self.pieces.take(&Piece::Statement(Rc::clone(known)));
                None
            }
        }
    }

    /// The extraction of the dataset that a denial is about, as it stands.
    pub(super) fn standing(&self, denial: &Denial) -> Vec<Extraction> {
        let Some(dataset) = &denial.basis.dataset else { return Vec::new() };
        let ledger = budgets::lock(&self.ledger);
        ledger.extractions().view(dataset).as_ref().and_then(words::extraction).into_iter().collect()
    }

    /// The extractions of datasets that the execution has let something out of, as they stand.
    pub(super) fn taken(&self, execution: &Execution) -> Vec<Extraction> {
        if execution.takes_from.is_empty() || !execution.took() {
            return Vec::new();
        }
        let ledger = budgets::lock(&self.ledger);
        let view = |dataset: &Arc<str>| ledger.extractions().view(dataset).as_ref().and_then(words::extraction);
        execution.takes_from.iter().filter_map(view).collect()
    }
}
