"""Starts the servers, plays the cases, prints the score. `--help` says with what; ../README.md says what it means."""

import argparse
import glob
import json
import os
import shutil
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor

from . import cases as corpus
from . import formats, report, servers
from .play import HERE, Stage, differences, play
from .play_mysql import MySqlPlayer
from .play_postgres import PostgresPlayer
from .population import Population
from .scanner import Scanner
from .score import failures, score
from .verdicts import by_login
from .weir import Weir

PLAYERS = {"pg": PostgresPlayer, "mysql": MySqlPlayer, "mariadb": MySqlPlayer}
# Where nobody watches a terminal, how often to say that the run goes on.
PROGRESS_SECONDS = 20


def arguments():
    parser = argparse.ArgumentParser(prog="tests/evasion/run.sh", description="Attacks and look-alikes against Weir.")
    parser.add_argument("--engine", action="append", choices=corpus.ENGINES, help="only this one; may be repeated")
    parser.add_argument("--category", action="append", help="only this one; may be repeated")
    parser.add_argument("--case", metavar="REGEX", help="only cases whose id matches")
    parser.add_argument("--quick", action="store_true", help="two cases of every category and engine")
    parser.add_argument("--markers", type=int, metavar="SEED", help="spell the data in another way")
    parser.add_argument("--cases", action="append", metavar="FILE", help="other cases than those in this folder")
    parser.add_argument("--direct", action="store_true", help="without Weir: do the cases claim what the servers do?")
    parser.add_argument("--record", action="store_true", help="with --direct: write what was measured into the cases")
    parser.add_argument("--json", metavar="FILE", help="also write the score here")
    parser.add_argument("--keep", action="store_true", help="leave the folder with Weir's log and configuration")
    parser.add_argument("--weir", metavar="BINARY", help="the weir to test")
    options = parser.parse_args()
    options.cases = options.cases or sorted(glob.glob(os.path.join(HERE, "*.jsonl")))
    if not options.direct and not options.weir:
        parser.error("--weir is needed; tests/evasion/run.sh builds one")
    return options


class Progress:
    def __init__(self, what, count):
        self.what, self.count, self.done, self.told = what, count, 0, time.monotonic()
        self.terminal = sys.stderr.isatty()

    def step(self, name):
        self.done += 1
        last = self.done == self.count
        if self.terminal:
            line = f"\r\033[K{self.what}: {self.done} of {self.count}, {name}"
            print(line, end="\n" if last else "", file=sys.stderr, flush=True)
        elif last or time.monotonic() - self.told > PROGRESS_SECONDS:
            self.told = time.monotonic()
            print(f"{self.what}: {self.done} of {self.count}", file=sys.stderr, flush=True)


def play_all(what, cases, stage):
    """{id: outcome}"""
    progress, outcomes = Progress(what, len(cases)), {}
    for case in cases:
        outcomes[case.id] = play(PLAYERS[case.engine], case, stage)
        progress.step(case.id)
    return outcomes


def as_truth(outcome):
    return {"records": outcome.records, "errors": outcome.error_count, "digest": outcome.digest}


class EngineRun:
    """Everything with one engine: one server, one population, one Weir."""

    def __init__(self, engine, cases, options, population, scanner, directory):
        self.options, self.directory = options, directory
        started = time.monotonic()
        self.server = servers.SERVERS[engine](directory)
        self.server.load(population)
        self.version, self.major = self.server.version(), self.server.major()
        self.cases = [case for case in cases if case.min_version <= self.major <= case.max_version]
        self.server.admin.create_logins(self.cases)
        self.stage = Stage(engine, self.server.address, self.server, self.server.admin, scanner, population)
        self.population = population
        print(f"{self.version}: ready after {time.monotonic() - started:.0f} s", file=sys.stderr)

    def direct(self, cases):
        if not cases:
            return {}
        self.stage.target = self.server.address
        return play_all(f"{self.version} without Weir", cases, self.stage)

    def truth(self):
        """What leaves without Weir: as it was recorded, else measured now."""
        major, recorded = str(self.major), {}
        if self.options.markers is None:
            measured = {case.id: case.truth.get("measured", {}) for case in self.cases}
            recorded = {name: of_major[major] for name, of_major in measured.items() if major in of_major}
        unknown = [case for case in self.cases if case.id not in recorded]
        if not unknown:
            return recorded
        outcomes = self.direct(unknown)
        # What those cases changed must not be there when they are played again.
        self.server.load(self.population)
        return recorded | {name: as_truth(outcome) for name, outcome in outcomes.items()}

    def scored(self):
        truth = self.truth()
        weir = Weir(self.options.weir, self.directory, self.server, self.cases)
        try:
            self.stage.target = weir.address
            outcomes = play_all(f"{self.version} through Weir", self.cases, self.stage)
            if weir.process.ended():
                raise SystemExit(f"weir ended by itself; its log ends with:\n{weir.process.log_tail()}")
        finally:
            weir.stop()
        verdicts = by_login(weir.events())

        def of(case):
            said = [verdict for user in case.users for verdict in verdicts.get(user, [])]
            return score(case, outcomes[case.id], said, truth[case.id])

        # Where rows have no order, which ones come first is the plan's business, and plans differ between machines:
        # what differs from the record must differ from this server's own answer too.
        doubtful = [case for case in self.cases if (one := of(case)) and one.changed]
        truth |= {name: as_truth(outcome) for name, outcome in self.direct(doubtful).items()}
        return [one for case in self.cases if (one := of(case))]


