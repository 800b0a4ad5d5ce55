//! What was done before: hashes with the day when each was seen last.
//!
//! INVARIANT: `items` ascends by hash and never holds more than its room; what was seen longest ago goes first.

/// Days after which something that was done is news again. Longer than a quarter, so that what comes once in three
/// months does not.
pub(crate) const MEMORY_DAYS: u32 = 100;

/// A set of hashes that forgets.
#[derive(Clone, Debug)]
pub(crate) struct Known {
    items: Vec<(u64, u32)>,
    room: usize,
}

impl Known {
    /// An empty set with room for so many.
    pub(crate) fn new(room: usize) -> Known {
        Known { items: Vec::new(), room }
    }

    /// Whether it was seen not too long before this day.
    pub(crate) fn has(&self, hash: u64, today: u32) -> bool {
        let found = self.items.binary_search_by_key(&hash, |(known, _)| *known);
        found.is_ok_and(|place| self.items[place].1.saturating_add(MEMORY_DAYS) > today)
    }

    /// Notes that it was seen on this day.
    pub(crate) fn put(&mut self, hash: u64, today: u32) {
        match self.items.binary_search_by_key(&hash, |(known, _)| *known) {
            Ok(place) => self.items[place].1 = self.items[place].1.max(today),
            Err(place) => {
                self.items.insert(place, (hash, today));
                if self.items.len() > self.room {
                    let oldest = self.items.iter().enumerate().min_by_key(|(_, (_, day))| *day).map(|(place, _)| place);
                    oldest.map(|place| self.items.remove(place));
                }
            }
        }
    }

    /// Bytes that it takes up beside itself.
    #[cfg(test)]
    pub(crate) fn heap_bytes(&self) -> usize {
        self.items.capacity() * size_of::<(u64, u32)>()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_seen_is_known_until_it_is_old_or_room_is_needed() {
        let mut known = Known::new(3);
        (1..=3).for_each(|hash| known.put(hash, 10));
        known.put(1, 20);
        known.put(4, 20);
        assert_eq!([1, 2, 3, 4].map(|hash| known.has(hash, 20)), [true, false, true, true]);
        assert_eq!([1, 3].map(|hash| known.has(hash, 10 + MEMORY_DAYS)), [true, false]);
    }
}
