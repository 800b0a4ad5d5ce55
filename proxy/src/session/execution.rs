//! A text that Weir has read, and one run of it from its admission to its end.

mod doors;

use std::cell::{Cell, RefCell};
use std::collections::BTreeSet;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Instant;

use weir_audit_store::event::{Charge, Observed, Question};
use weir_policy::analysis::{LexSettings, Shape, literal_value};
use weir_policy::detect::PARTS_MAX;
use weir_policy::exposure::{Exposed, Exposure, Lane, LaneKey, Manner, TenantPlace};
use weir_policy::ledger::RecordKey;
use weir_policy::meter::{Meter, SettledLine};
use weir_policy::relation::RelationId;
use weir_policy::statement::{Access, Coverage, Operand};
use weir_policy::verdict::{Basis, Denial};
use weir_wire::{Shape as Columns, Values};

use super::gate::{Asks, Piece};
use crate::analyses::{Terms, Understood};
use crate::budgets::{Budgets, KeyHasher};
use crate::canaries::{Trap, Traps};
use crate::policies::InForce;

pub use doors::{Doors, Through};

/// Longest text of a prepared statement that is kept to be understood again under another policy or catalog. The parser
/// reads no text that is nearly as long.
const TEXT_BYTES_KEPT: usize = 1 << 20;
/// All such texts of one session together. What is beyond is understood as long as nothing changes, and opaque then.
const TEXTS_BYTES_KEPT: usize = 8 << 20;

/// Bytes of texts that one session keeps.
pub type KeptBytes = Rc<Cell<usize>>;

/// A share of what a session keeps; given back when the text goes.
#[derive(Debug)]
struct Share(KeptBytes, usize);

impl Drop for Share {
    fn drop(&mut self) {
        self.0.set(self.0.get().saturating_sub(self.1));
    }
}

/// A text, read.
#[derive(Debug)]
pub struct Known {
    /// The text; `None` when it is too long to be kept.
    pub text: Option<Box<[u8]>>,
    /// Its length, bytes.
    pub len: usize,
    /// SHA-256 of the full text.
    pub sha256: [u8; 32],
    /// Its shape.
    pub shape: Shape,
    /// Lexical settings that the shape was made under.
    pub lex: LexSettings,
    /// Of a prepared statement that keeps what was in force then: that.
    pub prepared_under: Option<Vec<Terms>>,
    _share: Option<Share>,
    /// What it was last understood as, and under which state of the session.
    pub last: RefCell<Option<(u64, Arc<Understood>)>>,
}

impl Known {
    /// Reads a text; it counts against what its session keeps.
    pub fn new(text: &[u8], shape: Shape, lex: LexSettings, kept_bytes: &KeptBytes) -> Known {
        let mut sha256 = [0; 32];
        sha256.copy_from_slice(aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, text).as_ref());
        let kept = text.len() <= TEXT_BYTES_KEPT && kept_bytes.get().saturating_add(text.len()) <= TEXTS_BYTES_KEPT;
        let share = kept.then(|| {
            kept_bytes.set(kept_bytes.get() + text.len());
            Share(Rc::clone(kept_bytes), text.len())
        });
        Known {
            text: kept.then(|| text.into()),
            len: text.len(),
            sha256,
            shape,
            lex,
            prepared_under: None,
            _share: share,
            last: RefCell::new(None),
        }
    }

    /// Whether the text names LAST_INSERT_ID, which with an argument sets the number in MySQL's OK.
    /// <https://dev.mysql.com/doc/refman/en/information-functions.html#function_last-insert-id>
    pub fn sets_insert_id(&self) -> bool {
        const NAME: &[u8] = b"last_insert_id";
        let named = |text: &[u8]| text.windows(NAME.len()).any(|part| part.eq_ignore_ascii_case(NAME));
        self.text.as_deref().is_none_or(named)
    }

    /// The value of a literal of the text.
    pub fn literal(&self, index: usize) -> Option<Vec<u8>> {
        let literal = self.shape.literals.get(index)?;
        literal_value(self.text.as_deref()?, literal, self.lex).map(|value| value.into_owned())
    }
}

/// What the engine stores under a statement's name.
#[derive(Clone, Debug)]
pub struct Handle(pub Rc<Known>);

impl weir_wire::Prepared for Handle {
    fn wants_values(&self) -> bool {
        self.0.last.borrow().as_ref().is_some_and(|(_, understood)| understood.wants_values())
    }

    fn may_compute(&self) -> bool {
        self.0.last.borrow().as_ref().is_none_or(|(_, understood)| understood.may_compute())
    }
}

