//! What understanding a statement costs, held against figures: beside the parser alone on statements that programs
//! send, and on texts that are meant to exhaust.
//!
//! `cargo run --release -p weir-benches --bin analysis [-- [WORD]]`: a word picks what holds it (`corpus`, `texts`, or
//! part of a text's name). Ends with 1 when a figure is not met. Each text is read in a process of its own, so that the
//! most memory it ever held is the text's, and an overflow of the stack is one line and not the end of the run.
#![allow(
    clippy::print_stdout,
    clippy::print_stderr,
    clippy::expect_used,
    reason = "a program that measures talks to its caller and stops when a part does not work"
)]

mod corpus;
mod statements;
mod texts;
mod world;

use std::process::{Command, ExitCode};
use std::time::{Duration, Instant};

use weir_policy::analysis::{Context, analyse, analyse_shaped, shape};
use weir_policy::statement::{Access, Columns, Coverage};

use texts::{Expect, Text};
use world::World;

/// The stack of a session's worker: what a thread has that asks for none.
const WORKER_STACK_BYTES: usize = 2 * 1024 * 1024;
/// Longest that a text of a megabyte may take.
const TIME_MAX: Duration = Duration::from_millis(50);
/// Most memory that a text of a megabyte may cost beside itself, KiB.
const MEMORY_KIB_MAX: u64 = 64 * 1024;
/// Times that a text is read. What counts is the fastest, or the processor's time of all of them, since other programs
/// only ever add.
const ROUNDS: u32 = 4;
/// Length of the kernel's unit of processor time (USER_HZ), which is 100 a second on every Linux.
const TICK: Duration = Duration::from_millis(10);

fn main() -> ExitCode {
    let words: Vec<String> = std::env::args().skip(1).collect();
    match words.iter().map(String::as_str).collect::<Vec<_>>().as_slice() {
        ["--one", name] => one(name),
        [] => all(""),
        [word] if !word.starts_with('-') => all(word),
        _ => {
            eprintln!("usage: analysis [WORD]");
            ExitCode::from(2)
        }
    }
}

fn all(word: &str) -> ExitCode {
    if cfg!(debug_assertions) {
        eprintln!("analysis: this build is not optimised; the figures say nothing (use --release)");
    }
    let load = std::fs::read_to_string("/proc/loadavg").unwrap_or_default();
    println!("load of the machine: {}", load.trim());
    let mut met = true;
    let mut any = false;
    if word.is_empty() || word == "corpus" {
        met &= corpus::run();
        any = true;
    }
    let texts = texts::all().into_iter().filter(|text| word == "texts" || text.name.contains(word));
    for text in texts.filter(|_| word != "corpus") {
        if !any || word.is_empty() {
            any = true;
        }
        met &= measured(&text);
    }
    match (any, met) {
        (false, _) => {
            eprintln!("analysis: nothing holds that word");
            ExitCode::from(2)
        }
        (true, true) => ExitCode::SUCCESS,
        (true, false) => ExitCode::from(1),
    }
}

/// Reads a text in a process of its own; whether it is within the figures.
fn measured(text: &Text) -> bool {
    let program = std::env::current_exe().expect("this program has a path");
    let out = Command::new(program).args(["--one", &text.name]).output().expect("this program can be started");
    let line = String::from_utf8_lossy(&out.stdout);
    if !out.status.success() {
        let error = String::from_utf8_lossy(&out.stderr);
        println!("{:<44} ENDED: {} {}", text.name, out.status, error.lines().last().unwrap_or_default());
        return false;
    }
    print!("{line}");
    line.trim_end().ends_with("ok")
}

/// Reads one text on a stack such as a worker has, and prints what it took.
fn one(name: &str) -> ExitCode {
    let Some(text) = texts::all().into_iter().find(|text| text.name == name) else {
        eprintln!("analysis: there is no text `{name}`");
        return ExitCode::from(2);
    };
    let thread = std::thread::Builder::new().stack_size(WORKER_STACK_BYTES).spawn(move || read(&text));
    match thread.map(std::thread::JoinHandle::join) {
        Ok(Ok(())) => ExitCode::SUCCESS,
        _ => ExitCode::from(3),
    }
}

