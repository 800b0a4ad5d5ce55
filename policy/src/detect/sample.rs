//! How many different things there were, and how many two people have in common, in little memory.
//!
//! A sample keeps the smallest hashes (bottom-k, as theta sketches do), each with the day when it was seen last, so that
//! what is older than the window leaves it. Up to its room it is exact; above, its relative error is about one over the
//! root of the room: 6 % with 256. Sketches of libraries do not forget: a sliding month of theirs would need one for each
//! day.
//!
//! INVARIANT: `kept` ascends, has no hash above `below`, and is a sample of every hash below it that is in the window.

/// Bits of an entry that hold the day.
const DAY_BITS: u32 = 16;
/// Hashes are cut to 48 bits.
const HASHES: u64 = 1 << (64 - DAY_BITS);

/// A sample of hashes.
#[derive(Clone, Debug)]
pub(crate) struct Sample {
    /// Hash in the upper bits, day in the lower.
    kept: Vec<u64>,
    below: u64,
    room: usize,
}

/// Two samples beside each other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Overlap {
    /// In both.
    pub(crate) common: u64,
    /// In either.
    pub(crate) union: u64,
}

impl Sample {
    /// An empty sample with room for so many hashes.
    pub(crate) fn new(room: usize) -> Sample {
        Sample { kept: Vec::new(), below: HASHES, room }
    }

    /// Adds a hash that was seen on a day, or moves it there.
    pub(crate) fn put(&mut self, hash: u64, day: u32) {
        let hash = hash >> DAY_BITS;
        if hash >= self.below {
            return;
        }
        let entry = (hash << DAY_BITS) | stamp(day);
        match self.kept.binary_search_by_key(&hash, |kept| kept >> DAY_BITS) {
            Ok(place) => self.kept[place] = self.kept[place].max(entry),
            Err(place) if self.kept.len() < self.room => self.kept.insert(place, entry),
            // It is larger than all that are kept: they stand for it.
            Err(place) if place >= self.room => self.below = hash,
            Err(place) => {
                if let Some(largest) = self.kept.pop() {
                    self.below = largest >> DAY_BITS;
                }
                self.kept.insert(place, entry);
            }
        }
    }

    /// Forgets what was not seen since a day.
    pub(crate) fn expire(&mut self, since: u32) {
        self.kept.retain(|entry| entry & ((1 << DAY_BITS) - 1) >= stamp(since));
        if self.kept.is_empty() {
            self.below = HASHES;
        }
    }

    /// How many different hashes were seen since a day.
    pub(crate) fn count(&self, since: u32) -> u64 {
        let seen = self.kept.iter().filter(|entry| **entry & ((1 << DAY_BITS) - 1) >= stamp(since)).count();
        estimate(seen, self.below)
    }

    /// What two samples have in common, of what was seen since a day.
    pub(crate) fn overlap(&self, other: &Sample, since: u32) -> Overlap {
        let below = self.below.min(other.below);
        let of = |sample: &Sample| -> Vec<u64> {
            let recent = sample.kept.iter().filter(|entry| **entry & ((1 << DAY_BITS) - 1) >= stamp(since));
            recent.map(|entry| entry >> DAY_BITS).filter(|hash| *hash < below).collect()
        };
        let (one, two) = (of(self), of(other));
        let common = one.iter().filter(|hash| two.binary_search(hash).is_ok()).count();
        Overlap { common: estimate(common, below), union: estimate(one.len() + two.len() - common, below) }
    }

    /// Bytes that it takes up beside itself.
    #[cfg(test)]
    pub(crate) fn heap_bytes(&self) -> usize {
        self.kept.capacity() * size_of::<u64>()
    }
}

fn estimate(seen: usize, below: u64) -> u64 {
    let seen = u64::try_from(seen).unwrap_or(u64::MAX);
    u64::try_from(u128::from(seen) * u128::from(HASHES) / u128::from(below.max(1))).unwrap_or(u64::MAX)
}

/// The day as an entry holds it: good until the year 2149.
fn stamp(day: u32) -> u64 {
    u64::from(u16::try_from(day).unwrap_or(u16::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::detect::observation::name_hash;

    fn sample(range: std::ops::Range<u64>, day: u32) -> Sample {
        let mut sample = Sample::new(256);
        range.for_each(|number| sample.put(name_hash(&[&number.to_string()]), day));
        sample
    }

    #[test]
    fn few_are_counted_exactly_and_many_nearly() {
        assert_eq!(sample(0..200, 5).count(5), 200);
        let many = sample(0..20_000, 5).count(5);
        assert!((16_000..24_000).contains(&many), "{many}");
        assert_eq!(sample(0..20_000, 5).kept.len(), 256);
    }

    #[test]
    fn what_is_old_is_forgotten() {
        let mut sample = sample(0..100, 5);
        (50..150).for_each(|number| sample.put(name_hash(&[&number.to_string()]), 6));
        assert_eq!((sample.count(5), sample.count(6), sample.count(7)), (150, 100, 0));
        sample.expire(6);
        assert_eq!(sample.count(0), 100);
    }

    #[test]
    fn overlaps() {
        let exact = sample(0..150, 1).overlap(&sample(100..250, 1), 1);
        assert_eq!(exact, Overlap { common: 50, union: 250 });
        let disjoint = sample(0..5_000, 1).overlap(&sample(5_000..10_000, 1), 1);
        assert!(disjoint.common == 0 && (8_000..12_000).contains(&disjoint.union), "{disjoint:?}");
    }
}
