"""Weir beside nothing, pgbouncer and haproxy, interleaved in one run. See benches/README.md.

Run it by `make bench`; this expects the packages and the build to be there.
"""

import argparse
import dataclasses
import os
import pathlib
import signal
import sys
import time

import processes
import report
import servers
from workloads import QUICK, Settings, Target, workloads

REPOSITORY = pathlib.Path(__file__).resolve().parents[2]
# A measurement during which others took more of the machine is taken again; so often is it tried at most.
TRIES = 3
TRIES_QUICK = 1


def arguments():
    parser = argparse.ArgumentParser(prog="side_by_side", description=__doc__.split("\n")[0])
    parser.add_argument("--quick", action="store_true", help="fewer workloads, rounds and rows: under three minutes")
    parser.add_argument("--weir", type=pathlib.Path, default=REPOSITORY / "target/release/weir", help="the binary")
    parser.add_argument("--out", type=pathlib.Path, default=REPOSITORY / "target/bench/report.json")
    parser.add_argument("--workloads", help="comma-separated names; default all")
    parser.add_argument("--rounds", type=int)
    parser.add_argument("--seconds", type=int, help="of each pgbench run")
    parser.add_argument("--rows", type=int, help="customers in the database")
    parser.add_argument("--targets", help="comma-separated names beside `direct`; default all")
    parser.add_argument("--weight", type=int, default=10, help="our share of the processor against any other session's")
    parser.add_argument("--others-max", type=float, default=0.12, help="share of the machine that others may take")
    return parser.parse_args()


def main():
    chosen = arguments()
    quick = chosen.quick
    every = {workload.name: workload for workload in workloads()}
    names = chosen.workloads.split(",") if chosen.workloads else QUICK if quick else list(every)
    unknown = [name for name in names if name not in every]
    if unknown:
        sys.exit(f"side_by_side: no workload {', '.join(unknown)}; there are {', '.join(every)}")
    if not os.access(chosen.weir, os.X_OK):
        sys.exit(f"side_by_side: {chosen.weir} is not there: build it with `cargo build --release -p weir-proxy`")
    # So that `finally` runs, and no server stays behind.
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, lambda *_: sys.exit(130))
    servers.raise_descriptor_limit()
    group = processes.CpuGroup(chosen.weight)
    scratch = servers.Scratch()
    started = []
    try:
        rows = chosen.rows or (200_000 if quick else 1_000_000)
        say(f"a throw-away PostgreSQL with {rows:,} customers in {scratch.path}")
        started.append(servers.Postgres(scratch, 2 if quick else 10, rows))
        postgres = started[0]
        wanted = chosen.targets.split(",") if chosen.targets else None
        targets = [Target("direct", postgres.port, None)]
        for name, start in starters(chosen.weir).items():
            if wanted is None or name in wanted:
                started.append(start(scratch, postgres.port))
                targets.append(Target(name, started[-1].port, started[-1].pid))
        settings = Settings(
            seconds=chosen.seconds or (1 if quick else 3),
            rows=rows,
            idle_sessions=300 if quick else 1000,
            programs=postgres.programs,
            scratch=scratch,
            server_pid=postgres.pid,
        )
        result = {
            "machine": report.machine(scratch.path),
            "versions": report.versions(postgres.programs, chosen.weir),
            "method": {
                "rounds": chosen.rounds or (2 if quick else 5),
                "seconds": settings.seconds,
                "rows": rows,
                "idle_sessions": settings.idle_sessions,
                "one_scheduler_group": group.active,
                "quick": quick,
            },
            "workloads": {},
            "not_measured": {},
        }
        for name in names:
            measure(every[name], targets, settings, postgres, chosen, result)
            report.write(chosen.out, result)
        for what, why in result["not_measured"].items():
            print(f"NOT MEASURED {what}: {why}")
        print(f"\nwritten to {chosen.out}")
    except servers.SetupError as error:
        sys.exit(f"side_by_side: {error}")
    finally:
        for server in reversed(started):
            server.stop()
        scratch.remove()
        group.leave()
    # A peer that cannot be measured is told; Weir that cannot be measured is a failure.
    sys.exit(1 if any("weir" in what for what in result["not_measured"]) else 0)


def starters(binary):
    """Name → function that starts it in front of a server."""
    return {
        "pgbouncer": servers.pgbouncer,
        "haproxy": servers.haproxy,
        "weir": lambda scratch, port: servers.weir(scratch, binary, "weir", port, servers.ALLOW_ALL),
        "weir-enforcing": lambda scratch, port: servers.weir(
            scratch, binary, "weir-enforcing", port, servers.ENFORCING
        ),
    }


def measure(workload, targets, settings, postgres, chosen, result):
    """All targets in turn, round by round, each round beginning with another one."""
    rounds = {}
    live = []
    for target in targets:
        # Not measured: caches fill, and what cannot do this at all says so.
        try:
            if not workload.once:
                workload.run(target, dataclasses.replace(settings, seconds=1))
            live.append(target)
        except Exception as error:  # noqa: BLE001: whatever it is, it is told at the end
            result["not_measured"][f"{workload.name} through {target.name}"] = str(error)[:400]
    for number in range(1 if workload.once else result["method"]["rounds"]):
        for place in range(len(live)):
            target = live[(place + number) % len(live)]
            try:
                rounds.setdefault(target.name, {})[number] = once(workload, target, settings, postgres, chosen)
            except Exception as error:  # noqa: BLE001
                result["not_measured"][f"{workload.name} through {target.name}, round {number}"] = str(error)[:400]
    entries = report.summary(workload, {target.name: rounds[target.name] for target in live if target.name in rounds})
    result["workloads"][workload.name] = {
        "says": workload.says,
        "metric": workload.metric,
        "per": workload.per,
        "targets": entries,
    }
    print(report.table(workload, entries), flush=True)


def once(workload, target, settings, postgres, chosen):
    """One measurement with the processor time around it; taken again while others disturb it."""
    for attempt in range(TRIES_QUICK if chosen.quick else TRIES):
        before = clocks(target, postgres)
        measured = workload.run(target, settings)
        after = clocks(target, postgres)
        proxy, server, ours, busy, wall = (end - begin for begin, end in zip(before, after))
        if target.pid is not None:
            measured["cpu_us_per_op"] = proxy / measured["ops"] * 1e6
        measured["machine_us_per_op"] = busy / measured["ops"] * 1e6
        measured["foreign"] = max(0.0, busy - proxy - server - ours) / (wall * os.cpu_count())
        measured["attempt"] = attempt
        # Memory does not depend on what others do.
        if workload.once or measured["foreign"] <= chosen.others_max:
            break
    return measured


def clocks(target, postgres):
    return (
        processes.cpu_seconds(target.pid) if target.pid is not None else 0.0,
        processes.cpu_seconds(postgres.pid),
        sum(os.times()[:4]),
        processes.machine_busy_seconds(),
        time.perf_counter(),
    )


def say(text):
    print(f"bench: {text}", flush=True)


main()
