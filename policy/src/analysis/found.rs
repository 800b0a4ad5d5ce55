//! What is known of one statement so far.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::ops::Range;
use std::sync::Arc;

use sqlparser::ast::Query;

use super::copies::{Moved, Output};
use super::uses::{Atom, Draft, Flow, Pack, USES_MAX, add};
use crate::catalog::Moment;
use crate::copies::CopyOf;
use crate::statement::{Access, Coverage, Extent, Gap, Privilege, SessionAct, StatementAnalysis, Verb};

/// Work that one statement may cost, in values moved about. Ten thousand columns through ten levels fit; common
/// table expressions that double each other do not, and are then answered by the lexer.
pub(super) const FUEL: usize = 200_000;
/// What a use costs, in the same measure.
const DRAFT_COST: usize = 16;
/// What each view or function on the way to a use costs: its name is copied for it.
const VIA_COST: usize = 8;

/// A view's definition, parsed.
#[derive(Debug)]
pub(super) struct Definition {
    pub(super) query: Query,
    /// Operators in it that the server does not ship.
    pub(super) unknown_operators: Vec<String>,
}

/// Some tokens of a statement, by index: a bit for each from the first to the last, since a list may have a hundred
/// thousand.
#[derive(Debug, Default)]
struct Tokens {
    /// Tokens before the first bit, in units of [`Tokens::UNIT`].
    before: usize,
    bits: Vec<u64>,
}

impl Tokens {
    const UNIT: usize = 64;

    fn insert(&mut self, token: usize) {
        let (unit, bit) = (token / Self::UNIT, token % Self::UNIT);
        if self.bits.is_empty() {
            self.before = unit;
        } else if unit < self.before {
            self.bits.splice(0..0, std::iter::repeat_n(0, self.before - unit));
            self.before = unit;
        }
        let place = unit - self.before;
        if self.bits.len() <= place {
            self.bits.resize(place + 1, 0);
        }
        if let Some(bits) = self.bits.get_mut(place) {
            *bits |= 1 << bit;
        }
    }

    fn contains(&self, token: usize) -> bool {
        let place = (token / Self::UNIT).checked_sub(self.before);
        let bits = place.and_then(|place| self.bits.get(place));
        bits.is_some_and(|bits| bits & (1 << (token % Self::UNIT)) != 0)
    }
}

/// Gathers what the readers find.
#[derive(Debug)]
pub(super) struct Found {
    pub(super) verb: Verb,
    pub(super) drafts: Vec<Draft>,
    pub(super) accesses: BTreeSet<Access>,
    pub(super) privileges: Vec<Privilege>,
    pub(super) functions: BTreeSet<String>,
    pub(super) acts: Vec<SessionAct>,
    pub(super) extent: Extent,
    /// Rows are left out by their place.
    pub(super) skips: bool,
    /// Select lists around what is read.
    pub(super) showing: u32,
    pub(super) coverage: Coverage,
    pub(super) gaps: BTreeSet<Gap>,
    /// The rows of the statement go into a relation: SELECT INTO.
    pub(super) copies: bool,
    /// What the statement puts where.
    pub(super) moved: Vec<Moved>,
    /// See [`StatementAnalysis::queries`].
    pub(super) queries: BTreeSet<String>,
    /// What the session's own relations that it writes are called in it, with their names.
    pub(super) aliases: Vec<(String, String)>,
    /// Relations that it moves: nothing leaves them.
    pub(super) renamed: Vec<CopyOf>,
    /// What it copies goes where nobody can follow it.
    pub(super) unfollowed: bool,
    /// Rows of the query that was read last, by column, where somebody wants them.
    pub(super) output: Option<Vec<(usize, Output)>>,
    /// Somebody does.
    pub(super) wants_output: bool,
    /// Stored programs on the way to what is read, outermost first; empty in the statement's own text.
    pub(super) via: Vec<String>,
    /// The use whose rows set off the trigger that is read: its OLD and NEW.
    pub(super) fired: Option<usize>,
    /// Variables of the stored program that is read, in lower case.
    pub(super) variables: Vec<String>,
    /// Names that nothing in sight has may be parameters of the stored program that is read.
    pub(super) parameters: bool,
    /// Uses, by index, whose columns a name may stand for which nothing in sight has.
    pub(super) beyond: Range<usize>,
    /// The statement draws random numbers.
    pub(super) random: bool,
    /// No equality pins a key.
    pub(super) loose: bool,
    /// A function body that is reached changes prepared names, or may.
    pub(super) touches_names: bool,
    /// Calls of `set_config` with a computed value so far.
    pub(super) set_configs: usize,
    /// Drafts of one relation of which a row holds values of one at most: two sides of a set operation.
    pub(super) alternatives: BTreeSet<(usize, usize)>,
    /// User functions that were read already, by name and body.
    bodies: HashMap<String, HashSet<String>>,
    /// What stored functions of MySQL's return, by their names as they are called.
    pub(super) returned: HashMap<String, Vec<Atom>>,
    /// Row variables of the body that is read, and the use that each is a row of.
    pub(super) rows: Vec<(String, usize)>,
    /// The bodies that are read run once in this statement.
    pub(super) once: bool,
    /// The statement is a single SELECT of one value, from nothing.
    pub(super) alone: bool,
    /// Functions that tell their arguments, and that put them into other rows.
    /// Whether that may be often, where what runs goes on.
    pub(super) telling: HashMap<String, bool>,
    /// See [`telling`](Found::telling).
    pub(super) keeping: HashSet<String>,
    /// What has been run behind relations, by number of the relation, moment and place.
    pub(super) behind: HashSet<(u32, Moment, usize)>,
    /// Tokens that the tree accounts for.
    seen: Tokens,
    fuel: usize,
    /// What the fuel was at first.
    allowance: usize,
    /// All work so far, also that of readings which were given up.
    cost: usize,
    /// Definitions of views that were parsed: a statement may name one a thousand times.
    pub(super) views: HashMap<usize, Option<Arc<Definition>>>,
    refused: bool,
}

