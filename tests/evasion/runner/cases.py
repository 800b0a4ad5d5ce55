"""What is played: one JSON object a line. The format is in ../README.md."""

import json
import re
from dataclasses import dataclass, field

ENGINES = ("pg", "mysql", "mariadb")

# The group of the directory that a role belongs to.
GROUPS = {"support_agent": "support", "app": "app", "analyst": "analysts", "dev": "developers", "dba": "dba",
          "backup": "backup"}


@dataclass
class Case:
    id: str
    engine: str
    kind: str            # attack or benign
    category: str
    title: str
    role: str
    user: str            # a login of its own, so that budgets and records of cases stay apart
    difficulty: str
    steps: list
    truth: dict
    expect: dict
    conn: dict = field(default_factory=dict)
    setup: list = field(default_factory=list)
    check: list = field(default_factory=list)
    cleanup: list = field(default_factory=list)
    decode: list = field(default_factory=list)
    volatile: bool = False        # its result is another each time
    may_error: bool = False
    second_user: bool = False     # `{{user2}}` is a login of another person
    min_version: int = 0          # of the server
    max_version: int = 99

    @staticmethod
    def read(line):
        raw = json.loads(line)
        return Case(**{name: raw[name] for name in Case.__dataclass_fields__ if name in raw})

    @property
    def verdict(self):
        return self.expect["verdict"]

    @property
    def is_attack(self):
        """Some attacks are controls: what they do is allowed, and flagging it is a false positive."""
        return self.kind == "attack" and self.verdict != "allow"

    @property
    def users(self):
        return [self.user] + ([self.user + "x"] if self.second_user else [])


def read(paths):
    cases, seen = [], set()
    for path in paths:
        with open(path, encoding="utf-8") as lines:
            for line in lines:
                case = Case.read(line)
                for name in [case.id, *case.users]:
                    if name in seen:
                        raise SystemExit(f"{path}: `{name}` stands twice")
                    seen.add(name)
                cases.append(case)
    return cases


def choose(cases, engines=(), categories=(), pattern=None):
    return [
        case for case in cases
        if (not engines or case.engine in engines) and (not categories or case.category in categories)
        and (not pattern or re.search(pattern, case.id))
    ]


def ends_of_each(cases):
    """The first and the last case of every engine, kind and category."""
    groups = {}
    for case in cases:
        groups.setdefault((case.engine, case.kind, case.category), []).append(case)
    return [case for group in groups.values() for case in (group[:1] + group[1:][-1:])]
