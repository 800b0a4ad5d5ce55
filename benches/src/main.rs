//! What the parts of Weir cost, one by one: decode, shape, analyse, admit, charge, append.
//!
//! `cargo run --release -p weir-benches [-- [--quick] [--json FILE] [WORD]]`: a word picks the lines that hold it. See
//! `README.md` for how to read the numbers, and for the bench of the whole proxy.
#![allow(
    clippy::print_stdout,
    clippy::print_stderr,
    clippy::expect_used,
    reason = "a program that measures talks to its caller and stops when a part does not work"
)]

mod append;
mod database;
mod decode;
mod measure;
mod policy;
mod sql;
mod table;

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use measure::Bench;

/// Long enough that a tick of the scheduler is lost in it.
const BATCH: Duration = Duration::from_millis(40);
const BATCH_QUICK: Duration = Duration::from_millis(5);

fn main() -> ExitCode {
    let mut batch = BATCH;
    let (mut filter, mut json) = (None, None);
    let mut words = std::env::args().skip(1);
    while let Some(word) = words.next() {
        match word.as_str() {
            "--quick" => batch = BATCH_QUICK,
            "--json" => match words.next() {
                Some(path) => json = Some(PathBuf::from(path)),
                None => return usage("`--json` wants a file"),
            },
            _ if word.starts_with('-') => return usage(&format!("unknown argument `{word}`")),
            _ => filter = Some(word),
        }
    }
    if cfg!(debug_assertions) {
        eprintln!("weir-benches: this build is not optimised; the numbers say nothing (use --release)");
    }
    let mut bench = Bench::new(filter, batch);
    table::head();
    decode::run(&mut bench);
    sql::run(&mut bench);
    policy::run(&mut bench);
    append::run(&mut bench);
    match json.map_or(Ok(()), |path| table::write(bench.lines(), &path)) {
        Ok(()) if bench.lines().is_empty() => usage("no line holds that word"),
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("weir-benches: {error}");
            ExitCode::from(3)
        }
    }
}

fn usage(error: &str) -> ExitCode {
    eprintln!("weir-benches: {error}\nusage: weir-benches [--quick] [--json FILE] [WORD]");
    ExitCode::from(2)
}
