//! Processes: long-lived ones that cannot outlive us, and client programs with a time limit.

use std::fs::File;
use std::io::{BufRead, BufReader, Read, Write};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, ExitStatus, Stdio};
use std::thread;
use std::time::Duration;

use crate::wait;

/// Starts the program, tells its pid, and ends it when our end of the pipe closes, which the kernel does for us
/// even when the test run is killed. Its exit code becomes the shell's. A directory in `TIE_REMOVE` goes with it.
const TIE: &str = r#"
exec 3<&0
"$@" </dev/null >>"$TIE_LOG" 2>&1 3<&- &
program=$!
echo $program
exec 1>&-
{ read -r _ <&3; kill -"$TIE_SIGNAL" $program; } 2>/dev/null &
watcher=$!
exec 3<&-
wait $program
code=$?
kill $watcher 2>/dev/null
[ -z "$TIE_REMOVE" ] || rm -rf "$TIE_REMOVE"
exit $code
"#;

/// How long a process that was asked to end may take before it is killed.
const END: Duration = Duration::from_secs(20);

/// A background process bound to ours.
#[derive(Debug)]
pub struct Tied {
    shell: Child,
    rope: Option<ChildStdin>,
    pid: u32,
    log: PathBuf,
}

impl Tied {
    /// Starts `program` with `arguments`, as `user` (uid, gid) when given, output appended to `log`; `signal` is
    /// what asks it to end (`TERM`, `INT`).
    pub fn start(
        program: &Path,
        arguments: &[String],
        environment: &[(String, String)],
        user: Option<(u32, u32)>,
        log: &Path,
        signal: &str,
    ) -> Tied {
        let mut command = Command::new("/bin/sh");
        command.arg("-c").arg(TIE).arg("sh").arg(program).args(arguments);
        command.env("TIE_LOG", log).env("TIE_SIGNAL", signal);
        for (name, value) in environment {
            command.env(name, value);
        }
        if let Some((uid, gid)) = user {
            command.uid(uid).gid(gid);
        }
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null());
        let mut shell = command.spawn().unwrap_or_else(|error| panic!("cannot start {}: {error}", program.display()));
        let rope = shell.stdin.take();
        let mut line = String::new();
        BufReader::new(shell.stdout.take().expect("piped")).read_line(&mut line).expect("the pid from the shell");
        let pid = line.trim().parse().unwrap_or_else(|_| panic!("{} did not start: `{line}`", program.display()));
        Tied { shell, rope, pid, log: log.to_path_buf() }
    }

    /// Process id of the program itself.
    pub fn pid(&self) -> u32 {
        self.pid
    }

    /// Exit code, when it has ended.
    pub fn ended(&mut self) -> Option<i32> {
        self.shell.try_wait().expect("our own child").map(code)
    }

    /// Sends a signal by name (`TERM`, `HUP`, `KILL`).
    pub fn signal(&self, name: &str) {
        signal(self.pid, name);
    }

    /// Waits for the end and returns the exit code (128 + signal when killed); panics after `limit`.
    pub fn wait(&mut self, limit: Duration) -> i32 {
        let what = format!("end of process {}; its log ends with:\n{}", self.pid, self.log_tail());
        let shell = &mut self.shell;
        wait::until(&what, limit, || shell.try_wait().expect("our own child").map(code))
    }

    /// The last lines of its output.
    pub fn log_tail(&self) -> String {
        let text = String::from_utf8_lossy(&std::fs::read(&self.log).unwrap_or_default()).into_owned();
        let lines: Vec<&str> = text.lines().collect();
        lines[lines.len().saturating_sub(30)..].join("\n")
    }
}

impl Drop for Tied {
    fn drop(&mut self) {
        drop(self.rope.take());
        let deadline = std::time::Instant::now() + END;
        while matches!(self.shell.try_wait(), Ok(None)) {
            if std::time::Instant::now() > deadline {
                signal(self.pid, "KILL");
                let _ = self.shell.wait();
                return;
            }
            thread::sleep(Duration::from_millis(5));
        }
    }
}

/// Sends signal `name` to `pid`; a process that has just ended is not an error.
pub fn signal(pid: u32, name: &str) {
    let _ = Command::new("/bin/sh").args(["-c", &format!("kill -{name} {pid}")]).stderr(Stdio::null()).status();
}

fn code(status: ExitStatus) -> i32 {
    use std::os::unix::process::ExitStatusExt;
    status.code().unwrap_or_else(|| 128 + status.signal().unwrap_or(0))
}

/// What a client program said.
#[derive(Debug)]
pub struct Output {
    /// Exit code; 128 + signal when killed.
    pub code: i32,
    /// Standard output, as text.
    pub stdout: String,
    /// Standard error, as text.
    pub stderr: String,
}

impl Output {
    /// Panics with everything it said unless it exited 0; returns its standard output.
    pub fn ok(self) -> String {
        assert_eq!(self.code, 0, "stdout:\n{}\nstderr:\n{}", self.stdout, self.stderr);
        self.stdout
    }
}

/// Runs a client program to its end, with `input` on its standard input; kills it and panics after `limit`.
pub fn run(command: &mut Command, input: &[u8], limit: Duration) -> Output {
    let name = format!("{:?}", command.get_program());
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap_or_else(|error| panic!("cannot start {name}: {error}"));
    let mut stdin = child.stdin.take().expect("piped");
    let input = input.to_vec();
    // A program that ends early closes the pipe: not our failure to report.
    let feeder = thread::spawn(move || drop(stdin.write_all(&input)));
    let stdout = reader(child.stdout.take().expect("piped"));
    let stderr = reader(child.stderr.take().expect("piped"));
    let deadline = std::time::Instant::now() + limit;
    let status = loop {
        if let Some(status) = child.try_wait().expect("our own child") {
            break status;
        }
        if std::time::Instant::now() > deadline {
            let _ = child.kill();
            let _ = child.wait();
            let (out, err) = (stdout.join().expect("reader"), stderr.join().expect("reader"));
            panic!("{name} still ran after {limit:?}; stdout:\n{out}\nstderr:\n{err}");
        }
        thread::sleep(Duration::from_millis(5));
    };
    feeder.join().expect("feeder");
    Output { code: code(status), stdout: stdout.join().expect("reader"), stderr: stderr.join().expect("reader") }
}

fn reader(mut pipe: impl Read + Send + 'static) -> thread::JoinHandle<String> {
    thread::spawn(move || {
        let mut bytes = Vec::new();
        let _ = pipe.read_to_end(&mut bytes);
        String::from_utf8_lossy(&bytes).into_owned()
    })
}

/// Creates a file, owned by `user` when given.
pub fn create_owned(path: &Path, user: Option<(u32, u32)>) {
    File::create(path).unwrap_or_else(|error| panic!("cannot create {}: {error}", path.display()));
    own(path, user);
}

/// Gives `path` to `user` when given.
pub fn own(path: &Path, user: Option<(u32, u32)>) {
    if let Some((uid, gid)) = user {
        std::os::unix::fs::chown(path, Some(uid), Some(gid))
            .unwrap_or_else(|error| panic!("cannot give {} away: {error}", path.display()));
    }
}
