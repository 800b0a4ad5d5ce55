"""Holds Weir's analyser against what the servers themselves know, over the servers' own tests, and prints the table.

    oracle.py --weir PROGRAM --regress DIR --kit DIR [--engine postgres|mariadb] [--json] [FILE …]

Exit code 1 when a relation or a released column was missed at coverage where none may be; 3 when it could not run.
"""

import argparse
import json
import os
import pathlib
import shutil
import sys
import tempfile
import threading
import time

import mariadb_files
import mariadb_relay
import mariadb_server
import postgres_relay
import postgres_server
from judge import COVERAGES, Tally
from weir import Weir

# Longer than any of them needs; one that waits for what this server lacks is left where it is.
FILE_SECONDS = 120
# Gaps and misses that the table shows; --json has all of them.
SHOWN = 20
# Tests of PostgreSQL's that this run has no use for: they stop or fill the server, or wait for minutes.
POSTGRES_LEFT_OUT = {"infinite_recurse", "maintain_every", "vacuum_parallel"}


def say(text):
    print(text, file=sys.stderr, flush=True)


class Run:
    """All files of one engine."""

    def __init__(self, engine, arguments):
        self.engine, self.arguments = engine, arguments
        self.tally = Tally()
        self.cut_short = []
        self.failure = None
        self.seconds = 0.0

    def __call__(self):
        began = time.monotonic()
        scratch = pathlib.Path(tempfile.mkdtemp(prefix=f"weir-oracle-{self.engine}-"))
        os.chmod(scratch, 0o755)
        try:
            getattr(self, self.engine)(scratch)
        except Exception as error:  # told at the end: the other engine goes on
            self.failure = error
        finally:
            self.seconds = time.monotonic() - began
            if self.arguments.keep:
                say(f"{self.engine}: everything is left in {scratch}")
            else:
                shutil.rmtree(scratch, ignore_errors=True)

    def wanted(self, name):
        return not self.arguments.file or name in self.arguments.file

    def postgres(self, scratch):
        regress = self.arguments.regress
        server = postgres_server.Postgres(scratch)
        try:
            server.create("regression")
            weir = Weir(self.arguments.weir, scratch, "postgres", server.port, "postgres", "", "regression")
            relay = postgres_relay.Relay(("127.0.0.1", server.port), weir, self.tally, "regression")
            for name in postgres_server.schedule(regress):
                if name in POSTGRES_LEFT_OUT:
                    continue
                # What is not judged may still make what the others read.
                port = relay.port if self.wanted(name) else server.port
                self.file(relay, name, lambda: server.run_file(regress, name, port, "regression", FILE_SECONDS))
            relay.close()
            weir.close()
        finally:
            server.stop()

    def mariadb(self, scratch):
        kit = self.arguments.kit
        server = mariadb_server.MariaDb(scratch)
        try:
            weir = Weir(self.arguments.weir, scratch, "mysql", server.port, "weir", "weir", "test")
            relay = mariadb_relay.Relay(("127.0.0.1", server.port), weir, self.tally)
            for path in mariadb_files.chosen(kit, self.arguments.all):
                if self.wanted(path.stem):
                    server.clear()
                    relay.touched = True
                    self.file(relay, path.stem, lambda: server.run_file(kit, path, relay.port, FILE_SECONDS))
            relay.close()
            weir.close()
        finally:
            server.stop()

    def file(self, relay, name, run):
        began, before, known = time.monotonic(), sum(self.tally.coverage.values()), len(self.tally.misses)
        relay.current = name
        if not run():
            self.cut_short.append(name)
        if relay.failure is not None:
            raise relay.failure
        judged = sum(self.tally.coverage.values()) - before
        if judged:
            misses = self.tally.misses[known:]
            say(f"{self.engine}: {name}: {judged} statements, {time.monotonic() - began:.1f} s, {len(misses)} misses")
            for miss in misses:
                say("  " + told(miss))

    def report(self):
        tally = self.tally
        return {
            "engine": self.engine,
            "seconds": round(self.seconds, 1),
            "statements": sum(tally.coverage.values()),
            "coverage": {coverage: tally.coverage[coverage] for coverage in COVERAGES},
            "kinds": {kind: dict(counts) for kind, counts in sorted(tally.by_kind.items())},
            "compared": dict(tally.compared),
            "not_judged": dict(tally.skipped),
            "cut_short": self.cut_short,
            "opaque_with_something_unnamed": tally.opaque_unnamed,
            "columns_mentioned_and_not_told": len(tally.idle),
            "idle": [{"file": file, "column": column, "statement": sql} for file, column, sql in tally.idle],
            "misses": tally.misses,
            "gaps": [
                {"code": code, "subject": subject, "statements": count, "examples": tally.gap_texts[(code, subject)]}
                for (code, subject), count in tally.gaps.most_common()
            ],
        }


