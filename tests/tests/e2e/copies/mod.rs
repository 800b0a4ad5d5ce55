//! Copies keep their class: whoever reads one, whenever, is charged as if it were the table that it was made from.

mod both;
mod names;
mod numbers;

/// Records per person and hour: one copy of everything, and a little.
const BUDGET: u64 = 4_000;