impl Found {
    pub(super) fn new(verb: Verb) -> Found {
        Found {
            verb,
            drafts: Vec::new(),
            accesses: BTreeSet::new(),
            privileges: Vec::new(),
            functions: BTreeSet::new(),
            acts: Vec::new(),
            extent: Extent::Unbounded,
            skips: false,
            showing: 0,
            coverage: Coverage::Full,
            gaps: BTreeSet::new(),
            copies: false,
            moved: Vec::new(),
            queries: BTreeSet::new(),
            aliases: Vec::new(),
            renamed: Vec::new(),
            unfollowed: false,
            output: None,
            wants_output: false,
            via: Vec::new(),
            fired: None,
            variables: Vec::new(),
            parameters: false,
            beyond: 0..0,
            loose: false,
            random: false,
            touches_names: false,
            set_configs: 0,
            alternatives: BTreeSet::new(),
            bodies: HashMap::new(),
            returned: HashMap::new(),
            rows: Vec::new(),
            once: false,
            alone: false,
            telling: HashMap::new(),
            keeping: HashSet::new(),
            behind: HashSet::new(),
            seen: Tokens::default(),
            fuel: FUEL,
            allowance: FUEL,
            cost: 0,
            views: HashMap::new(),
            refused: false,
        }
    }

    /// [`Found::new`] of a statement that may cost this much, and no more than any statement.
    pub(super) fn within(verb: Verb, allowance: usize) -> Found {
        let allowance = allowance.min(FUEL);
        Found { fuel: allowance, allowance, ..Found::new(verb) }
    }

    /// A use; its index.
    pub(super) fn draft(&mut self, draft: Draft) -> usize {
        if self.drafts.len() >= USES_MAX {
            self.fuel = 0;
        }
        self.spend(VIA_COST * draft.via.len());
        self.cost(DRAFT_COST);
        self.drafts.push(draft);
        self.drafts.len() - 1
    }

    /// Forgets the drafts from this one on.
    pub(super) fn truncate(&mut self, drafts: usize) {
        self.drafts.truncate(drafts);
        self.forget_moved(drafts);
        self.returned.retain(|_, atoms| atoms.iter().all(|atom| atom.usage < drafts));
        self.alternatives.retain(|(left, right)| *left < drafts && *right < drafts);
    }

    /// Values of these uses may stand beside those of other rows.
    pub(super) fn mix(&mut self, flow: &Flow) {
        for atom in flow.iter() {
            if let Some(draft) = self.drafts.get_mut(atom.usage) {
                draft.mixed = true;
            }
        }
    }

    /// Each aggregate of a group after the first may have taken its value from another row: of a use of which a group
    /// has more than one.
    pub(super) fn aggregate(&mut self, flow: &Flow, is_one_row: &dyn Fn(&Draft) -> bool) {
        let mut again = BTreeSet::new();
        for atom in flow.iter().filter(|atom| atom.pack == super::uses::Pack::Single) {
            if let Some(draft) = self.drafts.get_mut(atom.usage)
                && !is_one_row(draft)
                && std::mem::replace(&mut draft.aggregated, true)
            {
                again.insert(atom.usage);
            }
        }
        self.add_copy(&again);
    }

    /// A row may hold one more row of each of these uses.
    pub(super) fn add_copy(&mut self, usages: &BTreeSet<usize>) {
        for usage in usages {
            if let Some(draft) = self.drafts.get_mut(*usage) {
                draft.copies = draft.copies.saturating_add(1);
            }
        }
    }

    /// These values leave in rows of the result.
    pub(super) fn release(&mut self, atoms: &[Atom]) {
        for atom in atoms {
            let Some(draft) = self.drafts.get_mut(atom.usage) else { continue };
            match atom.pack {
                Pack::Total | Pack::Totals => {
                    draft.totals.add(atom);
                    draft.asks_by(atom);
                }
                Pack::Single | Pack::Bounded => add(&mut draft.released, atom.column.as_ref()),
                Pack::Grouped | Pack::Whole => {
                    add(&mut draft.packed, atom.column.as_ref());
                    draft.packed_whole |= atom.pack == Pack::Whole;
                }
            }
        }
    }

