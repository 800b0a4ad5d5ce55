"""Plays the steps of a case as its client, over wires of our own or with real programs."""

import glob
import os
import shutil
import subprocess
import sys
import tempfile
import time
import traceback
from dataclasses import dataclass, field

from . import adaptive
from .admin import PASSWORD
from .recorder import Recorder
from .substitute import substitute
from .wire import Closed

HERE = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
ERRORS_KEPT = 20
ERROR_CHARACTERS = 300


@dataclass
class Stage:
    """Where cases are played: `target` is what clients connect to, the server itself or Weir; `server` the server."""
    engine: str
    target: tuple
    server: object
    admin: object
    scanner: object
    population: object


@dataclass
class Outcome:
    """What one case came to."""
    case: str
    records: dict = field(default_factory=dict)     # {table: distinct records at the client}
    carriers: dict = field(default_factory=dict)    # {carrier: {table.column: distinct records}}
    server: dict = field(default_factory=dict)      # {name: rows} of copies on the server
    rows: int = 0
    errors: list = field(default_factory=list)
    error_count: int = 0
    crash: str | None = None
    digest: str = ""
    seconds: float = 0.0

    def left_behind(self):
        """Records in copies and files on the server."""
        return sum(self.server.values()) or sum(self.carriers.get("server_side", {}).values())


class Player:
    """What the players of both protocols share. A player opens connections and plays the steps of its protocol."""

    def __init__(self, case, stage):
        self.case, self.stage = case, stage
        self.recorder = Recorder(stage.scanner, case.decode)
        self.connections, self.counts, self.lost = {}, {}, False
        self.directory = tempfile.mkdtemp(prefix="evasion.")
        form = stage.population.form
        self.names = {
            "host": stage.target[0], "port": stage.target[1], "direct_host": stage.server.address[0],
            "direct_port": stage.server.address[1], "user": case.user, "user2": case.user + "x", "password": PASSWORD,
            "pw": PASSWORD, "db": self.DATABASE, "case": case.id.replace("-", "_"), "here": HERE, "tmp": self.directory,
            "secure_dir": stage.server.files, "run": f"{int(time.time() * 10):x}", "int": int,
            "email": form.email, "phone": form.phone, "name": form.name, "hex": lambda text: text.encode().hex(),
            "big": lambda length: "x" * length,
        }

    def connection(self, name=None):
        name = name or "c1"
        if name in self.connections and self.connections[name].dead:
            self.lost = True
        if name not in self.connections or self.connections[name].dead:
            self.connect(name, {})
        return self.connections[name]

    def connect(self, name, options):
        options = substitute({**self.case.conn, **options}, self.names)
        self.connections[name] = self.open(options)

    def forget(self, name):
        connection = self.connections.pop(name or "c1", None)
        if connection:
            connection.close()

    def close(self):
        for name in list(self.connections):
            self.forget(name)
        shutil.rmtree(self.directory, ignore_errors=True)

    def step(self, step):
        step = substitute({"q": step} if isinstance(step, str) else step, self.names)
        if self.common_step(step):
            return
        if "connect" in step:
            self.connect(step["connect"], step)
        elif "close" in step:
            self.forget(step["close"])
        else:
            connection = self.connection(step.get("conn"))
            pace = connection.pace
            self.set_pace(connection, step.get("wire", pace))
            try:
                self.wire_step(connection, step)
            finally:
                self.set_pace(connection, pace)
            if "save" in step and (values := self.last_values()):
                self.names[step["save"]] = (values[0] or b"").decode()

    def common_step(self, step):
        """Whether it was one of those that no protocol matters to."""
        if "repeat" in step:
            for turn in range(step["repeat"]):
                self.names[step.get("var", "i")] = step.get("start", 1) + turn * step.get("step", 1)
                for inner in step["steps"]:
                    if self.lost:
                        return True
                    self.step(inner)
        elif "admin" in step:
            self.stage.admin.run(step["admin"])
        elif "admin_count" in step:
            self.counts[step.get("as", "server_rows")] = int(self.stage.admin.value(step["admin_count"]) or 0)
        elif "admin_scan" in step:
            for value in self.stage.admin.column(step["admin_scan"]):
                self.recorder.add("server_side", value or b"", digest=False)
        elif "sleep" in step:
            time.sleep(float(step["sleep"]))
        elif "py" in step:
            getattr(adaptive, step["py"])(self, **step.get("args", {}))
        elif "tool" in step:
            self.run_tool(step)
        else:
            return False
        return True

    def run_tool(self, step):
        """A real program. What it prints and writes is what the client got."""
        arguments = list(step["tool"])
        if arguments[0] == "python":
            arguments[0] = sys.executable
        environment = {
            **os.environ, "PGPASSWORD": PASSWORD, "MYSQL_PWD": PASSWORD, "PGCONNECT_TIMEOUT": "10", "LC_ALL": "C.UTF-8",
            "PGAPPNAME": "case " + self.case.id, **step.get("env", {}),
        }
        done = subprocess.run(arguments, env=environment, cwd=self.directory, input=step.get("stdin", "").encode(),
                              capture_output=True, timeout=step.get("timeout", 120))
        self.recorder.add("ToolOut", done.stdout, digest=not self.case.volatile)
        self.recorder.add("ToolErr", done.stderr, digest=False)
        self.recorder.rows += done.stdout.count(b"\n")
        if done.returncode:
            self.error(f"tool rc {done.returncode}: {done.stderr.decode(errors='replace')}")
        for path in glob.glob(os.path.join(self.directory, "**"), recursive=True):
            if os.path.isfile(path):
                with open(path, "rb") as file:
                    self.recorder.add("ToolFile", file.read(), digest=False)

    def error(self, text):
        self.recorder.errors.append(text[:ERROR_CHARACTERS])

    def rebuilt(self, data):
        """What an attack put together at home, out of answers that each held a piece."""
        self.recorder.add("Reconstructed", data if isinstance(data, bytes) else data.encode(), digest=False)


