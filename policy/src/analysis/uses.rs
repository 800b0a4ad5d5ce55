//! The relation uses of one statement while they are being found, and the values that flow from them.

use std::collections::{BTreeSet, HashMap};
use std::rc::Rc;
use std::sync::Arc;

use crate::catalog::{Catalog, Column, Relation, Volatility};
use crate::relation::RelationName;
use crate::statement::{Access, Columns, Coverage, Gap, Operand, Question, RelationUse, Source, Totals};

/// What makes two drafts one use: relation, name, access, way and witness.
type SameUse = (Option<usize>, RelationName, Access, Vec<String>, Source);

/// More uses than this in one statement end the reading: views of views can name each other without end.
pub(super) const USES_MAX: usize = 2048;
/// Questions of one use that are kept apart. The same relation is rarely asked in more than a few places of a text.
const QUESTIONS_MAX: usize = 64;
/// Partitions, children and parents that are added to the uses of one statement: a table of some thousand partitions may
/// be named some times. A use costs half a kilobyte.
const KIN_MAX: usize = 16 * 1024;

/// How many records one value may hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) enum Pack {
    /// Of none, as long as it is a total over more than one.
    Total,
    /// Several totals.
    Totals,
    /// One.
    Single,
    /// One, of a set whose size the text bounds (LIMIT, or a correlation with an outer row).
    Bounded,
    /// Those of a group.
    Grouped,
    /// The whole relation's.
    Whole,
}

impl Pack {
    /// In a result whose size the text bounds.
    pub(super) fn bounded(self) -> Pack {
        if self <= Pack::Totals { self } else { self.max(Pack::Bounded) }
    }

    /// Beside others of its kind.
    pub(super) fn grouped(self) -> Pack {
        if self <= Pack::Totals { Pack::Totals } else { self.max(Pack::Grouped) }
    }
}

impl Totals {
    pub(super) fn add(&mut self, atom: &Atom) {
        self.packed |= atom.pack == Pack::Totals;
        add(&mut self.columns, atom.column.as_ref());
    }
}

/// How much of a column's value there is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) enum Grain {
    /// All of it, in whatever spelling.
    Whole,
    /// Something that was made of it: a letter, a length, a distance.
    Part,
}

/// A column of a use, on its way.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Atom {
    /// Index of the use.
    pub(super) usage: usize,
    /// `None`: every column.
    pub(super) column: Option<Arc<str>>,
    pub(super) pack: Pack,
    pub(super) grain: Grain,
}

impl Atom {
    /// The whole value of a column, or of every column.
    pub(super) fn new(usage: usize, column: Option<Arc<str>>, pack: Pack) -> Atom {
        Atom { usage, column, pack, grain: Grain::Whole }
    }
}

/// Where the values of an expression come from.
pub(super) type Flow = Rc<BTreeSet<Atom>>;

/// A use that is being filled.
#[derive(Clone, Debug)]
pub(super) struct Draft {
    pub(super) written: RelationName,
    /// Index into the catalog's relations.
    pub(super) relation: Option<usize>,
    pub(super) access: Access,
    pub(super) released: Columns,
    pub(super) packed: Columns,
    pub(super) packed_whole: bool,
    pub(super) copied: Columns,
    pub(super) copied_many: bool,
    pub(super) updated: Columns,
    pub(super) used: Columns,
    pub(super) totals: Totals,
    pub(super) via: Vec<String>,
    pub(super) pin: Option<Vec<Operand>>,
    /// See [`RelationUse::equals`].
    pub(super) equals: Vec<(Arc<str>, Operand)>,
    /// The pin stands outside of the query that reads it: another reference to that query is not pinned.
    pub(super) pinned_above: bool,
    pub(super) source: Source,
    /// Rows of it that one row of the result may hold: one, and one more for each further reference to the common
    /// table expression that reads it, and for each window function over it.
    pub(super) copies: u32,
    /// Its values may stand beside those of another row, or of another relation, in one column or row.
    pub(super) mixed: bool,
    /// A common table expression that reads it was referred to.
    pub(super) referred: bool,
    /// An aggregate has taken a value of it.
    pub(super) aggregated: bool,
    /// The row that set off a trigger: nobody reads it, and it matters for what is copied of it alone.
    pub(super) fired: bool,
    pub(super) kin: bool,
    /// See [`RelationUse::once`]; known at the end.
    pub(super) once: bool,
    /// What is asked about its values.
    pub(super) question: Question,
    /// Columns that leave by another way than rows: in a notice, an error, a message, a setting.
    pub(super) told: Columns,
    /// What is told may be all rows at once.
    pub(super) told_whole: bool,
    /// It stands in the body of a function, which the planner may run this early.
    pub(super) planned: Option<Volatility>,
    /// Of a write: it is one row at most.
    pub(super) one: bool,
    /// What decides whether something may be done; nobody learns what stands in it.
    pub(super) silent: bool,
}

