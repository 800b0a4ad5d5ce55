"""What is done with MariaDB and what stands before it: sysbench, and a client of our own for what sysbench has not."""

import pathlib
import re
import subprocess

from mysql.client import Session
from servers import DATABASE, PASSWORD, USER
from workloads import Workload, idle

# Rows of the table that sysbench reads from.
TABLE_ROWS = 100_000
SCRIPTS = pathlib.Path(__file__).resolve().parent
PREPARED, TEXT = "--db-ps-mode=auto", "--db-ps-mode=disable"


def sysbench(target, settings, script, clients, *arguments, counted="queries", latencies=False):
    """One run of sysbench; raises when any client failed."""
    command = ["sysbench", script, "--mysql-host=127.0.0.1", f"--mysql-port={target.port}", f"--mysql-user={USER}"]
    command += [f"--mysql-password={PASSWORD}", f"--mysql-db={DATABASE}", "--mysql-ssl=off", f"--threads={clients}"]
    command += [f"--time={settings.seconds}", "--rand-type=uniform", *(["--histogram=on"] if latencies else []), *arguments]
    command.append("run")
    done = subprocess.run([str(word) for word in command], capture_output=True, text=True, timeout=settings.seconds + 60)
    if done.returncode:
        fatal = [line for line in (done.stdout + done.stderr).splitlines() if "FATAL" in line]
        raise RuntimeError(" ".join(fatal)[:300] or f"sysbench ended with {done.returncode}")
    measured = re.search(rf"{counted}:\s+(\d+)\s+\(([\d.]+) per sec", done.stdout)
    failed = re.search(r"ignored errors:\s+(\d+)", done.stdout)
    again = re.search(r"reconnects:\s+(\d+)", done.stdout)
    if not measured or int(measured.group(1)) == 0:
        raise RuntimeError("sysbench finished nothing: " + " ".join(done.stdout.split())[-300:])
    if any(int(count.group(1)) for count in (failed, again) if count):
        raise RuntimeError("sysbench was refused or cut off: " + " ".join(done.stdout.split())[-300:])
    result = {"tps": float(measured.group(2)), "ops": int(measured.group(1))}
    if latencies:
        # Lines of the histogram: milliseconds, a bar, how many.
        times = [(float(ms), int(n)) for ms, n in re.findall(r"^\s*([\d.]+) \|\**\s*(\d+)\s*$", done.stdout, re.MULTILINE)]
        result["p50_us"], result["p99_us"] = (quantile(times, part) * 1000 for part in (0.5, 0.99))
    return result


def quantile(times, part):
    """`times`: (value, how often), ascending."""
    left = part * sum(count for _, count in times)
    for value, count in times:
        left -= count
        if left <= 0:
            return value
    raise RuntimeError("sysbench wrote no latencies")


def oltp(script, clients, mode, **options):
    def run(target, settings):
        arguments = ["--tables=1", f"--table-size={TABLE_ROWS}", mode]
        return sysbench(target, settings, script, clients, *arguments, **options)

    return run


def look_ups(clients, **options):
    def run(target, settings):
        return sysbench(target, settings, SCRIPTS / "look_up.lua", clients, f"--rows={settings.rows}", **options)

    return run


def connects(target, settings):
    return sysbench(target, settings, SCRIPTS / "connect.lua", 8, counted="transactions")


def log_in(target):
    return Session(target.port, USER, PASSWORD, DATABASE)


def bulk(sql, expected_rows, times=1):
    """`expected_rows`: settings → how many there are. `times`: processor time is told in hundredths of a second."""
    known = {}

    def run(target, settings):
        # Rows have no count at their end: they are counted once on the server itself, and all others must send as many
        # bytes.
        if settings.server.port not in known:
            session = Session(settings.server.port, USER, PASSWORD, DATABASE)
            known[settings.server.port] = session.measure(sql)
            session.close()
        size, rows = known[settings.server.port]
        if rows != expected_rows(settings):
            raise RuntimeError(f"{rows} rows came, {expected_rows(settings)} were expected")
        session = log_in(target)
        try:
            seconds = sum(session.drain(sql, size) for _ in range(times))
        finally:
            session.close()
        megabytes = times * size / 1e6
        return {"mb_per_s": megabytes / seconds, "ops": megabytes, "rows": times * rows, "seconds": seconds}

    return run


def customers(settings):
    return settings.rows


def plain(_settings):
    return TABLE_ROWS


POINT_SELECT, READ_ONLY = "oltp_point_select", "oltp_read_only"


def workloads():
    """All, in the order in which they run: memory first, while the processes are fresh."""

    def of(name, says, metric, per, run, lower_is_better=False, once=False):
        return Workload(f"mysql-{name}", says, metric, per, lower_is_better, run, once)

    def selects(clients, mode, **options):
        return oltp(POINT_SELECT, clients, mode, **options)

    return [
        of("idle", "memory of an idle session", "kib_per_session", "session", idle(log_in), True, once=True),
        of("latency", "prepared point select, 1 client", "p50_us", "statement", selects(1, PREPARED, latencies=True), True),
        of("text-8", "point select as text, 8 clients", "tps", "statement", selects(8, TEXT)),
        of("prepared-8", "prepared point select, 8 clients", "tps", "statement", selects(8, PREPARED)),
        of("text-64", "point select as text, 64 clients", "tps", "statement", selects(64, TEXT)),
        of("prepared-64", "prepared point select, 64 clients", "tps", "statement", selects(64, PREPARED)),
        of("read-only-8", "sysbench's read-only transactions, 8 clients", "tps", "statement", oltp(READ_ONLY, 8, PREPARED)),
        of("sensitive-latency", "look-up of a customer, 1 client", "p50_us", "statement", look_ups(1, latencies=True), True),
        of("sensitive-8", "look-up of a customer, prepared, 8 clients", "tps", "statement", look_ups(8)),
        of("sensitive-64", "look-up of a customer, prepared, 64 clients", "tps", "statement", look_ups(64)),
        of("connect", "connections, with a password", "tps", "connection", connects),
        of("bulk-select", "every customer, SELECT", "mb_per_s", "MB", bulk("SELECT * FROM customers", customers)),
        of(
            "bulk-plain",
            "every row of a table that no policy names",
            "mb_per_s",
            "MB",
            bulk("SELECT * FROM sbtest1", plain, times=8),
        ),
    ]


QUICK = ["mysql-latency", "mysql-text-8", "mysql-prepared-8", "mysql-read-only-8", "mysql-connect", "mysql-bulk-select"]
