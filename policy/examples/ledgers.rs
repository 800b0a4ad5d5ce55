//! What the ledgers of many people take in memory, after thirty days of work: `cargo run -p weir-policy --example ledgers`.
//!
//! Each person reads so many records a day in the hours of a shift, half of them for the first time in the thirty days.
#![allow(clippy::print_stdout)]

use peak_alloc::PeakAlloc;
use weir_policy::ledger::{Ledger, LedgerTime, RecordKey, Replay};

#[global_allocator]
static MEMORY: PeakAlloc = PeakAlloc;

const PEOPLE: u64 = 10_000;
const DAYS: u64 = 30;
const DAY_MS: u64 = 24 * 3600 * 1000;
/// Records that a person reads in a day.
const RECORDS: u64 = 40;

fn main() {
    let before = MEMORY.current_usage();
    let mut ledgers: Vec<Ledger> = (0..PEOPLE).map(Ledger::seeded).collect();
    for (person, ledger) in (0_u64..).zip(&mut ledgers) {
        for day in 0..DAYS {
            for record in 0..RECORDS {
                let at = LedgerTime((20_000 + day) * DAY_MS + 8 * 3_600_000 + record * 720_000 + person % 600_000);
                // Every second record is one of the week before.
                let number = if record % 2 == 0 { day * RECORDS + record } else { (day / 7) * RECORDS + record };
                let key = RecordKey(spread(person * 1_000_000 + number));
                let charge = Replay { dataset: "customers", at, keys: &[key], unkeyed: 0, rows: 1, bytes: 120 };
                ledger.replay(&charge);
            }
        }
    }
    let used = MEMORY.current_usage() - before;
    println!(
        "{PEOPLE} people, {DAYS} days, {RECORDS} records a day: {:.1} MiB, {} bytes a person",
        used as f64 / (1024.0 * 1024.0),
        used as u64 / PEOPLE
    );
}

/// A number as a keyed hash would spread it.
fn spread(number: u64) -> u128 {
    let mixed = u128::from(number.wrapping_mul(0x9E37_79B9_7F4A_7C15));
    (mixed << 64) | u128::from(number.wrapping_mul(0xD6E8_FEB8_6659_FD93))
}