impl Draft {
    pub(super) fn new(written: RelationName, relation: Option<usize>, access: Access, source: Source) -> Draft {
        Draft {
            written,
            relation,
            access,
            released: Columns::None,
            packed: Columns::None,
            packed_whole: false,
            copied: Columns::None,
            copied_many: false,
            updated: Columns::None,
            used: Columns::None,
            totals: Totals::default(),
            via: Vec::new(),
            pin: None,
            equals: Vec::new(),
            pinned_above: false,
            source,
            copies: 1,
            mixed: false,
            referred: false,
            aggregated: false,
            fired: false,
            kin: false,
            once: false,
            question: Question::default(),
            told: Columns::None,
            told_whole: false,
            planned: None,
            one: false,
            silent: false,
        }
    }

    pub(super) fn via(mut self, via: &[String]) -> Draft {
        self.via = via.to_vec();
        self
    }

    /// A total of what was cut out of values tells something of them.
    pub(super) fn asks_by(&mut self, atom: &Atom) {
        if atom.grain == Grain::Part {
            add(&mut self.question.parts, atom.column.as_ref());
        }
    }

    /// Everything that could leave leaves: what is said where nothing better is known.
    pub(super) fn released_all(mut self) -> Draft {
        self.released = Columns::All;
        self
    }

    /// As [`released_all`](Draft::released_all), many records to a row, perhaps all.
    pub(super) fn packed_all(mut self) -> Draft {
        self.released = Columns::All;
        self.packed = Columns::All;
        self.packed_whole = true;
        self
    }

    /// What would leave goes into another relation instead.
    pub(super) fn copies(&mut self) {
        let (released, packed) = self.take_leaving();
        self.copied_many = true;
        self.totals.copied = true;
        merge(&mut self.copied, &released);
        merge(&mut self.copied, &packed);
    }

    /// What a function puts into its variables is in what it returns, `stays`: and nowhere else.
    pub(super) fn comes_back(&mut self, stays: bool) {
        let (copied, many) = (self.copied.clone(), self.copied_many);
        if many && copied != Columns::None {
            merge(&mut self.packed, &copied);
            self.packed_whole = true;
        } else {
            merge(&mut self.released, &copied);
        }
        if stays {
            self.copied = Columns::None;
            self.copied_many = false;
        }
    }

    /// What would leave stays.
    pub(super) fn keeps(&mut self) {
        let (released, packed) = self.take_leaving();
        let totals = std::mem::take(&mut self.totals);
        merge(&mut self.used, &released);
        merge(&mut self.used, &packed);
        merge(&mut self.used, &totals.columns);
    }

    fn take_leaving(&mut self) -> (Columns, Columns) {
        self.packed_whole = false;
        (std::mem::take(&mut self.released), std::mem::take(&mut self.packed))
    }

    /// What would leave, as values of a call, which is itself this use by index.
    pub(super) fn returned(&mut self, usage: usize) -> Vec<Atom> {
        let whole = if self.packed_whole { Pack::Whole } else { Pack::Grouped };
        let (released, packed) = self.take_leaving();
        let of = |columns: Columns, pack: Pack| -> Vec<Atom> {
            match columns {
                Columns::None => Vec::new(),
                Columns::All => vec![Atom::new(usage, None, pack)],
                Columns::Some(set) => set.into_iter().map(|column| Atom::new(usage, Some(column), pack)).collect(),
            }
        };
        let totals = std::mem::take(&mut self.totals);
        let mut atoms = of(released, Pack::Single);
        atoms.extend(of(totals.columns, if totals.packed { Pack::Totals } else { Pack::Total }));
        atoms.extend(of(packed, whole));
        atoms
    }

    /// Whether it only decided something.
    fn is_silent(&self) -> bool {
        self.silent && self.access == Access::Read && !self.releases() && self.copied == Columns::None
    }

    /// Whether values of it leave.
    fn releases(&self) -> bool {
        self.released != Columns::None || self.packed != Columns::None
    }
}

/// Adds one column, or every one.
pub(super) fn add(columns: &mut Columns, column: Option<&Arc<str>>) {
    match (columns, column) {
        (Columns::All, _) => {}
        (columns, None) => *columns = Columns::All,
        (Columns::Some(set), Some(column)) => {
            set.insert(column.clone());
        }
        (columns, Some(column)) => *columns = Columns::Some(BTreeSet::from([column.clone()])),
    }
}