    /// These values leave by another way than rows.
    pub(super) fn tell<'a>(&mut self, atoms: impl IntoIterator<Item = &'a Atom>) {
        for atom in atoms {
            let Some(draft) = self.drafts.get_mut(atom.usage) else { continue };
            add(&mut draft.told, atom.column.as_ref());
            draft.told_whole |= atom.pack == Pack::Whole;
        }
    }

    /// These values go into other rows. `many`: into more than one, or of more than one.
    pub(super) fn copy_atoms(&mut self, atoms: &[Atom], many: bool) {
        for atom in atoms {
            let Some(draft) = self.drafts.get_mut(atom.usage) else { continue };
            add(&mut draft.copied, atom.column.as_ref());
            draft.copied_many |= many || atom.pack > Pack::Bounded;
        }
    }

    /// These values are only compared.
    pub(super) fn use_atoms(&mut self, atoms: &[Atom]) {
        for atom in atoms {
            if let Some(draft) = self.drafts.get_mut(atom.usage) {
                add(&mut draft.used, atom.column.as_ref());
            }
        }
    }

    /// Something was not understood, and the coverage is at most this.
    pub(super) fn gap(&mut self, code: &'static str, subject: &str, coverage: Coverage) {
        /// Gaps of one statement beyond this say nothing new.
        const GAPS_MAX: usize = 64;
        if self.gaps.len() < GAPS_MAX {
            self.gaps.insert(Gap { code, subject: subject.chars().take(128).collect() });
        }
        self.coverage = self.coverage.max(coverage);
    }

    /// The tree holds a form that nobody reads.
    pub(super) fn refuse(&mut self) {
        self.refused = true;
    }

    pub(super) fn is_refused(&self) -> bool {
        self.refused
    }

    /// A statement inside of this one changes rows: that is what this one is.
    pub(super) fn effect(&mut self, verb: Verb) {
        if matches!(self.verb, Verb::Select | Verb::Unknown) {
            self.verb = verb;
        }
    }

    /// Reads another text than the statement's own, whose tokens have places of their own.
    pub(super) fn apart<T>(&mut self, read: impl FnOnce(&mut Found) -> T) -> T {
        let own = std::mem::take(&mut self.seen);
        let answer = read(self);
        self.seen = own;
        answer
    }

    /// The tree accounts for this token.
    pub(super) fn see(&mut self, token: usize) {
        self.seen.insert(token);
    }

    pub(super) fn has_seen(&self, token: usize) -> bool {
        self.seen.contains(token)
    }

    pub(super) fn spend(&mut self, amount: usize) {
        self.fuel = self.fuel.saturating_sub(amount);
        self.cost(amount);
    }

    /// Takes note of work that the text pays for, and this statement by itself does not.
    pub(super) fn cost(&mut self, amount: usize) {
        self.cost = self.cost.saturating_add(amount);
    }

    /// Work done so far, whatever came of it.
    pub(super) fn costs(&self) -> usize {
        self.cost
    }

    /// Whether what is known of a stored program was read already.
    pub(super) fn reads_body(&mut self, label: &str, body: &str) -> bool {
        if self.bodies.get(label).is_some_and(|bodies| bodies.contains(body)) {
            return false;
        }
        self.bodies.entry(label.to_owned()).or_default().insert(body.to_owned())
    }

    /// Whether the statement has cost all that it may.
    pub(super) fn is_spent(&self) -> bool {
        self.fuel == 0
    }

    /// Forgets what a tree said, when it turns out not to be trusted.
    pub(super) fn forget_tree(&mut self, drafts: usize) {
        self.truncate(drafts);
        self.bodies.clear();
        self.returned.clear();
        self.behind.clear();
        self.fuel = self.allowance;
        self.refused = false;
        self.copies = false;
        self.skips = false;
        self.showing = 0;
        self.extent = Extent::Unbounded;
    }

    pub(super) fn finish(mut self, catalog: &crate::catalog::Catalog) -> StatementAnalysis {
        super::privileges::of_acts(&mut self);
        let mut copies = self.copies_made(catalog);
        copies.extend(self.renamed);
        let (mut gaps, mut coverage) = (self.gaps, self.coverage);
        let uses = super::uses::finish(self.drafts, &self.alternatives, catalog, (&mut gaps, &mut coverage));
        StatementAnalysis {
            queries: self.queries,
            verb: self.verb,
            uses,
            accesses: self.accesses,
            privileges: self.privileges,
            functions: self.functions.into_iter().collect(),
            acts: self.acts,
            copies,
            unfollowed: self.unfollowed,
            extent: self.extent,
            skips: self.skips,
            coverage,
            gaps: gaps.into_iter().collect(),
        }
    }
}
