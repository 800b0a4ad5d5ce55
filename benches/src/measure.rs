//! The clock: how long one call takes, as the median of batches.
//!
//! A batch is long enough that reading the clock costs nothing; the median of many batches leaves out what other
//! programs took; the fastest batch says what the machine could do.

use std::hint::black_box;
use std::time::{Duration, Instant};

/// Batches of one measurement.
const BATCHES: usize = 15;

/// What one operation handles besides itself.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Per {
    /// Nothing that is counted.
    Call,
    /// So many bytes: told as MB/s.
    Bytes(usize),
    /// So many rows: told as time of a row; and so many bytes.
    Rows(usize, usize),
}

/// One line of the table.
#[derive(Clone, Debug)]
pub(crate) struct Line {
    /// What was measured.
    pub(crate) name: String,
    /// Median nanoseconds of one operation, or of one row.
    pub(crate) ns: f64,
    /// The fastest and the slowest batch, nanoseconds likewise.
    pub(crate) ns_range: (f64, f64),
    /// Megabytes a second at the median, where bytes are handled.
    pub(crate) mb_per_s: Option<f64>,
}

/// Collects lines, and leaves out what nobody asked for.
#[derive(Debug)]
pub(crate) struct Bench {
    filter: Option<String>,
    batch: Duration,
    lines: Vec<Line>,
}

impl Bench {
    /// `filter`: only names that hold this word. `batch`: how long one batch takes.
    pub(crate) fn new(filter: Option<String>, batch: Duration) -> Bench {
        Bench { filter, batch, lines: Vec::new() }
    }

    /// Whether any measurement of this group is asked for, so that its preparations can be left out.
    pub(crate) fn wants(&self, name: &str) -> bool {
        self.filter.as_ref().is_none_or(|filter| name.contains(filter.as_str()) || filter.starts_with(name))
    }

    /// Measures a call.
    pub(crate) fn run<R>(&mut self, name: &str, per: Per, mut call: impl FnMut() -> R) {
        self.run_prepared(name, per, || (), |()| call());
    }

    /// Measures a call on something that is made anew for each batch of calls, outside of the clock.
    pub(crate) fn run_prepared<S, R>(
        &mut self,
        name: &str,
        per: Per,
        mut prepare: impl FnMut() -> S,
        mut call: impl FnMut(&mut S) -> R,
    ) where
        S: Sized,
    {
        if self.filter.as_ref().is_some_and(|filter| !name.contains(filter.as_str())) {
            return;
        }
        let mut calls = 1_u32;
        loop {
            let took = batch(calls, &mut prepare, &mut call);
            if took >= self.batch || calls > u32::MAX / 4 {
                break;
            }
            let wanted = self.batch.as_secs_f64() / took.as_secs_f64().max(1e-9);
            calls = calls.saturating_mul(if wanted > 16.0 { 8 } else { 2 });
        }
        let each = |took: Duration| took.as_secs_f64() * 1e9 / f64::from(calls);
        let mut times: Vec<f64> = (0..BATCHES).map(|_| each(batch(calls, &mut prepare, &mut call))).collect();
        times.sort_by(f64::total_cmp);
        let (median, fastest, slowest) = (times[BATCHES / 2], times[0], times[BATCHES - 1]);
        let (units, bytes) = match per {
            Per::Call => (1, None),
            Per::Bytes(bytes) => (1, Some(bytes)),
            Per::Rows(rows, bytes) => (rows, Some(bytes)),
        };
        let unit = |ns: f64| ns / as_f64(units);
        self.push(Line {
            name: name.to_owned(),
            ns: unit(median),
            ns_range: (unit(fastest), unit(slowest)),
            mb_per_s: bytes.map(|bytes| as_f64(bytes) * 1e3 / median),
        });
    }

    /// Adds a line that was measured elsewhere, and prints it.
    pub(crate) fn push(&mut self, line: Line) {
        crate::table::row(&line);
        self.lines.push(line);
    }

    /// Everything that was measured.
    pub(crate) fn lines(&self) -> &[Line] {
        &self.lines
    }
}

fn batch<S, R>(calls: u32, prepare: &mut impl FnMut() -> S, call: &mut impl FnMut(&mut S) -> R) -> Duration {
    let mut subject = prepare();
    let begun = Instant::now();
    for _ in 0..calls {
        black_box(call(black_box(&mut subject)));
    }
    begun.elapsed()
}

/// Exact up to 2^53, which no count here reaches.
pub(crate) fn as_f64(number: usize) -> f64 {
    u32::try_from(number).map_or(f64::from(u32::MAX), f64::from)
}
