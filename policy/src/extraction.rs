//! Extractions: what one person takes out of one dataset, stitched together from all the statements that it takes.
//!
//! Pages, lists of keys, pieces of a cursor, one look-up after another, reconnects, other accounts of the same person
//! and other servers are one extraction with a running total. It begins with the first record that leaves. A pause of
//! half an hour ends a **stretch** of it, and the next release begins another stretch of the same extraction. It ends
//! when a stretch would begin more than thirty days after it began, which is what the longest window of a budget looks
//! back over: who takes two hundred records a day is one extraction of many stretches.
//!
//! INVARIANT: a record that leaves twice in one extraction is counted once in it, as the ledger tells records apart; a
//! key that the ledger has forgotten for want of room counts again.

use std::collections::HashMap;
use std::sync::Arc;

use crate::budget::Window;
use crate::exposure::Approach;
use crate::ledger::LedgerTime;
use crate::relation::RelationId;

/// A pause that ends a stretch, milliseconds: longer than a page is read, shorter than lunch.
pub const STRETCH_GAP_MS: u64 = 30 * 60 * 1000;
/// Extractions of one person at a time. A policy has a handful of datasets; the one that rested longest is ended first.
pub const EXTRACTIONS_MAX: usize = 64;
/// Relations that an extraction tells apart. What is read of further ones counts in the totals only.
pub const RELATIONS_MAX: usize = 32;
/// Share of what was taken that one manner must have to name the whole, percent.
const CLEAR_PERCENT: u64 = 80;
/// Letters and digits of an extraction's name: none that is taken for another.
const ALPHABET: &[u8; 32] = b"0123456789ABCDEFGHJKMNPQRSTVWXYZ";

/// How an extraction takes its records, as far as it is clear.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Manner {
    /// By their place in the result.
    Pages,
    /// A stretch of keys after another.
    KeySet,
    /// Pieces of a cursor or a portal.
    Cursor,
    /// One record after another.
    IdLoop,
    /// Lists of keys.
    InList,
    /// Many at once.
    Bulk,
    /// Not clear, or several of these.
    Mixed,
}

impl Manner {
    const ALL: [Manner; 7] =
        [Manner::Pages, Manner::KeySet, Manner::Cursor, Manner::IdLoop, Manner::InList, Manner::Bulk, Manner::Mixed];

    /// The word for it, as in records.
    pub fn word(self) -> &'static str {
        match self {
            Manner::Pages => "pages",
            Manner::KeySet => "key-set",
            Manner::Cursor => "cursor",
            Manner::IdLoop => "id-loop",
            Manner::InList => "in-list",
            Manner::Bulk => "bulk",
            Manner::Mixed => "mixed",
        }
    }

    /// The manner of this word.
    pub fn of_word(word: &str) -> Option<Manner> {
        Manner::ALL.into_iter().find(|manner| manner.word() == word)
    }
}

impl From<Approach> for Manner {
    fn from(approach: Approach) -> Manner {
        match approach {
            Approach::Pages => Manner::Pages,
            Approach::KeySet => Manner::KeySet,
            Approach::Cursor => Manner::Cursor,
            Approach::IdLoop => Manner::IdLoop,
            Approach::InList => Manner::InList,
            Approach::Scan => Manner::Bulk,
            Approach::Mixed => Manner::Mixed,
        }
    }
}

/// What was taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct Taken {
    /// Statements that let something out.
    pub statements: u64,
    /// Records, each once.
    pub records: u64,
    /// Result rows.
    pub rows: u64,
    /// Bytes of those rows.
    pub bytes: u64,
}

/// One relation of an extraction.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Part {
    /// The relation.
    pub relation: RelationId,
    /// Records of it, each once.
    pub records: u64,
    /// Rows that it has, by the catalog's estimate; 0 where that is not known.
    pub table_rows: u64,
}

impl Part {
    /// Share of the relation that was seen, in millionths; `None` where nobody knows how large it is. An estimate may be
    /// behind: more than all is all.
    pub fn share_ppm(&self) -> Option<u64> {
        const ALL: u64 = 1_000_000;
        let table_rows = Some(u128::from(self.table_rows)).filter(|rows| *rows > 0)?;
        let share = u128::from(self.records) * u128::from(ALL) / table_rows;
        Some(u64::try_from(share).unwrap_or(ALL).min(ALL))
    }
}

/// An extraction, for somebody who asks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct View {
    /// Its name: `X-7F3K9Q2M`.
    pub id: String,
    /// The dataset.
    pub dataset: Arc<str>,
    /// Its relations, the one with most records first. At least one.
    pub parts: Vec<Part>,
    /// How the present stretch takes its records.
    pub manner: Manner,
    /// All that was taken.
    pub total: Taken,
    /// What the present stretch has taken.
    pub stretch: Taken,
    /// When it began.
    pub since: LedgerTime,
    /// When the present stretch began.
    pub stretch_since: LedgerTime,
    /// When something left last.
    pub last: LedgerTime,
    /// Stretches so far.
    pub stretches: u64,
}

