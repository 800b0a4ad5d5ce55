//! Copies keep their class: whoever reads one, whenever, is charged as if it were the table that it was made from.

mod both;
mod names;
mod numbers;

use weir_tests::audit::released;
use weir_tests::wait;
use weir_tests::weir::Weir;

/// Records per person and hour: one copy of everything, and a little.
const BUDGET: u64 = 4_000;

/// What a person has been charged in records, once the log says so many: completions are not waited for.
#[track_caller]
fn charged(weir: &Weir, person: &str, records: u64) {
    let what = format!("{records} records charged to {person}");
    wait::until(&what, wait::SOON, || (released(weir, person).records == records).then_some(()));
}