def play(player_of, case, stage):
    """Plays one case from set-up to clean-up."""
    player, crash, started = player_of(case, stage), None, time.monotonic()
    stage.admin.run(substitute(case.setup, player.names))
    try:
        for step in case.steps:
            player.step(step)
    except (Closed, OSError, subprocess.TimeoutExpired) as error:
        crash = f"{type(error).__name__}: {error}"
    except Exception as error:  # a case that the runner cannot play is told, and the rest goes on
        crash = f"the runner: {type(error).__name__}: {error}"
        traceback.print_exc()
    seconds = time.monotonic() - started
    player.close()
    for step in substitute(case.check, player.names):
        player.common_step(step)
    stage.admin.run(substitute(case.cleanup, player.names))
    recorder = player.recorder
    recorder.finish()
    return Outcome(case.id, recorder.at_the_client(), recorder.by_carrier(), player.counts, recorder.rows,
                   recorder.errors[:ERRORS_KEPT], len(recorder.errors), crash, recorder.digest(), seconds)


def differences(case, outcome):
    """Where a direct run is not what the case claims."""
    claimed, wrong = case.truth["client_records"], []
    if outcome.crash:
        wrong.append(outcome.crash)
    for table in sorted(set(claimed) | set(outcome.records)):
        want, got = claimed.get(table, 0), outcome.records.get(table, 0)
        low, high = want if isinstance(want, list) else (want, want)
        if not low <= got <= high:
            wrong.append(f"{table}: claimed {want}, got {got}")
    left = outcome.carriers.get("server_side", {})
    for name, want in (case.truth.get("server") or {}).items():
        got = outcome.server.get(name, left.get(name, 0))
        if got != want:
            wrong.append(f"{name} on the server: claimed {want}, got {got}")
    if case.kind == "benign" and outcome.error_count and not case.may_error:
        wrong.append(f"errors: {outcome.errors[:2]}")
    return wrong