/// Adds all of `more`.
pub(super) fn merge(columns: &mut Columns, more: &Columns) {
    match more {
        Columns::None => {}
        Columns::All => *columns = Columns::All,
        Columns::Some(set) => {
            for column in set {
                add(columns, Some(column));
            }
        }
    }
}

/// Drafts to what the statement says of itself: kin of partitioned tables added, pins checked, equal ones joined.
///
/// `alternatives`: pairs of drafts of one relation of which a row holds values of one at most.
pub(super) fn finish(
    drafts: Vec<Draft>,
    alternatives: &BTreeSet<(usize, usize)>,
    catalog: &Catalog,
    (gaps, coverage): (&mut BTreeSet<Gap>, &mut Coverage),
) -> Vec<RelationUse> {
    let mut drafts = drafts;
    for draft in &mut drafts {
        let told = std::mem::take(&mut draft.told);
        merge(&mut draft.packed, &told);
        draft.packed_whole |= draft.told_whole;
    }
    count_reads(&mut drafts, alternatives);
    drafts.retain(|draft| !draft.fired);
    let mut all_kin = Vec::new();
    for draft in &drafts {
        if all_kin.len() >= KIN_MAX && has_kin(draft, catalog).is_some() {
            gaps.insert(Gap { code: "too-large", subject: "partitions".to_owned() });
            *coverage = Coverage::Opaque;
            break;
        }
        all_kin.extend(kin(draft, catalog));
    }
    drafts.extend(all_kin);
    if drafts.len() > USES_MAX {
        // Nothing is dropped; the reader of the record is told that it is coarse.
        gaps.insert(Gap { code: "too-large", subject: "relations".to_owned() });
    }
    for draft in drafts.iter_mut().filter(|draft| draft.pinned_above && draft.copies > 1) {
        draft.pin = None;
    }
    // A relation that is read in two places is not pinned by what pins it in one.
    let mut places: HashMap<(Option<usize>, Access), u32> = HashMap::new();
    for draft in drafts.iter().filter(|draft| !draft.is_silent()) {
        let count = places.entry((draft.relation, draft.access)).or_default();
        *count = count.saturating_add(1);
    }
    for draft in drafts.iter_mut().filter(|draft| draft.pin.is_some()) {
        if places.get(&(draft.relation, draft.access)).is_some_and(|places| *places > 1) {
            draft.pin = None;
        }
    }
    let mut uses: Vec<RelationUse> = Vec::with_capacity(drafts.len());
    let mut index: HashMap<SameUse, usize> = HashMap::new();
    for draft in drafts.into_iter().filter(|draft| !draft.is_silent()) {
        let relation = draft.relation.and_then(|index| catalog.relations().get(index));
        let packed_whole = draft.packed_whole && draft.pin.is_none();
        let key = (draft.relation, draft.written.clone(), draft.access, draft.via.clone(), draft.source);
        let question = asked(&draft);
        if let Some(same) = index.get(&key).and_then(|index| uses.get_mut(*index)) {
            merge(&mut same.released, &draft.released);
            merge(&mut same.packed, &draft.packed);
            merge(&mut same.copied, &draft.copied);
            same.copied_many |= draft.copied_many;
            merge(&mut same.updated, &draft.updated);
            merge(&mut same.used, &draft.used);
            merge(&mut same.totals.columns, &draft.totals.columns);
            same.totals.packed |= draft.totals.packed;
            same.totals.copied |= draft.totals.copied;
            same.packed_whole |= packed_whole;
            same.once |= draft.once;
            same.reads = if draft.releases() { same.reads.saturating_add(draft.copies) } else { same.reads };
            same.kin &= draft.kin;
            same.by_key = same.by_key.max(draft.question.by_key);
            keep_question(&mut same.questions, question);
            continue;
        }
        index.insert(key, uses.len());
        let reads = if draft.releases() { draft.copies } else { 0 };
        uses.push(RelationUse {
            written: draft.written,
            relation: relation.map(|relation| relation.id.clone()),
            oid: relation.map_or(0, |relation| relation.oid),
            access: draft.access,
            released: draft.released,
            packed: draft.packed,
            packed_whole,
            copied: draft.copied,
            copied_many: draft.copied_many,
            updated: draft.updated,
            used: draft.used,
            totals: draft.totals,
            via: draft.via,
            pin: draft.pin,
            equals: draft.equals,
            source: draft.source,
            once: draft.once,
            reads,
            kin: draft.kin,
            by_key: draft.question.by_key,
            questions: question.into_iter().collect(),
        });
    }
    uses
}