def told(miss):
    text = " ".join(miss["statement"].split())[:300]
    return f"{miss['coverage']}: {miss['what']} {miss['thing']} in {miss['file']}: {text}"


def table(report):
    statements = report["statements"]
    share = lambda count: f"{count} ({100 * count / statements:.1f} %)" if statements else "0"
    lines = [f"{report['engine']}: {statements} statements in {report['seconds']:.0f} s"]
    lines.append("  coverage: " + ", ".join(f"{name} {share(report['coverage'][name])}" for name in COVERAGES))
    lines.append("  compared: " + ", ".join(f"{count} {what}" for what, count in sorted(report["compared"].items())))
    skipped = sorted(report["not_judged"].items(), key=lambda item: -item[1])
    lines.append("  not judged: " + ", ".join(f"{count} {reason}" for reason, count in skipped))
    lines.append(f"  of the opaque, {report['opaque_with_something_unnamed']} reach something that is not named")
    if report["cut_short"]:
        lines.append(f"  ended after {FILE_SECONDS} s: {', '.join(report['cut_short'])}")
    lines.append("  gaps: " + "; ".join(f"{gap['statements']} {gap['code']} ({gap['subject']})" for gap in report["gaps"][:SHOWN]))
    lines.append(f"  misses: {len(report['misses'])}")
    lines += [f"    {told(miss)}" for miss in report["misses"][:SHOWN]]
    return "\n".join(lines)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--weir", required=True, help="the program weir-oracle")
    parser.add_argument("--regress", type=pathlib.Path, required=True, help="PostgreSQL's src/test/regress")
    parser.add_argument("--kit", type=pathlib.Path, required=True, help="where mariadb-test is unpacked")
    parser.add_argument("--engine", choices=("postgres", "mariadb"), help="one of them only")
    parser.add_argument("--all", action="store_true", help="every file of MariaDB's, for an hour and more")
    parser.add_argument("--json", action="store_true", help="print everything as JSON instead of the table")
    parser.add_argument("--keep", action="store_true", help="leave the servers' files where they are")
    parser.add_argument("file", nargs="*", help="judge these test files only")
    arguments = parser.parse_args()
    engines = [arguments.engine] if arguments.engine else ["postgres", "mariadb"]
    runs = [Run(engine, arguments) for engine in engines]
    threads = [threading.Thread(target=run, daemon=True) for run in runs]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    reports = [run.report() for run in runs]
    print(json.dumps(reports, indent=1) if arguments.json else "\n\n".join(table(report) for report in reports))
    failures = [f"{run.engine}: {run.failure}" for run in runs if run.failure is not None]
    failures += [f"{run.engine}: nothing was judged" for run in runs if run.failure is None and not run.tally.texts]
    for failure in failures:
        say(failure)
    if failures:
        return 3
    return 1 if any(run.tally.misses for run in runs) else 0


if __name__ == "__main__":
    sys.exit(main())