/// From when on a record counts as one that was taken already.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub(crate) struct Since {
    pub(crate) extraction: LedgerTime,
    pub(crate) stretch: LedgerTime,
}

/// Records that were new when they left.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub(crate) struct Fresh {
    /// To the extraction.
    pub(crate) extraction: u64,
    /// To its present stretch.
    pub(crate) stretch: u64,
}

impl Fresh {
    /// Records that cannot be told apart are new to both.
    pub(crate) fn add(&mut self, records: u64) {
        self.extraction = self.extraction.saturating_add(records);
        self.stretch = self.stretch.saturating_add(records);
    }

    /// A record that was last charged then.
    pub(crate) fn add_key(&mut self, charged: Option<LedgerTime>, since: Since) {
        // Accounts remember seconds.
        let before = |since: LedgerTime| charged.is_none_or(|charged| charged.0 / 1000 < since.0 / 1000);
        self.extraction += u64::from(before(since.extraction));
        self.stretch += u64::from(before(since.stretch));
    }
}

/// What has just left, of one relation.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Step<'a> {
    pub(crate) relation: &'a RelationId,
    pub(crate) table_rows: u64,
    pub(crate) fresh: Fresh,
}

/// One person's extractions.
#[derive(Clone, Debug, Default)]
pub struct Extractions {
    seed: u64,
    open: HashMap<Arc<str>, Extraction>,
}

#[derive(Clone, Debug)]
struct Extraction {
    id: String,
    parts: Vec<Part>,
    since: LedgerTime,
    last: LedgerTime,
    total: Taken,
    stretches: u64,
    stretch_since: LedgerTime,
    stretch: Taken,
    /// What each manner has taken in the present stretch, in the order of [`Manner::ALL`].
    weights: [u64; 7],
}

impl Extractions {
    /// Those of a person whose extractions have names of their own.
    pub(crate) fn seeded(seed: u64) -> Extractions {
        Extractions { seed, open: HashMap::new() }
    }

    /// Something of a dataset is about to leave: from when on records count as taken.
    pub(crate) fn begin(&mut self, dataset: &Arc<str>, now: LedgerTime) -> Since {
        let id = self.name(dataset, now);
        if !self.open.contains_key(dataset) && self.open.len() >= EXTRACTIONS_MAX {
            let oldest = self.open.iter().min_by_key(|(_, known)| known.last).map(|(dataset, _)| dataset.clone());
            oldest.and_then(|oldest| self.open.remove(&oldest));
        }
        let known = self.open.entry(dataset.clone()).or_insert_with(|| Extraction::new(id.clone(), now));
        if now.0.saturating_sub(known.last.0) > STRETCH_GAP_MS {
            let over = now.0.saturating_sub(known.since.0) > Window::Month.ms();
            if over || known.total == Taken::default() {
                *known = Extraction::new(id, now);
            } else {
                known.begin_stretch(now);
            }
        }
        Since { extraction: known.since, stretch: known.stretch_since }
    }

