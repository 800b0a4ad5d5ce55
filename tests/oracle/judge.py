"""Holds what Weir understands of a statement against what the oracle knows, and keeps count.

A statement of full coverage must name every relation that the oracle found, and every column. One of partial coverage
must name every relation as well: that is what the lexer's superset promises. An opaque one promises nothing.
"""

import collections
import re
import threading

COVERAGES = ("full", "partial", "opaque")
# Statements that are kept of each gap.
EXAMPLES = 200


# Ways in which a value leaves by rows, or goes where it may.
LEAVING = ("released", "packed", "copied")
# What a loop changes from one round to the next.
CONSTANT = re.compile(r"'(?:[^'\\]|\\.|'')*'|\d+")


def alike(sql):
    """The same for texts that differ in constants only: a test that fills a table by a loop says one thing once."""
    return CONSTANT.sub("?", sql)


class Expected:
    """What an oracle knows of one statement. Relations are (schema, name), columns (schema, name, column)."""

    def __init__(self):
        # Named by the text, as the server resolves them.
        self.named = set()
        # Opened when the server planned it: through views, inheritance, rules and functions as well.
        self.opened = set()
        # Asked by row security or a foreign key of what was opened, or read by what that asks.
        self.guards = set()
        # Plain columns of the result.
        self.origins = set()
        # Columns that the text mentions.
        self.mentioned = set()
        # The server took it: `opened` is an answer, and not for want of one.
        self.explained = False
        self.mentions = False
        # It reads a view of the session's own, which was judged when it was made.
        self.temporary_view = False


class Answer:
    """What Weir says of a text, all its statements together."""

    def __init__(self, statements):
        flat = []
        waiting = list(statements)
        while waiting:
            statement = waiting.pop()
            flat.append(statement)
            waiting += statement["later"]
        self.coverage = max((statement["coverage"] for statement in flat), key=COVERAGES.index)
        self.gaps = {(gap["code"], gap["subject"]) for statement in flat for gap in statement["gaps"]}
        self.uses = [usage for statement in flat for usage in statement["uses"]]
        self.relations = set()
        # Named, and not in the catalog: such a use is of any schema when it says none.
        self.unknown = set()
        for usage in self.uses:
            if usage["relation"]:
                self.relations.add(tuple(usage["relation"]))
            else:
                self.unknown.add(tuple(usage["written"]))
            for view in usage["via"]:
                schema, _, name = view.partition(".")
                self.relations.add((schema, name))

    def names(self, relation):
        schema, name = relation
        return relation in self.relations or (None, name) in self.unknown or (schema, name) in self.unknown

    def has(self, column, ways):
        """Whether a column is among those of these ways."""
        schema, relation, name = column
        for usage in self.uses:
            if usage["relation"] == [schema, relation]:
                for way in ways:
                    if usage[way] == "all" or name in usage[way]:
                        return True
        return False


class Tally:
    """What came out of it, by engine."""

    def __init__(self):
        self.lock = threading.Lock()
        # Text to whether it calls functions that the server does not ship.
        self.texts = {}
        self.skipped = collections.Counter()
        self.coverage = collections.Counter()
        self.by_kind = collections.defaultdict(collections.Counter)
        self.compared = collections.Counter()
        self.gaps = collections.Counter()
        self.gap_texts = collections.defaultdict(list)
        self.misses = []
        # Columns that a fully understood text mentions, of which Weir says nothing.
        self.idle = []
        self.opaque_unnamed = 0

    def is_known(self, sql):
        """Whether such a text was judged before."""
        with self.lock:
            return alike(sql) in self.texts

    def calls(self, sql):
        """Whether the text like it that was judged calls functions that the server does not ship."""
        with self.lock:
            return self.texts[alike(sql)]

    def skip(self, reason):
        with self.lock:
            self.skipped[reason] += 1

    def judge(self, where, sql, kind, expected, said):
        answer = Answer(said)
        with self.lock:
            self.texts[alike(sql)] = any(statement["functions"] for statement in said)
            self.coverage[answer.coverage] += 1
            self.by_kind[kind][answer.coverage] += 1
            for gap in answer.gaps:
                self.gaps[gap] += 1
                if len(self.gap_texts[gap]) < EXAMPLES:
                    self.gap_texts[gap].append(f"{where}: {sql}")
            if expected.temporary_view:
                self.skipped["relations behind a temporary view"] += 1
                return
            lost = []
            for what, found in (("named", expected.named), ("opened", expected.opened)):
                self.compared[f"relations {what}"] += len(found)
                missed = {each for each in found if not answer.names(each)}
                if what == "opened":
                    self.compared["relations that only row security or foreign keys ask"] += len(missed & expected.guards)
                    missed -= expected.guards
                lost += [(what, ".".join(each)) for each in sorted(missed)]
            if answer.coverage == "full":
                self.compared["columns released"] += len(expected.origins)
                lost += [("released", ".".join(each)) for each in sorted(expected.origins) if not answer.has(each, LEAVING)]
                # A column that a derived table has and nobody asks for is mentioned, and goes nowhere.
                self.compared["columns mentioned"] += len(expected.mentioned)
                anyhow = LEAVING + ("updated", "used", "totals")
                for column in expected.mentioned:
                    if not answer.has(column, anyhow):
                        self.idle.append((where, ".".join(column), sql))
            if answer.coverage == "opaque":
                self.opaque_unnamed += bool(lost)
                return
            for what, thing in lost:
                self.misses.append(
                    {"file": where, "coverage": answer.coverage, "what": what, "thing": thing, "statement": sql}
                )