/// Keeps a question beside others; what is beyond their number is asked with the last.
fn keep_question(questions: &mut Vec<Question>, question: Option<Question>) {
    let Some(question) = question else { return };
    let full = questions.len() >= QUESTIONS_MAX;
    match questions.last_mut() {
        Some(last) if full => {
            merge(&mut last.parts, &question.parts);
            merge(&mut last.wholes, &question.wholes);
            last.shown = last.shown.saturating_add(question.shown.max(1));
        }
        _ => questions.push(question),
    }
}

/// What a draft asks, if anything, with what leaves beside the answer.
fn asked(draft: &Draft) -> Option<Question> {
    if draft.question.parts == Columns::None && draft.question.wholes == Columns::None {
        return None;
    }
    let mut question = draft.question.clone();
    for leaving in [&draft.released, &draft.packed, &draft.copied] {
        merge(&mut question.released, leaving);
    }
    Some(question)
}

/// Says of each draft whether it is read once, and how many of its rows one row of the result may hold.
fn count_reads(drafts: &mut [Draft], alternatives: &BTreeSet<(usize, usize)>) {
    let reads = |draft: &Draft| draft.relation.is_some() && draft.releases() && draft.access != Access::Write;
    let mut by_relation: HashMap<Option<usize>, u32> = HashMap::new();
    for draft in drafts.iter().filter(|draft| reads(draft)) {
        let count = by_relation.entry(draft.relation).or_default();
        *count = count.saturating_add(draft.copies);
    }
    for draft in drafts.iter_mut() {
        draft.once = reads(draft) && !draft.mixed && by_relation.get(&draft.relation) == Some(&1);
    }
    for (left, right) in alternatives {
        if drafts.get(*left).is_some_and(Draft::releases)
            && let Some(right) = drafts.get_mut(*right).filter(|draft| draft.releases())
        {
            right.copies = right.copies.saturating_sub(1);
        }
    }
}

/// What a use reaches through partitioning and inheritance: all descendants, and all ancestors, since policy may
/// name either.
pub(super) fn kin(draft: &Draft, catalog: &Catalog) -> Vec<Draft> {
    let Some(relation) = has_kin(draft, catalog) else { return Vec::new() };
    let mut found = Vec::new();
    let mut seen = BTreeSet::from([relation.oid]);
    let mut todo: Vec<(u32, bool)> = relation
        .parents
        .iter()
        .map(|oid| (*oid, true))
        .chain(catalog.children(relation.oid).iter().map(|oid| (*oid, false)))
        .collect();
    while let Some((oid, upwards)) = todo.pop() {
        if !seen.insert(oid) || found.len() >= USES_MAX {
            continue;
        }
        let Some(other) = catalog.by_oid(oid) else { continue };
        if upwards {
            todo.extend(other.parents.iter().map(|oid| (*oid, true)));
        } else {
            todo.extend(catalog.children(oid).iter().map(|oid| (*oid, false)));
        }
        let mut twin = draft.clone();
        twin.written = RelationName { schema: Some(other.id.schema.to_string()), name: other.id.name.to_string() };
        twin.relation = position(catalog, other);
        twin.source = Source::Catalog;
        twin.via.push(relation.id.to_string());
        twin.kin = true;
        if twin.pin.is_some() && key_names(relation) != key_names(other) {
            twin.pin = None;
        }
        found.push(twin);
    }
    found
}

/// The relation of a use, where it is partitioned, a partition, or inherits.
fn has_kin<'c>(draft: &Draft, catalog: &'c Catalog) -> Option<&'c Relation> {
    let relation = draft.relation.and_then(|index| catalog.relations().get(index))?;
    let has = relation.oid != 0 && !(relation.parents.is_empty() && catalog.children(relation.oid).is_empty());
    has.then_some(relation)
}

/// Index of a relation of the catalog.
pub(super) fn position(catalog: &Catalog, relation: &Relation) -> Option<usize> {
    catalog.index_of(relation)
}

/// Names of the primary key's columns, in key order.
pub(super) fn key_names(relation: &Relation) -> Vec<Arc<str>> {
    key_columns(relation).into_iter().map(|column| column.name.clone()).collect()
}

/// Columns of the primary key, in key order.
pub(super) fn key_columns(relation: &Relation) -> Vec<&Column> {
    relation.key.iter().filter_map(|number| relation.columns.iter().find(|column| column.number == *number)).collect()
}
