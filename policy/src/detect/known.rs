//! What was done before: hashes with the day when each was seen last.
//!
//! INVARIANT: `items` ascends and never holds more than its room; what was seen longest ago goes first.

/// Days after which something that was done is news again. Longer than a quarter, so that what comes once in three
/// months does not.
pub(crate) const MEMORY_DAYS: u32 = 100;
/// Bits of an item that hold the day; the others are of the hash.
const DAY_BITS: u32 = 16;
const DAY: u64 = (1 << DAY_BITS) - 1;

/// A set of hashes that forgets.
#[derive(Clone, Debug)]
pub(crate) struct Known {
    items: Vec<u64>,
    room: usize,
}

impl Known {
    /// An empty set with room for so many.
    pub(crate) fn new(room: usize) -> Known {
        Known { items: Vec::new(), room }
    }

    /// Whether it was seen not too long before this day.
    pub(crate) fn has(&self, hash: u64, today: u32) -> bool {
        let found = self.items.binary_search_by_key(&(hash >> DAY_BITS), |item| item >> DAY_BITS);
        found.is_ok_and(|place| (self.items[place] & DAY) + u64::from(MEMORY_DAYS) > stamp(today))
    }

    /// Notes that it was seen on this day.
    pub(crate) fn put(&mut self, hash: u64, today: u32) {
        let item = (hash >> DAY_BITS << DAY_BITS) | stamp(today);
        match self.place(item) {
            Ok(place) => self.items[place] = self.items[place].max(item),
            Err(place) if self.items.len() < self.room => self.items.insert(place, item),
            Err(_) => {
                let oldest = self.items.iter().enumerate().min_by_key(|(_, item)| **item & DAY).map(|(place, _)| place);
                oldest.map(|place| self.items.remove(place));
                let place = self.place(item).unwrap_or_else(|place| place);
                self.items.insert(place, item);
            }
        }
    }

    fn place(&self, item: u64) -> Result<usize, usize> {
        self.items.binary_search_by_key(&(item >> DAY_BITS), |known| known >> DAY_BITS)
    }

    /// Bytes that it takes up beside itself.
    #[cfg(test)]
    pub(crate) fn heap_bytes(&self) -> usize {
        self.items.capacity() * size_of::<u64>()
    }
}

/// The day as an item holds it: good until the year 2149.
fn stamp(day: u32) -> u64 {
    u64::from(u16::try_from(day).unwrap_or(u16::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_seen_is_known_until_it_is_old_or_room_is_needed() {
        let of = |number: u64| number << 32;
        let mut known = Known::new(3);
        (1..=3).for_each(|number| known.put(of(number), 10));
        known.put(of(1), 20);
        known.put(of(4), 20);
        assert_eq!([1, 2, 3, 4].map(|number| known.has(of(number), 20)), [true, false, true, true]);
        assert_eq!([1, 3].map(|number| known.has(of(number), 10 + MEMORY_DAYS)), [true, false]);
    }
}
