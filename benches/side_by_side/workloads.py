"""What a workload is, whatever is spoken."""

import dataclasses
import time
from typing import Callable

import processes
from servers import Scratch, Server


@dataclasses.dataclass(frozen=True)
class Settings:
    """What a run is told."""

    seconds: int
    rows: int
    idle_sessions: int
    scratch: Scratch
    server: Server


@dataclasses.dataclass(frozen=True)
class Target:
    """Something to connect to. `pid` is None for the server itself, which has no proxy whose time counts."""

    name: str
    port: int
    pid: int | None


@dataclasses.dataclass(frozen=True)
class Workload:
    """`run` returns a dict with the metric and `ops`, what processor time is divided by."""

    name: str
    says: str
    metric: str
    per: str
    lower_is_better: bool
    run: Callable
    once: bool = False


def idle(log_in):
    """Memory of sessions that do nothing: more sessions, more memory, divided. On a process that has served nobody yet."""

    def run(target, settings):
        pid = target.pid or settings.server.pid
        before = processes.memory_kib(pid)
        sessions = []
        try:
            for _ in range(settings.idle_sessions):
                sessions.append(log_in(target))
            time.sleep(0.5)
            after = processes.memory_kib(pid)
        finally:
            for session in sessions:
                session.close()
            time.sleep(0.5)
        return {"kib_per_session": (after - before) / settings.idle_sessions, "ops": settings.idle_sessions}

    return run
