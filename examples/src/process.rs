//! Processes of ours: each is stopped by its own process id, in the order in which the holder drops them.
//!
//! A process is in a group of its own, so that Ctrl-C reaches the demonstration alone and it decides the order; and
//! the kernel ends it when the demonstration is killed before it could.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use crate::failure::{Context, Failure};

/// How long a process that was asked to end may take before it is killed.
const STOP_LIMIT: Duration = Duration::from_secs(30);

/// Pause between two looks at a process.
const PAUSE: Duration = Duration::from_millis(10);

/// Lines of a process's log that are shown when it fails.
const LOG_TAIL_LINES: usize = 20;

/// How to start a process.
#[derive(Debug)]
pub(crate) struct Start<'a> {
    /// What it is called in messages.
    pub(crate) name: &'static str,
    /// The program.
    pub(crate) program: &'a Path,
    /// Its arguments.
    pub(crate) arguments: &'a [String],
    /// The account that it runs as, when not ours.
    pub(crate) account: Option<&'a str>,
    /// Where its output goes; made by the caller where the account needs that.
    pub(crate) log: PathBuf,
    /// The signal that asks it to end, by name.
    pub(crate) stop_signal: &'static str,
    /// Whether it may outlive us.
    pub(crate) keep: bool,
}

/// A running process.
#[derive(Debug)]
pub(crate) struct Process {
    name: &'static str,
    child: Option<Child>,
    log: PathBuf,
    stop_signal: &'static str,
}

impl Process {
    /// Starts it.
    pub(crate) fn start(start: Start<'_>) -> Result<Process, Failure> {
        use std::os::unix::process::CommandExt;
        let Start { name, program, arguments, account, log, stop_signal, keep } = start;
        let output = File::options().create(true).append(true).open(&log);
        let output = output.context(format_args!("cannot write {}", log.display()))?;
        let errors = output.try_clone().context(format_args!("cannot write {}", log.display()))?;
        let tie = if keep { None } else { Some(stop_signal) };
        let mut command = lent(program, account, tie);
        command.args(arguments).current_dir("/").process_group(0);
        command.stdin(Stdio::null()).stdout(output).stderr(errors);
        let child = command.spawn().context(format_args!("cannot start {name} ({})", program.display()))?;
        Ok(Process { name, child: Some(child), log, stop_signal })
    }

    /// Process id; 0 after its end.
    pub(crate) fn pid(&self) -> u32 {
        self.child.as_ref().map_or(0, Child::id)
    }

    /// Fails with the end of its log when it no longer runs.
    pub(crate) fn still_runs(&mut self) -> Result<(), Failure> {
        let ended = match &mut self.child {
            Some(child) => child.try_wait().context(format_args!("cannot look at {}", self.name))?,
            None => return Err(Failure::new(format!("{} was stopped", self.name))),
        };
        match ended {
            None => Ok(()),
            Some(status) => Err(Failure::new(format!("{} ended with {status}; {}", self.name, self.log_tail()))),
        }
    }

    /// Asks it to end and waits; kills it when it does not.
    pub(crate) fn stop(&mut self) -> Result<ExitStatus, Failure> {
        let Some(mut child) = self.child.take() else {
            return Err(Failure::new(format!("{} was stopped already", self.name)));
        };
        let doing = format!("cannot stop {}", self.name);
        if let Some(status) = child.try_wait().context(&doing)? {
            return Ok(status);
        }
        signal(child.id(), self.stop_signal);
        let deadline = Instant::now() + STOP_LIMIT;
        loop {
            if let Some(status) = child.try_wait().context(&doing)? {
                return Ok(status);
            }
            if Instant::now() > deadline {
                child.kill().context(&doing)?;
                return child.wait().context(&doing);
            }
            std::thread::sleep(PAUSE);
        }
    }

    /// Lets it run on after us.
    pub(crate) fn leave(&mut self) {
        self.child = None;
    }

    /// The last lines of its log, introduced.
    pub(crate) fn log_tail(&self) -> String {
        tail(&self.log)
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // A process that cannot be stopped was killed by then: nothing more can be done for it here.
        let _ = self.stop();
    }
}

/// Runs a program to its end.
///
/// # Errors
/// When it cannot be started or does not exit with 0; its output is in the message.
pub(crate) fn run(program: &Path, arguments: &[&str], account: Option<&str>) -> Result<String, Failure> {
    let name = program.display();
    let output = lent(program, account, None)
        .args(arguments)
        .current_dir("/")
        .stdin(Stdio::null())
        .output()
        .context(format_args!("cannot start {name}"))?;
    let said = |bytes: &[u8]| String::from_utf8_lossy(bytes).trim_end().to_owned();
    if output.status.success() {
        return Ok(said(&output.stdout));
    }
    let words = [said(&output.stdout), said(&output.stderr)].join("\n");
    Err(Failure::new(format!("{name} {} ended with {}:\n{}", arguments.join(" "), output.status, words.trim())))
}

/// The end of a log file, introduced by its name.
fn tail(log: &Path) -> String {
    let text = String::from_utf8_lossy(&std::fs::read(log).unwrap_or_default()).into_owned();
    let lines: Vec<&str> = text.lines().collect();
    let last = &lines[lines.len().saturating_sub(LOG_TAIL_LINES)..];
    format!("the end of {}:\n{}", log.display(), last.join("\n"))
}

/// `program`, run as `account`, and signalled by the kernel when our process ends.
fn lent(program: &Path, account: Option<&str>, tie: Option<&str>) -> Command {
    if account.is_none() && tie.is_none() {
        return Command::new(program);
    }
    // setpriv (util-linux, on every Debian) becomes the program: the process id stays the program's own.
    let mut command = Command::new("setpriv");
    if let Some(account) = account {
        command.args(["--reuid", account, "--regid", account, "--init-groups"]);
    }
    if let Some(signal) = tie {
        command.args(["--pdeathsig", signal]);
    }
    command.arg("--").arg(program);
    command
}

/// Sends a signal by name. A process that has just ended is not an error.
fn signal(pid: u32, name: &str) {
    let _ = Command::new("/bin/sh").args(["-c", &format!("kill -{name} {pid}")]).stderr(Stdio::null()).status();
}
