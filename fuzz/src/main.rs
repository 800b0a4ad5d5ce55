//! Runs the targets on stable Rust: corpus first, then changes of it, for a time or a number of inputs.
//!
//! A target runs in a process of its own, so that an overflow of the stack or an abort is a finding and not the end of
//! the run. With the same seed, corpus and number of inputs, a run is the same run.
#![allow(clippy::print_stdout, clippy::print_stderr, reason = "it talks to the person who runs it")]

mod arguments;
mod corpus;
mod failure;
mod worker;

use std::process::{Command, ExitCode};
use std::time::Duration;

use arguments::{Arguments, Stop};
use weir_fuzz::Target;

/// Counts what an input allocates.
#[global_allocator]
static MEMORY: peak_alloc::PeakAlloc = peak_alloc::PeakAlloc;

fn main() -> ExitCode {
    let arguments = match Arguments::read(std::env::args().skip(1)) {
        Ok(arguments) => arguments,
        Err(error) => {
            eprintln!("weir-fuzz: {error}\n\n{}", arguments::USAGE);
            return ExitCode::from(2);
        }
    };
    let result = if arguments.write_seeds {
        corpus::write_seeds(&arguments.corpus).map(|()| true)
    } else if let Some(files) = &arguments.replay {
        worker::replay(arguments.targets[0], files)
    } else if arguments.worker {
        worker::run(arguments.targets[0], &arguments)
    } else {
        supervise(&arguments)
    };
    match result {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::from(1),
        Err(error) => {
            eprintln!("weir-fuzz: {error}");
            ExitCode::from(3)
        }
    }
}

/// Runs each target in a process of its own; true when all of them hold.
fn supervise(arguments: &Arguments) -> Result<bool, String> {
    let mut sound = true;
    for target in &arguments.targets {
        sound &= supervise_one(target, arguments)?;
    }
    Ok(sound)
}

fn supervise_one(target: &Target, arguments: &Arguments) -> Result<bool, String> {
    let program = std::env::current_exe().map_err(|error| format!("cannot find this program: {error}"))?;
    let mut command = Command::new(program);
    command.args(["--worker", "--target", target.name, "--seed", &arguments.seed.to_string()]);
    command.arg("--corpus").arg(&arguments.corpus).arg("--artifacts").arg(&arguments.artifacts);
    match arguments.stop {
        Stop::Time(Duration { .. }) => command.args(["--seconds", &arguments.seconds().to_string()]),
        Stop::Inputs(inputs) => command.args(["--inputs", &inputs.to_string()]),
    };
    let status = command.status().map_err(|error| format!("cannot start the run of {}: {error}", target.name))?;
    match status.code() {
        Some(0) => Ok(true),
        Some(1) => Ok(false),
        // Neither held nor failed: it was aborted, overflowed its stack, or was ended by its watchdog.
        _ => {
            let saved = failure::save_current(target, &arguments.artifacts)?;
            println!("{}: ended by {status}; the input is {}", target.name, saved.display());
            Ok(false)
        }
    }
}