def check_claims(runs_of, options):
    """A run without Weir: do the cases claim what the servers do?"""
    wrong, measured = 0, {}
    for engine_run in runs_of:
        outcomes = engine_run.direct(engine_run.cases)
        for case in engine_run.cases:
            outcome = outcomes[case.id]
            measured.setdefault(case.id, {})[str(engine_run.major)] = as_truth(outcome)
            found = differences(case, outcome)
            wrong += bool(found)
            if found:
                print(f"{case.id} {case.title}: {'; '.join(found)} {outcome.errors[:2]}")
    if options.record and not wrong:
        record(options.cases, measured)
    print(f"{wrong} of {len(measured)} cases do not do what they claim")
    return 1 if wrong else 0


def record(paths, measured):
    for path in paths:
        with open(path, encoding="utf-8") as file:
            raws = [json.loads(line) for line in file]
        for raw in raws:
            if raw["id"] in measured:
                raw["truth"].setdefault("measured", {}).update(measured[raw["id"]])
        with open(path, "w", encoding="utf-8") as file:
            file.writelines(json.dumps(raw, ensure_ascii=False) + "\n" for raw in raws)


def main():
    options = arguments()
    chosen = corpus.choose(corpus.read(options.cases), options.engine, options.category, options.case)
    if options.quick:
        chosen = corpus.ends_of_each(chosen)
    engines = [engine for engine in corpus.ENGINES if any(case.engine == engine for case in chosen)]
    for engine in [engine for engine in engines if not servers.ready(engine)]:
        print(f"{engine}: left out; `tests/mysql9.sh install` sets it up", file=sys.stderr)
        engines.remove(engine)
    if not engines:
        raise SystemExit("no case is left to play")
    population = Population(formats.choose(options.markers))
    scanner = Scanner(population.form)
    directory = tempfile.mkdtemp(prefix="weir-evasion.")
    os.chmod(directory, 0o755)

    def start(engine):
        here = os.path.join(directory, engine)
        os.mkdir(here)
        return EngineRun(engine, [case for case in chosen if case.engine == engine], options, population, scanner, here)

    def runs():
        # Servers start beside each other; cases are played one after another, so that nothing but Weir makes one wait.
        with ThreadPoolExecutor(len(engines)) as pool:
            starting = [pool.submit(start, engine) for engine in engines]
            try:
                for one in starting:
                    yield one.result()
            finally:
                for one in starting:
                    if not one.exception():
                        one.result().server.stop()

    try:
        if options.direct:
            return check_claims(runs(), options)
        return report_scores(runs(), options)
    finally:
        if options.keep:
            print(f"kept: {directory}", file=sys.stderr)
        else:
            shutil.rmtree(directory, ignore_errors=True)


def report_scores(runs, options):
    scores, versions = [], []
    for engine_run in runs:
        of_engine = engine_run.scored()
        spelling = "" if options.markers is None else f", data spelled by seed {options.markers}"
        print(f"\n{engine_run.version}: {len(of_engine)} cases{spelling}\n")
        lines = [*report.of_engine(engine_run.stage.engine, of_engine), "", *report.wrong_cases(of_engine)]
        print("\n".join(lines), flush=True)
        scores += of_engine
        versions.append(engine_run.version)
    below = failures(scores)
    print("\n" + "\n".join(report.of_all(scores)))
    if options.json:
        with open(options.json, "w", encoding="utf-8") as file:
            json.dump(report.as_json(scores, versions, below), file, indent=1)
    print("\n" + "\n".join(f"BELOW THE MARK: {what}" for what in below) if below else "\nall marks are reached")
    return 1 if below else 0


sys.exit(main())
