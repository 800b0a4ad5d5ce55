"""Draws statements, asks two databases directly and one through Weir, and holds the answers against each other."""

import argparse
import os
import random
import re
import shutil
import sys
import tempfile
import time

from runner import servers
from runner.weir import Weir

from .mysql import MySql
from .postgres import Postgres
from .words import MARK

GRAMMARS = {"pg": Postgres, "mysql": MySql, "mariadb": MySql}
# Nothing of a customer may leave, and asking about them is free.
POLICY = """\
version: 1
datasets:
  customers:
    class: personal
    relations: [ {{ engine: {engine}, database: one, name: {name} }} ]
    columns: [name, email, phone, profile, tags]
rules: []
defaults: {{ unmatched-sensitive: refuse, opaque-sensitive: refuse, unknown-person: allow }}
"""
# Numbers, and yes and no, also where they come as a text.
NUMBER = re.compile(r"(?:true|false|[-+0-9.:])*", re.IGNORECASE)
PROGRESS_SECONDS = 20
TOLD_MAX = 40


def arguments():
    parser = argparse.ArgumentParser(prog="tests/evasion/chance.sh", description=__doc__)
    parser.add_argument("--engine", action="append", choices=list(GRAMMARS), help="only this one; may be repeated")
    parser.add_argument("--statements", type=int, default=2000, help="for each engine (2000)")
    parser.add_argument("--seed", type=int, help="draw the same again; a run tells its own")
    parser.add_argument("--weir", required=True, help=argparse.SUPPRESS)
    return parser.parse_args()


def tells(one, two):
    """Whether two answers differ in more than numbers and yes or no, which counts and comparisons may give."""
    def cells(rows):
        return [cell for row in rows for cell in row]
    def is_word(cell):
        # MySQL gives what a comparison came to as a text, once it has been through a variable; a cast does the same.
        return cell is not None and not isinstance(cell, (bool, int, float)) and not NUMBER.fullmatch(str(cell).strip("b'"))
    one, two = cells(one), cells(two)
    if len(one) != len(two):
        return False
    return any(a != b and (is_word(a) or is_word(b)) for a, b in zip(one, two))


class Judge:
    """Three connections, and what came of each statement."""

    def __init__(self, grammar, server_port, weir_port):
        self.grammar = grammar
        self.places = {"one": (server_port, "one"), "two": (server_port, "two"), "weir": (weir_port, "one")}
        self.connections = {}
        self.counts = dict.fromkeys(("drawn", "refused by the server", "refused by weir", "passed"), 0)
        self.found = []

    def ask(self, name, statement):
        if name not in self.connections or self.grammar.is_closed(self.connections[name]):
            self.connections[name] = self.grammar.connect(*self.places[name])
        return self.grammar.answer(self.connections[name], statement)

    def judge(self, statement):
        self.counts["drawn"] += 1
        one, error, _ = self.ask("one", statement)
        if one is None and not MARK.search(error.encode()):
            self.counts["refused by the server"] += 1
            return
        seen, error, refused = self.ask("weir", statement)
        if refused:
            self.counts["refused by weir"] += 1
            return
        self.counts["passed"] += 1
        answer = error if seen is None else repr(seen)
        if MARK.search(answer.encode()):
            self.found.append(("values came through", statement, answer))
        elif seen is not None and one is not None:
            two, _, _ = self.ask("two", statement)
            if two is not None and tells(one, two):
                self.found.append(("the answer depends on values", statement, answer))


def play(engine, options, directory):
    seed = options.seed if options.seed is not None else random.SystemRandom().randrange(1 << 32)
    os.mkdir(directory)
    server = servers.SERVERS[engine](directory)
    try:
        grammar = GRAMMARS[engine](random.Random(seed), server)
        grammar.prepare()
        policy = os.path.join(directory, "chance.yaml")
        with open(policy, "w", encoding="utf-8") as file:
            file.write(POLICY.format(engine=server.weir_engine, name="s.customers" if engine == "pg" else "customers"))
        weir = Weir(options.weir, directory, server, [], policy)
        try:
            judge = Judge(grammar, server.address[1], weir.address[1])
            told = time.monotonic()
            while judge.counts["drawn"] < options.statements:
                judge.judge(grammar.statement())
                if time.monotonic() - told > PROGRESS_SECONDS:
                    told = time.monotonic()
                    print(f"{engine}: {judge.counts['drawn']} of {options.statements}", file=sys.stderr)
            if weir.process.ended():
                raise SystemExit(f"weir ended by itself; its log ends with:\n{weir.process.log_tail()}")
        finally:
            weir.stop()
    finally:
        server.stop()
    counts = ", ".join(f"{count} {what}" for what, count in judge.counts.items())
    print(f"{engine}, seed {seed}: {counts}; {len(judge.found)} let something out")
    for what, statement, answer in judge.found[:TOLD_MAX]:
        print(f"  {what}: {statement}\n    {answer[:200]}")
    # A grammar whose statements all fail, or all pass, would prove nothing.
    return not judge.found and judge.counts["refused by weir"] > 0 and judge.counts["passed"] > options.statements / 20


def main():
    options = arguments()
    engines = [engine for engine in options.engine or GRAMMARS if servers.ready(engine)]
    directory = tempfile.mkdtemp(prefix="weir-chance.")
    os.chmod(directory, 0o755)
    try:
        good = [play(engine, options, os.path.join(directory, engine)) for engine in engines]
    finally:
        shutil.rmtree(directory, ignore_errors=True)
    return 0 if all(good) else 1


sys.exit(main())