/// One execution.
#[derive(Debug)]
pub struct Execution {
    /// Binds its records together.
    pub id: String,
    /// The text; `None` where Weir never saw one.
    pub known: Option<Rc<Known>>,
    /// What it was understood as.
    pub understood: Arc<Understood>,
    /// What it exposes, as it was admitted.
    pub exposure: Arc<Exposure>,
    /// The policy that decided.
    pub in_force: Arc<InForce>,
    /// Counts what leaves; `None` when there is nothing to count.
    pub meter: Option<Meter>,
    /// Where the keys of the present result are.
    pub plan: KeyPlan,
    /// Values of the binding, for keys that parameters pin.
    pub values: Option<Arc<dyn Values>>,
    /// The portal or cursor that it takes a piece of.
    pub piece: Option<Piece>,
    /// What it asks of values that do not leave.
    pub asks: Option<Asks>,
    /// The same, not recorded yet.
    pub questions: Vec<Question>,
    /// What it tells of how its person works, not recorded yet.
    pub observed: Option<Observed>,
    /// It was looked at before it ran.
    pub is_observed: bool,
    /// Tenants whose rows left.
    pub tenants: BTreeSet<(Arc<str>, u64)>,
    /// Datasets whose records are counted.
    pub takes_from: Vec<Arc<str>>,
    /// Later messages wait for its end.
    pub holds: bool,
    /// The server is asked what the result holds.
    pub wants_shape: bool,
    /// The statement asks for a file of the client, and the operator lets it.
    pub loads_local: bool,
    /// Result whose description was compared with the analysis.
    pub reviewed: Option<usize>,
    /// Rows that left.
    pub rows: u64,
    /// Bytes of rows that left.
    pub bytes: u64,
    /// Record that must be durable before more rows leave.
    pub waits_for: u64,
    /// Whether it has an admission record.
    pub admitted: bool,
    /// Why it was cut.
    pub cut: Option<Denial>,
    /// Reasons of its verdict.
    pub basis: Vec<Basis>,
    /// Of meters that a review replaced.
    pub settled: Vec<SettledLine>,
    /// Of meters that a review replaced, not recorded yet.
    pub charged: Vec<Charge>,
    /// When it was judged.
    pub started: Instant,
    /// Reference that the client was shown.
    pub reference: Option<String>,
    /// Relations of the session's own that it copies into.
    pub own_copies: Vec<String>,
    /// Names of its results, or the number in MySQL's OK, may be computed.
    pub computes: bool,
    /// What it has told by other doors than rows; `None` while it has told nothing that anybody protects.
    pub doors: Option<Box<Doors>>,
}

impl weir_wire::Execution for Execution {
    fn streams(&self) -> bool {
        self.meter.is_none() && (self.reviewed.is_some() || !self.wants_shape)
    }

    fn wants_shape(&self) -> bool {
        self.wants_shape
    }

    fn holds(&self) -> bool {
        self.holds
    }

    fn may_load_local(&self) -> bool {
        self.loads_local
    }

    fn may_compute(&self) -> bool {
        self.computes
    }
}

/// How the keys of a result's rows are found.
#[derive(Debug, Default)]
pub struct KeyPlan {
    lanes: Vec<LaneKeys>,
    /// Columns that any lane reads.
    positions: Vec<usize>,
    shape: Option<Arc<dyn Columns>>,
    /// Dataset and relation of each lane.
    names: Vec<(Arc<str>, RelationId)>,
    /// Canaries of each lane's relation.
    traps: Vec<Option<Arc<Traps>>>,
    tenants: Vec<(Arc<str>, LaneKeys)>,
}

#[derive(Debug)]
enum LaneKeys {
    /// Every row's key is this.
    Fixed(RecordKey),
    /// These of the plan's columns, behind the relation.
    Read(Box<KeyHasher>, Vec<usize>),
}

impl std::fmt::Debug for KeyHasher {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("KeyHasher")
    }
}

impl KeyPlan {
    /// The plan for these lanes of a result of this shape.
    pub fn new(
        lanes: &[Lane],
        tenants: &[TenantPlace],
        shape: Option<Arc<dyn Columns>>,
        execution: &Execution,
        budgets: &Budgets,
    ) -> KeyPlan {
        let mut plan = KeyPlan { shape, ..KeyPlan::default() };
        for lane in lanes {
            let keys = plan.keys(&lane.key, budgets.record_key(&lane.relation), execution);
            plan.lanes.push(keys);
            plan.traps.push(execution.in_force.canaries.of(&lane.dataset, &lane.relation, budgets));
            plan.names.push((lane.dataset.clone(), lane.relation.clone()));
        }
        for tenant in tenants {
            let keys = plan.keys(&tenant.key, budgets.tenant_key(&tenant.dataset), execution);
            plan.tenants.push((tenant.dataset.clone(), keys));
        }
        plan
    }

    fn keys(&mut self, key: &LaneKey, hasher: KeyHasher, execution: &Execution) -> LaneKeys {
        match key {
            LaneKey::Unkeyed => LaneKeys::Fixed(RecordKey::NONE),
            LaneKey::Pinned(operands) => LaneKeys::Fixed(execution.pinned(hasher, operands)),
            LaneKey::Columns(positions) => self.reads(hasher, positions),
        }
    }

