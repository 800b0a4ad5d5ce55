"""What is done with PostgreSQL and what stands before it: pgbench, and a client of our own for what pgbench has not."""

import glob
import os
import re
import subprocess
import tempfile

from postgres.client import Session
from postgres.server import SCRAM_USER
from servers import DATABASE, PASSWORD, USER
from workloads import Workload, idle


def pgbench(target, settings, *arguments, user=USER, latencies=False, seconds=None):
    """One run of pgbench; raises when any client failed."""
    seconds = seconds or settings.seconds
    with tempfile.TemporaryDirectory(dir=settings.scratch.path) as folder:
        command = [settings.server.programs / "pgbench", "-h", "127.0.0.1", "-p", target.port, "-U", user, "-n", "-T", seconds]
        command += [*arguments, *(["-l", f"--log-prefix={folder}/times"] if latencies else []), DATABASE]
        environment = {**os.environ, "PGPASSWORD": PASSWORD}
        done = subprocess.run(
            [str(word) for word in command], capture_output=True, text=True, env=environment, timeout=seconds + 60
        )
        if done.returncode or "aborted" in done.stderr:
            raise RuntimeError(" ".join(done.stderr.split())[-300:] or f"pgbench ended with {done.returncode}")
        tps = re.search(r"^tps = ([\d.]+)", done.stdout, re.MULTILINE)
        processed = re.search(r"actually processed: (\d+)", done.stdout)
        if not tps or not processed or int(processed.group(1)) == 0:
            raise RuntimeError("pgbench finished nothing: " + " ".join(done.stdout.split())[-300:])
        result = {"tps": float(tps.group(1)), "ops": int(processed.group(1))}
        if latencies:
            times = sorted(
                int(line.split()[2]) for path in glob.glob(f"{folder}/times*") for line in open(path, encoding="ascii")
            )
            if not times:
                raise RuntimeError("pgbench wrote no latencies")
            result["p50_us"] = times[len(times) // 2]
            result["p99_us"] = times[len(times) * 99 // 100]
    return result


def selects(mode, clients, **options):
    def run(target, settings):
        threads = min(clients, os.cpu_count())
        return pgbench(target, settings, "-S", "-M", mode, "-c", clients, "-j", threads, **options)

    return run


def look_ups(clients, **options):
    def run(target, settings):
        script = settings.scratch.path / "look-up.sql"
        if not script.exists():
            script.write_text(
                f"\\set id random(1, {settings.rows})\nSELECT id, name, email, phone FROM customers WHERE id = :id;\n"
            )
        threads = min(clients, os.cpu_count())
        return pgbench(target, settings, "-f", script, "-M", "prepared", "-c", clients, "-j", threads, **options)

    return run


def connects(user):
    def run(target, settings):
        return pgbench(target, settings, "-S", "-C", "-c", 8, "-j", min(8, os.cpu_count()), user=user)

    return run


def bulk(sql):
    def run(target, settings):
        session = log_in(target)
        try:
            size, rows, seconds = session.drain(sql)
        finally:
            session.close()
        if rows != settings.rows:
            raise RuntimeError(f"{rows} rows came, {settings.rows} were expected")
        return {"mb_per_s": size / 1e6 / seconds, "ops": size / 1e6, "rows": rows, "seconds": seconds}

    return run


def log_in(target):
    return Session(target.port, USER, PASSWORD, DATABASE)


def workloads():
    """All, in the order in which they run: memory first, while the processes are fresh."""
    return [
        Workload("idle", "memory of an idle session", "kib_per_session", "session", True, idle(log_in), once=True),
        Workload(
            "latency", "prepared point select, 1 client", "p50_us", "statement", True, selects("prepared", 1, latencies=True)
        ),
        Workload("simple-8", "simple point select, 8 clients", "tps", "statement", False, selects("simple", 8)),
        Workload("extended-8", "extended point select, 8 clients", "tps", "statement", False, selects("extended", 8)),
        Workload("prepared-8", "prepared point select, 8 clients", "tps", "statement", False, selects("prepared", 8)),
        Workload("simple-64", "simple point select, 64 clients", "tps", "statement", False, selects("simple", 64)),
        Workload("prepared-64", "prepared point select, 64 clients", "tps", "statement", False, selects("prepared", 64)),
        Workload(
            "sensitive-latency",
            "look-up of a customer, 1 client",
            "p50_us",
            "statement",
            True,
            look_ups(1, latencies=True),
        ),
        Workload("sensitive-8", "look-up of a customer, prepared, 8 clients", "tps", "statement", False, look_ups(8)),
        Workload("sensitive-64", "look-up of a customer, prepared, 64 clients", "tps", "statement", False, look_ups(64)),
        Workload("connect", "connections, without a password", "tps", "connection", False, connects(USER)),
        Workload("connect-scram", "connections, SCRAM", "tps", "connection", False, connects(SCRAM_USER)),
        Workload("bulk-select", "every customer, SELECT", "mb_per_s", "MB", False, bulk("SELECT * FROM customers")),
        Workload("bulk-copy", "every customer, COPY", "mb_per_s", "MB", False, bulk("COPY customers TO STDOUT")),
    ]


QUICK = ["idle", "latency", "simple-8", "prepared-8", "prepared-64", "sensitive-8", "connect", "bulk-select"]