fn read(text: &Text) {
    let world = World::new(text.engine);
    let sql = (text.make)();
    let lex = weir_policy::analysis::LexSettings::of(text.engine);
    let context = Context { lex, catalog: &world.catalog, search_path: &world.search_path, temporary: &[] };
    // What is known of the server's own functions is put together once for a process.
    drop(analyse(b"select 1", &context));
    let before = memory("VmRSS");
    let mut times = Vec::new();
    let mut last = None;
    let mut peak = 0;
    let spent = processor_time();
    for _ in 0..ROUNDS {
        let begun = Instant::now();
        let shape = shape(&sql, lex);
        let shaped = begun.elapsed();
        // As a session does it.
        let analysis = analyse_shaped(&sql, &shape, &context);
        let analysed = begun.elapsed();
        let exposures: Vec<_> = analysis.statements.iter().map(|statement| world.binding.exposure(statement)).collect();
        let merged = world.binding.merge(exposures.iter());
        times.push((begun.elapsed(), shaped, analysed));
        if peak == 0 {
            peak = memory("VmHWM").saturating_sub(before);
        }
        drop((shape, merged));
        last = Some(analysis);
    }
    let Some(analysis) = last else { return };
    let spent = processor_time().saturating_sub(spent) / ROUNDS;
    let (fastest, shaped, analysed) = times.iter().min().copied().unwrap_or_default();
    let best = fastest.min(spent);
    let coverage = analysis.statements.iter().map(|statement| statement.coverage).max().unwrap_or(Coverage::Full);
    let gaps: std::collections::BTreeSet<&str> =
        analysis.statements.iter().flat_map(|statement| statement.gaps.iter().map(|gap| gap.code)).collect();
    let uses = || analysis.statements.iter().flat_map(|statement| &statement.uses);
    let touches = |access| uses().any(|usage| usage.oid == world::CUSTOMERS && usage.access == access);
    let lets_out = uses().any(|usage| {
        usage.oid == world::CUSTOMERS
            && (usage.released != Columns::None || usage.packed != Columns::None || usage.copied != Columns::None)
    });
    let right = match text.expect {
        Expect::Reads => touches(Access::Read) || coverage == Coverage::Opaque,
        Expect::OnlyWrites => {
            coverage == Coverage::Full && touches(Access::Write) && !touches(Access::Read) && !lets_out
        }
        Expect::Full => coverage == Coverage::Full,
        Expect::NotFull => coverage != Coverage::Full,
        Expect::Anything => true,
    };
    // A text that is far below a megabyte is held to the same figures: what it names may be large.
    let verdict = match (best <= TIME_MAX, peak <= MEMORY_KIB_MAX, right) {
        (true, true, true) => "ok",
        (false, _, true) => "SLOW",
        (_, false, true) => "LARGE",
        (_, _, false) => "WRONG",
    };
    let ms = |time: Duration| time.as_secs_f64() * 1e3;
    println!(
        "{:<44} {:>5} KB  {:>7.1} ms, {:>6.1} of the processor (shape {:.1}, analyse {:.1})  {:>5.1} MiB  {:?} {}  {verdict}",
        text.name,
        sql.len() / 1000,
        ms(fastest),
        ms(spent),
        ms(shaped),
        ms(analysed.saturating_sub(shaped)),
        f64::from(u32::try_from(peak).unwrap_or(u32::MAX)) / 1024.0,
        coverage,
        gaps.into_iter().collect::<Vec<_>>().join(","),
    );
}

/// What all threads of this process have had of the processor, those that have ended included.
fn processor_time() -> Duration {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap_or_default();
    // Behind the name, which may hold anything: utime and stime are the 12th and 13th.
    let fields = stat.rsplit(')').next().unwrap_or_default().split_whitespace();
    let ticks: u32 = fields.skip(11).take(2).filter_map(|field| field.parse::<u32>().ok()).sum();
    TICK * ticks
}

/// A line of this process's status, KiB; 0 where the system does not tell.
fn memory(name: &str) -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find(|line| line.starts_with(name));
    line.and_then(|line| line.split_whitespace().nth(1)?.parse().ok()).unwrap_or(0)
}