    /// Something has left. `first`: it is the first of its statement.
    pub(crate) fn take(
        &mut self,
        dataset: &Arc<str>,
        steps: &[Step<'_>],
        manner: Manner,
        taken: Taken,
        now: LedgerTime,
    ) {
        let Some(known) = self.open.get_mut(dataset) else { return };
        let mut records = Fresh::default();
        for step in steps {
            records.extraction = records.extraction.saturating_add(step.fresh.extraction);
            records.stretch = records.stretch.saturating_add(step.fresh.stretch);
            known.part(step);
        }
        known.last = known.last.max(now);
        known.total.add(Taken { records: records.extraction, ..taken });
        known.stretch.add(Taken { records: records.stretch, ..taken });
        if let Some(weight) = known.weight_of(manner) {
            *weight = weight.saturating_add(records.stretch).saturating_add(taken.statements);
        }
    }

    /// What looked like much was a single record.
    pub(crate) fn was_single(&mut self, dataset: &str, records: u64) {
        let Some(known) = self.open.get_mut(dataset) else { return };
        let moved = known.weight_of(Manner::Bulk).map_or(0, |weight| {
            let moved = (*weight).min(records.saturating_add(1));
            *weight -= moved;
            moved
        });
        if let Some(weight) = known.weight_of(Manner::IdLoop) {
            *weight = weight.saturating_add(moved);
        }
    }

    /// The extraction of a dataset that is under way; `None` where nothing has left.
    pub fn view(&self, dataset: &str) -> Option<View> {
        let (dataset, known) = self.open.get_key_value(dataset)?;
        known.view(dataset)
    }

    /// Every extraction that is under way.
    pub fn views(&self) -> Vec<View> {
        let mut views: Vec<View> = self.open.iter().filter_map(|(dataset, known)| known.view(dataset)).collect();
        views.sort_by(|a, b| a.dataset.cmp(&b.dataset));
        views
    }

    /// Takes up an extraction as a record tells it. Records of one moment may stand in any order: the larger total is the
    /// later one.
    pub fn restore(&mut self, view: &View) {
        let older = |known: &Extraction| {
            known.since > view.since
                || (known.id == view.id
                    && (known.total.statements, known.total.records, known.last)
                        > (view.total.statements, view.total.records, view.last))
        };
        if self.open.get(&view.dataset).is_some_and(older) {
            return;
        }
        let mut known = Extraction::new(view.id.clone(), view.since);
        known.parts = view.parts.iter().take(RELATIONS_MAX).cloned().collect();
        known.last = view.last;
        known.total = view.total;
        known.stretches = view.stretches;
        known.stretch_since = view.stretch_since;
        known.stretch = view.stretch;
        if let Some(weight) = known.weight_of(view.manner) {
            *weight = view.stretch.records.saturating_add(view.stretch.statements);
        }
        if self.open.len() < EXTRACTIONS_MAX || self.open.contains_key(&view.dataset) {
            self.open.insert(view.dataset.clone(), known);
        }
    }

    /// What was leased and never accounted for may have left.
    pub(crate) fn may_have_left(&mut self, dataset: &str, taken: Taken) {
        if let Some(known) = self.open.get_mut(dataset) {
            known.total.add(taken);
            known.stretch.add(taken);
        }
    }

    /// A name that differs by person, dataset and moment.
    fn name(&self, dataset: &str, now: LedgerTime) -> String {
        /// The offset and the prime of FNV-1a, 64 bits.
        const OFFSET: u64 = 0xCBF2_9CE4_8422_2325;
        const PRIME: u64 = 0x0000_0100_0000_01B3;
        let parts = self.seed.to_be_bytes().into_iter().chain(now.0.to_be_bytes()).chain(dataset.bytes());
        let mut hash = parts.fold(OFFSET, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(PRIME));
        // The last bytes have not reached the upper bits yet.
        hash ^= hash >> 32;
        hash = hash.wrapping_mul(0x9E37_79B9_7F4A_7C15);
        let letter = |place: u32| {
            let index = usize::try_from((hash >> (24 + 5 * place)) & 31).unwrap_or(0);
            char::from(ALPHABET[index])
        };
        std::iter::once('X').chain(std::iter::once('-')).chain((0..8).map(letter)).collect()
    }
}

impl Extraction {
    fn new(id: String, now: LedgerTime) -> Extraction {
        Extraction {
            id,
            parts: Vec::new(),
            since: now,
            last: now,
            total: Taken::default(),
            stretches: 1,
            stretch_since: now,
            stretch: Taken::default(),
            weights: [0; 7],
        }
    }

    fn begin_stretch(&mut self, now: LedgerTime) {
        self.stretches = self.stretches.saturating_add(1);
        self.stretch_since = now;
        self.stretch = Taken::default();
        self.weights = [0; 7];
        self.last = now;
    }

    fn part(&mut self, step: &Step<'_>) {
        let room = self.parts.len() < RELATIONS_MAX;
        match self.parts.iter_mut().find(|part| part.relation == *step.relation) {
            Some(part) => {
                part.records = part.records.saturating_add(step.fresh.extraction);
                part.table_rows = if step.table_rows > 0 { step.table_rows } else { part.table_rows };
            }
            None if room => self.parts.push(Part {
                relation: step.relation.clone(),
                records: step.fresh.extraction,
                table_rows: step.table_rows,
            }),
            None => {}
        }
    }

    fn weight_of(&mut self, manner: Manner) -> Option<&mut u64> {
        let place = Manner::ALL.iter().position(|known| *known == manner)?;
        self.weights.get_mut(place)
    }

    fn manner(&self) -> Manner {
        let all = self.weights.iter().fold(0_u64, |all, weight| all.saturating_add(*weight));
        let clear = |weight: u64| u128::from(weight) * 100 >= u128::from(all) * u128::from(CLEAR_PERCENT);
        let found = Manner::ALL.into_iter().zip(self.weights).find(|(_, weight)| *weight > 0 && clear(*weight));
        found.map_or(Manner::Mixed, |(manner, _)| manner)
    }

    fn view(&self, dataset: &Arc<str>) -> Option<View> {
        if self.parts.is_empty() || self.total.statements == 0 {
            return None;
        }
        let mut parts = self.parts.clone();
        parts.sort_by(|a, b| b.records.cmp(&a.records).then_with(|| a.relation.cmp(&b.relation)));
        Some(View {
            id: self.id.clone(),
            dataset: dataset.clone(),
            parts,
            manner: self.manner(),
            total: self.total,
            stretch: self.stretch,
            since: self.since,
            stretch_since: self.stretch_since,
            last: self.last,
            stretches: self.stretches,
        })
    }
}

impl Taken {
    fn add(&mut self, more: Taken) {
        self.statements = self.statements.saturating_add(more.statements);
        self.records = self.records.saturating_add(more.records);
        self.rows = self.rows.saturating_add(more.rows);
        self.bytes = self.bytes.saturating_add(more.bytes);
    }
}

#[cfg(test)]
mod tests;
