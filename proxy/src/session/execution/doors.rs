//! What one execution has told by other doors than rows.

use std::collections::BTreeMap;
use std::sync::Arc;

use weir_policy::exposure::Exposure;
use weir_policy::meter::Meter;
use weir_policy::verdict::Denial;
use weir_wire::Door;

/// What has been told, and what may be.
#[derive(Debug, Default)]
pub struct Doors {
    /// What a message may hold; empty where no dataset can be charged for it.
    pub exposure: Option<Arc<Exposure>>,
    /// Counts what is told.
    pub meter: Option<Meter>,
    /// Why nothing more is told.
    pub withheld: Option<Denial>,
    /// Record that must be durable before more is told.
    pub waits_for: u64,
    through: BTreeMap<Door, Through>,
}

/// What went through one door.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Through {
    /// Messages, withheld ones included.
    pub messages: u64,
    /// Bytes of free content that left.
    pub bytes: u64,
    /// Bytes of free content that were kept back.
    pub withheld_bytes: u64,
}

impl Doors {
    /// Notes a message that left.
    pub fn left(&mut self, door: Door, bytes: usize) {
        let through = self.through.entry(door).or_default();
        through.messages = through.messages.saturating_add(1);
        through.bytes = through.bytes.saturating_add(u64::try_from(bytes).unwrap_or(u64::MAX));
    }

    /// Notes a message that was kept back.
    pub fn kept(&mut self, door: Door, bytes: usize) {
        let through = self.through.entry(door).or_default();
        through.messages = through.messages.saturating_add(1);
        through.withheld_bytes = through.withheld_bytes.saturating_add(u64::try_from(bytes).unwrap_or(u64::MAX));
    }

    /// Whether something went through a door, or was kept back at it.
    pub fn were_used(&self) -> bool {
        !self.through.is_empty()
    }

    /// What went through each door that was used.
    pub fn through(&self) -> impl Iterator<Item = (Door, Through)> {
        self.through.iter().map(|(door, through)| (*door, *through))
    }
}
