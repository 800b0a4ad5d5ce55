"""Background processes that cannot outlive the run, and free ports."""

import os
import pwd
import shutil
import signal
import socket
import subprocess
import time

# Starts the program, tells its pid, and ends it when our end of the pipe closes, which the kernel does for us even
# when the run is killed.
TIE = r"""
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
exit $code
"""
END_SECONDS = 40


def free_port():
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return listener.getsockname()[1]


def server_user():
    """The account that servers run as: they refuse to be root, so root lends them another."""
    if os.getuid() != 0:
        return None
    for name in ("postgres", "mysql", "nobody"):
        try:
            return pwd.getpwnam(name)
        except KeyError:
            continue
    raise SystemExit("no account to run a server as: neither postgres, mysql nor nobody exists")


def as_user(user):
    """Arguments of subprocess that make a program run as this account."""
    return {} if user is None else {"user": user.pw_uid, "group": user.pw_gid, "extra_groups": []}


def own(path, user):
    if user is not None:
        os.chown(path, user.pw_uid, user.pw_gid)


def run(arguments, user=None, **options):
    """Runs to the end; says all when it fails."""
    done = subprocess.run(arguments, capture_output=True, text=True, cwd="/", **as_user(user), **options)
    if done.returncode:
        raise SystemExit(f"{' '.join(arguments)[:200]}\nended with {done.returncode}:\n{done.stdout}{done.stderr}")
    return done.stdout


class Tied:
    """A background process bound to ours. `ask_to_end` is the signal that does."""

    def __init__(self, arguments, log, user=None, environment=None, ask_to_end="TERM"):
        self.log, self.name = log, os.path.basename(arguments[0])
        with open(log, "a", encoding="utf-8"):
            own(log, user)
        environment = {**os.environ, **(environment or {}), "TIE_LOG": log, "TIE_SIGNAL": ask_to_end}
        self.shell = subprocess.Popen(
            ["/bin/sh", "-c", TIE, "sh", *arguments], stdin=subprocess.PIPE, stdout=subprocess.PIPE, cwd="/",
            env=environment, start_new_session=True, **as_user(user))
        self.pid = int(self.shell.stdout.readline())

    def wait_until(self, ready, seconds=120):
        end = time.monotonic() + seconds
        while not ready():
            if self.shell.poll() is not None or time.monotonic() > end:
                raise SystemExit(f"{self.name} did not start; its log ends with:\n{self.log_tail()}")
            time.sleep(0.1)

    def log_tail(self):
        with open(self.log, errors="replace", encoding="utf-8") as log:
            return "".join(log.readlines()[-20:])

    def ended(self):
        return self.shell.poll() is not None

    def stop(self):
        self.shell.stdin.close()
        try:
            self.shell.wait(END_SECONDS)
        except subprocess.TimeoutExpired:
            os.kill(self.pid, signal.SIGKILL)
            self.shell.wait()


def program(name, *places):
    """Where a program is; Debian keeps servers out of an ordinary user's PATH."""
    found = shutil.which(name, path=os.pathsep.join([*places, os.environ.get("PATH", ""), "/usr/sbin"]))
    if not found:
        raise SystemExit(f"`{name}` is missing: run tests/setup.sh first")
    return found