    fn reads(&mut self, hasher: KeyHasher, positions: &[usize]) -> LaneKeys {
        let columns = self.shape.as_ref().map_or(0, |shape| shape.columns());
        if positions.iter().any(|position| *position >= columns) {
            return LaneKeys::Fixed(RecordKey::NONE);
        }
        let first = self.positions.len();
        self.positions.extend_from_slice(positions);
        LaneKeys::Read(Box::new(hasher), (first..self.positions.len()).collect())
    }

    /// Appends the keys of one row, given as it travels; a row without a key has [`RecordKey::NONE`].
    pub fn keys_of(&self, row: &[u8], keys: &mut Vec<RecordKey>) {
        let mut values = Vec::new();
        let shape = self.shape.as_ref().filter(|shape| shape.values_at(row, &self.positions, &mut values));
        let mut text = Vec::new();
        for lane in &self.lanes {
            keys.push(self.key_of(lane, shape, &values, &mut text));
        }
    }

    fn key_of(
        &self,
        lane: &LaneKeys,
        shape: Option<&Arc<dyn Columns>>,
        values: &[Option<&[u8]>],
        text: &mut Vec<u8>,
    ) -> RecordKey {
        match (lane, shape) {
            (LaneKeys::Fixed(key), _) => *key,
            (LaneKeys::Read(hasher, columns), Some(shape)) => {
                let mut hasher = (**hasher).clone();
                let mut whole = true;
                for index in columns {
                    match values[*index] {
                        Some(value) => {
                            text.clear();
                            shape.canonical(self.positions[*index], value, text);
                            hasher.put(text);
                        }
                        // No record is on that side of an outer join, or its key says nothing.
                        None => whole = false,
                    }
                }
                if whole { hasher.finish() } else { RecordKey::NONE }
            }
            (LaneKeys::Read(..), None) => RecordKey::NONE,
        }
    }

    /// Adds the tenants of one row, given as it travels.
    pub fn tenants_of(&self, row: &[u8], tenants: &mut BTreeSet<(Arc<str>, u64)>) {
        if tenants.len() >= PARTS_MAX {
            return;
        }
        let mut values = Vec::new();
        let shape = self.shape.as_ref().filter(|shape| shape.values_at(row, &self.positions, &mut values));
        let mut text = Vec::new();
        for (dataset, keys) in &self.tenants {
            let key = self.key_of(keys, shape, &values, &mut text);
            if key != RecordKey::NONE {
                tenants.insert((Arc::clone(dataset), u64::try_from(key.0 >> 64).unwrap_or(u64::MAX)));
            }
        }
    }

    /// Whether rows belong to tenants that can be told.
    pub fn has_tenants(&self) -> bool {
        !self.tenants.is_empty()
    }

    /// Keys of one row.
    pub fn width(&self) -> usize {
        self.lanes.len()
    }

    /// Whether any relation of the result has canaries.
    pub fn has_traps(&self) -> bool {
        self.traps.iter().any(Option::is_some)
    }

    /// The canary that a lane's key is.
    pub fn trap(&self, lane: usize, key: RecordKey) -> Option<&Trap> {
        self.traps.get(lane)?.as_ref()?.get(&key)
    }

    /// Dataset and relation of a lane.
    pub fn lane(&self, lane: usize) -> Option<&(Arc<str>, RelationId)> {
        self.names.get(lane)
    }

    /// Whether any key must be read from the rows.
    pub fn reads_rows(&self) -> bool {
        !self.positions.is_empty()
    }
}

impl Execution {
    /// Whether it has let out anything of them.
    pub fn took(&self) -> bool {
        self.rows > 0 || self.settled.iter().any(|line| line.records > 0)
    }

    /// Whether it is counted because a name may have meant something sensitive, and would leave it row by row if it did:
    /// one statement, of which the server's description can say that it did not.
    pub fn may_be_elsewhere(&self) -> bool {
        let row_by_row = |exposed: &Exposed| {
            exposed.access == Access::Read
                && (exposed.manner == Manner::Used || (exposed.manner == Manner::Rows && !exposed.whole))
        };
        self.meter.is_some()
            && !self.understood.others.is_empty()
            && self.understood.exposures.len() == 1
            && self.exposure.opaque().is_none()
            && self.exposure.coverage() == Coverage::Full
            && self.exposure.touched().iter().all(row_by_row)
    }

    /// The key that values of the text or the binding pin; none when one of them is not known.
    fn pinned(&self, mut hasher: KeyHasher, operands: &[Operand]) -> RecordKey {
        if !self.understood.pins_are_own || operands.is_empty() {
            return RecordKey::NONE;
        }
        for operand in operands {
            let Some(value) = self.operand(operand) else { return RecordKey::NONE };
            hasher.put(&value);
        }
        hasher.finish()
    }

    fn operand(&self, operand: &Operand) -> Option<Vec<u8>> {
        match operand {
            Operand::Literal(index) => self.known.as_ref()?.literal(*index),
            Operand::Param(index) => {
                let mut text = Vec::new();
                self.values.as_ref()?.canonical(*index, &mut text).then_some(text)
            }
        }
    }
}
