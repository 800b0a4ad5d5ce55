//! Tries inputs: those of the corpus, then changes of what has shown something new.

use std::collections::HashSet;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use weir_fuzz::mutate::Mutator;
use weir_fuzz::rng::Rng;
use weir_fuzz::{Target, Traces};

use crate::arguments::{Arguments, Stop};
use crate::failure::{Current, Failure, note_panics, save, take_panic};
use crate::{MEMORY, corpus};

/// Most inputs to choose from; beyond it a new one takes the place of one that was found before.
const POOL_MAX: usize = 4096;
/// A run that has found so many different failures has enough to say.
const FAILURES_MAX: usize = 8;
/// How often a failing input is made smaller at most.
const SHRINKS_MAX: usize = 2000;
/// An unoptimised build, with its overflow checks, is given so many times the time.
const DEBUG_PATIENCE: u64 = if cfg!(debug_assertions) { 20 } else { 1 };
/// An input that takes longer hangs.
const HANG: Duration = Duration::from_secs(60);

/// Runs one target to the end that was asked for; true when everything held.
pub(crate) fn run(target: &Target, arguments: &Arguments) -> Result<bool, String> {
    let inputs = corpus::load(target, &arguments.corpus)?;
    let mut run = Run::new(target, &arguments.artifacts)?;
    for (name, input) in inputs {
        run.attempt(input, Some(&name))?;
    }
    let known = run.pool.len();
    let mut rng = Rng::new(arguments.seed);
    let mutator = Mutator { form: target.form, dictionary: target.dictionary, bytes_max: target.input_bytes_max };
    let begun = Instant::now();
    let mut tried = 0;
    while run.failures.len() < FAILURES_MAX {
        let done = match arguments.stop {
            Stop::Time(time) => begun.elapsed() >= time,
            Stop::Inputs(inputs) => tried >= inputs,
        };
        if done {
            break;
        }
        // What came last has been changed least.
        let base = run.pool.len() - 1 - rng.below(run.pool.len()).min(rng.below(run.pool.len()));
        let other = rng.below(run.pool.len());
        let input = mutator.change(&run.pool[base], &run.pool[other], &mut rng);
        run.attempt(input, None)?;
        if run.pool.len() > POOL_MAX {
            let index = known + rng.below(POOL_MAX - known.min(POOL_MAX - 1));
            run.pool.swap_remove(index);
        }
        tried += 1;
    }
    let seconds = begun.elapsed().as_secs_f64();
    println!(
        "{}: {tried} inputs in {seconds:.0} s from {known} of the corpus, {} traces, slowest {} ms, most memory {} KiB, seed {}: {}",
        target.name,
        run.seen.len(),
        run.slowest.as_millis(),
        run.peak / 1024,
        arguments.seed,
        if run.failures.is_empty() { "holds".to_owned() } else { format!("{} failures", run.failures.len()) },
    );
    Ok(run.failures.is_empty())
}

/// Tries files as they are.
pub(crate) fn replay(target: &Target, files: &[PathBuf]) -> Result<bool, String> {
    note_panics();
    let mut sound = true;
    for file in files {
        let input = std::fs::read(file).map_err(|error| format!("cannot read {}: {error}", file.display()))?;
        let tried = Tried::of(target, &input);
        sound &= tried.failure.is_none();
        let says = tried.failure.map_or_else(|| "holds".to_owned(), |failure| failure.message);
        println!("{}: {} ms, {} KiB: {says}", file.display(), tried.took.as_millis(), tried.peak / 1024);
    }
    Ok(sound)
}

struct Run<'t> {
    target: &'t Target,
    artifacts: &'t Path,
    current: Current,
    /// Milliseconds since `born` at which the present input began, plus one; 0 between inputs.
    since: Arc<AtomicU64>,
    born: Instant,
    pool: Vec<Vec<u8>>,
    seen: HashSet<u64>,
    failures: Vec<Failure>,
    slowest: Duration,
    peak: usize,
}

