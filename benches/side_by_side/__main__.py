"""Weir beside nothing, pgbouncer and haproxy, under PostgreSQL and MariaDB, interleaved in one run.

See benches/README.md.

Run it by `make bench`; this expects the packages and the build to be there.
"""

import argparse
import dataclasses
import os
import pathlib
import signal
import sys
import time

import mysql.server
import mysql.workloads
import postgres.server
import postgres.workloads
import processes
import report
import servers
from workloads import Settings, Target

REPOSITORY = pathlib.Path(__file__).resolve().parents[2]
# A measurement during which others took more of the machine is taken again; so often is it tried at most.
TRIES = 3
TRIES_QUICK = 1


def arguments():
    parser = argparse.ArgumentParser(prog="side_by_side", description=__doc__.split("\n")[0])
    parser.add_argument("--quick", action="store_true", help="fewer workloads, rounds and rows: some four minutes")
    parser.add_argument("--weir", type=pathlib.Path, default=REPOSITORY / "target/release/weir", help="the binary")
    parser.add_argument("--out", type=pathlib.Path, default=REPOSITORY / "target/bench/report.json")
    parser.add_argument("--workloads", help="comma-separated names; default all")
    parser.add_argument("--rounds", type=int)
    parser.add_argument("--seconds", type=int, help="of each run of pgbench or sysbench")
    parser.add_argument("--rows", type=int, help="customers in each database")
    parser.add_argument("--targets", help="comma-separated names beside `direct`; default all")
    parser.add_argument("--weight", type=int, default=10, help="our share of the processor against any other session's")
    parser.add_argument("--others-max", type=float, default=0.12, help="share of the machine that others may take")
    return parser.parse_args()


def main():
    chosen = arguments()
    quick = chosen.quick
    engines = {"postgres": postgres.workloads, "mysql": mysql.workloads}
    every = {workload.name: (engine, workload) for engine in engines for workload in engines[engine].workloads()}
    usual = [name for engine in engines.values() for name in engine.QUICK] if quick else list(every)
    names = chosen.workloads.split(",") if chosen.workloads else usual
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
    result = {
        "machine": report.machine(scratch.path),
        "versions": report.versions(chosen.weir),
        "method": {
            "rounds": chosen.rounds or (2 if quick else 5),
            "seconds": chosen.seconds or (1 if quick else 3),
            "rows": chosen.rows or (200_000 if quick else 1_000_000),
            "idle_sessions": 300 if quick else 1000,
            "one_scheduler_group": group.active,
            "quick": quick,
        },
        "workloads": {},
        "not_measured": {},
    }
    try:
        for engine in engines:
            wanted = [workload for _, workload in (every[name] for name in names) if every[workload.name][0] == engine]
            if wanted:
                play(engine, wanted, scratch, chosen, result)
        for what, why in result["not_measured"].items():
            print(f"NOT MEASURED {what}: {why}")
        print(f"\nwritten to {chosen.out}")
    finally:
        scratch.remove()
        group.leave()
    # A peer that cannot be measured is told; Weir that cannot be measured is a failure.
    sys.exit(1 if any("weir" in what for what in result["not_measured"]) else 0)


def play(engine, wanted, scratch, chosen, result):
    """Starts one engine's servers, measures, and stops them. What cannot be started is not measured."""
    started = []
    try:
        rows, quick = result["method"]["rows"], chosen.quick
        say(f"a throw-away {'PostgreSQL' if engine == 'postgres' else 'MariaDB'} with {rows:,} customers in {scratch.path}")
        if engine == "postgres":
            server = postgres.server.Postgres(scratch, 2 if quick else 10, rows)
        else:
            server = mysql.server.Mariadb(scratch, mysql.workloads.TABLE_ROWS, rows)
        started.append(server)
        for name, command in server.versions().items():
            result["versions"][name] = report.first_line(command)
        targets = [Target("direct", server.port, None)]
        for name, start in starters(engine, chosen.weir).items():
            if chosen.targets is None or name in chosen.targets.split(","):
                try:
                    started.append(start(scratch, server.port))
                    targets.append(Target(name, started[-1].port, started[-1].pid))
                except (servers.SetupError, OSError) as error:
                    result["not_measured"][f"{engine} through {name}"] = str(error)
        method = result["method"]
        settings = Settings(method["seconds"], rows, method["idle_sessions"], scratch, server)
        for workload in wanted:
            measure(workload, targets, settings, chosen, result)
            report.write(chosen.out, result)
    except (servers.SetupError, OSError) as error:
        result["not_measured"][f"{engine} at all, so no weir in front of it"] = str(error)
    finally:
        for one in reversed(started):
            one.stop()


def starters(engine, binary):
    """Name → function that starts it in front of a server."""

    def weir(name, policy):
        accounts = postgres.server.ACCOUNTS if engine == "postgres" else mysql.server.ACCOUNTS
        return lambda scratch, port: servers.weir(scratch, binary, name, engine, port, accounts, policy)

    haproxy = {"haproxy": lambda scratch, port: servers.haproxy(scratch, engine, port)}
    if engine == "postgres":
        return {
            "pgbouncer": postgres.server.pgbouncer,
            **haproxy,
            "weir": weir("weir", servers.ALLOW_ALL),
            "weir-enforcing": weir("weir-enforcing", servers.enforcing(engine, "public.customers")),
        }
    return {**haproxy, "weir-enforcing": weir("weir-enforcing", servers.enforcing(engine, "customers"))}


def measure(workload, targets, settings, chosen, result):
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
                rounds.setdefault(target.name, {})[number] = once(workload, target, settings, chosen)
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


def once(workload, target, settings, chosen):
    """One measurement with the processor time around it; taken again while others disturb it."""
    for attempt in range(TRIES_QUICK if chosen.quick else TRIES):
        before = clocks(target, settings.server)
        measured = workload.run(target, settings)
        after = clocks(target, settings.server)
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


def clocks(target, server):
    return (
        processes.cpu_seconds(target.pid) if target.pid is not None else 0.0,
        processes.cpu_seconds(server.pid),
        sum(os.times()[:4]),
        processes.machine_busy_seconds(),
        time.perf_counter(),
    )


def say(text):
    print(f"bench: {text}", flush=True)


main()