impl<'t> Run<'t> {
    fn new(target: &'t Target, artifacts: &'t Path) -> Result<Run<'t>, String> {
        note_panics();
        let born = Instant::now();
        let since = Arc::new(AtomicU64::new(0));
        watch(Arc::clone(&since), born);
        let current = Current::open(target, artifacts)?;
        Ok(Run {
            target,
            artifacts,
            current,
            since,
            born,
            pool: Vec::new(),
            seen: HashSet::new(),
            failures: Vec::new(),
            slowest: Duration::ZERO,
            peak: 0,
        })
    }

    /// Tries an input and learns from it. `name`: it belongs to the corpus.
    fn attempt(&mut self, input: Vec<u8>, name: Option<&str>) -> Result<(), String> {
        self.current.keep(&input);
        let tried = self.watched(&input);
        self.slowest = self.slowest.max(tried.took);
        self.peak = self.peak.max(tried.peak);
        if let Some(failure) = tried.failure {
            if self.failures.iter().all(|known| known.kind != failure.kind) {
                let small = self.shrunk(&input, &failure);
                let path = save(self.target, self.artifacts, "fails", &small)?;
                let from = name.map(|name| format!(" (from {name})")).unwrap_or_default();
                println!("{}: {}{from}\n    the input is {}", self.target.name, failure.message, path.display());
                self.failures.push(failure);
            }
        } else {
            let known = self.seen.len();
            self.seen.extend(tried.traces.unwrap_or_default().0);
            if self.seen.len() > known || name.is_some() {
                self.pool.push(input);
            }
        }
        Ok(())
    }

    fn watched(&self, input: &[u8]) -> Tried {
        let now = u64::try_from(self.born.elapsed().as_millis()).unwrap_or(u64::MAX - 1);
        self.since.store(now + 1, Ordering::Relaxed);
        let tried = Tried::of(self.target, input);
        self.since.store(0, Ordering::Relaxed);
        tried
    }

    /// A smaller input that fails alike.
    fn shrunk(&self, input: &[u8], failure: &Failure) -> Vec<u8> {
        let mut small = input.to_vec();
        let mut tries = 0;
        let mut size = small.len().next_power_of_two() / 2;
        while size > 0 {
            let mut at = 0;
            while at < small.len() && tries < SHRINKS_MAX {
                let mut candidate = small.clone();
                candidate.drain(at..(at + size).min(small.len()));
                tries += 1;
                self.current.keep(&candidate);
                if self.watched(&candidate).failure.is_some_and(|other| other.kind == failure.kind) {
                    small = candidate;
                } else {
                    at += size;
                }
            }
            size /= 2;
        }
        small
    }
}

/// What became of one input.
struct Tried {
    traces: Option<Traces>,
    failure: Option<Failure>,
    took: Duration,
    /// Bytes allocated at once on top of what was there before.
    peak: usize,
}

impl Tried {
    fn of(target: &Target, input: &[u8]) -> Tried {
        let mut tried = Tried::once(target, input);
        let limit = Duration::from_millis(target.time_ms_max * DEBUG_PATIENCE);
        if tried.failure.is_none() && tried.took > limit {
            // Once may be the machine's fault.
            let again = (0..2).map(|_| Tried::once(target, input).took).min().unwrap_or_default();
            if again > limit {
                let message =
                    format!("{} bytes took {} ms, more than {} ms", input.len(), again.as_millis(), limit.as_millis());
                tried.failure = Some(Failure { kind: "slow".to_owned(), message });
            }
        }
        tried
    }

    fn once(target: &Target, input: &[u8]) -> Tried {
        MEMORY.reset_peak_usage();
        let before = MEMORY.current_usage();
        let begun = Instant::now();
        let traces = catch_unwind(AssertUnwindSafe(|| (target.check)(input))).ok();
        let took = begun.elapsed();
        let peak = MEMORY.peak_usage().saturating_sub(before);
        let (base, factor) = target.memory_bytes_max;
        let limit = base + factor * input.len();
        let failure = take_panic().or_else(|| {
            (peak > limit).then(|| Failure {
                kind: "memory".to_owned(),
                message: format!("{} bytes took {peak} bytes of memory, more than {limit}", input.len()),
            })
        });
        Tried { traces, failure, took, peak }
    }
}

/// Ends the process when an input hangs; whoever started it knows which one it was.
fn watch(since: Arc<AtomicU64>, born: Instant) {
    std::thread::spawn(move || {
        loop {
            std::thread::sleep(Duration::from_secs(1));
            let begun = since.load(Ordering::Relaxed);
            if begun > 0 && born.elapsed() > Duration::from_millis(begun - 1) + HANG {
                println!("an input has been running for more than {} s", HANG.as_secs());
                std::process::exit(4);
            }
        }
    });
}
