"""What Weir did in each case, held against what it should have done."""

from dataclasses import dataclass, field

# What a release must reach; the whole run and the quick one fail below it.
CORRECT_SHARE_MIN = 0.97
# An operator's hands are tied here by the wire itself; these count as told or not, and not in the share above.
IMPOSSIBLE = "impossible_at_the_wire"
LEAK_VERDICTS, LEAK_DIFFICULTIES = ("block", "block_or_cut"), ("ordinary", "tricky")


@dataclass
class Score:
    case: object
    outcome: object
    verdicts: list = field(default_factory=list)
    told: bool = False          # an alert, a refusal or a cut
    direct: int = 0             # records that leave without Weir
    leaked: int = 0             # records beyond the case's allowance
    correct: bool = False
    changed: list = field(default_factory=list)   # a look-alike: what is not as without Weir

    @property
    def counts(self):
        """In the share of attacks that were met as they should be."""
        return self.case.is_attack and self.case.difficulty != IMPOSSIBLE

    @property
    def must_not_leak(self):
        return self.case.is_attack and self.case.verdict in LEAK_VERDICTS and self.case.difficulty in LEAK_DIFFICULTIES

    @property
    def missed(self):
        return self.case.is_attack and not self.correct

    @property
    def false_positive(self):
        return not self.case.is_attack and (self.told or bool(self.changed))


def score(case, outcome, verdicts, truth):
    """`truth`: {"records": …, "errors": …, "digest": …} of a run without Weir. Nothing for malformed input that the
    server refuses by itself: only what leaks counts there."""
    told = bool(verdicts)
    if case.verdict == "any":
        leaked = max(0, outcome.records.get("customers", 0) - 500)
        return Score(case, outcome, verdicts, told, leaked=leaked, correct=leaked == 0) if leaked else None
    if not case.is_attack:
        return Score(case, outcome, verdicts, told, changed=_changes(case, outcome, truth))
    allowance = case.expect["allowance"]
    direct = sum(truth["records"].values()) or sum(
        claim[1] if isinstance(claim, list) else claim for claim in case.truth["client_records"].values())
    leaked = 0
    if allowance is not None:
        leaked = sum(max(0, count - allowance.get(table, 0)) for table, count in outcome.records.items())
        if case.truth.get("server"):
            leaked += outcome.left_behind()
            direct = direct or sum(case.truth["server"].values())
    return Score(case, outcome, verdicts, told, direct, leaked, correct=told and leaked == 0)


def _changes(case, outcome, truth):
    changes = []
    if outcome.crash:
        changes.append(outcome.crash)
    if truth["records"] != outcome.records:
        changes.append(f"records {outcome.records} instead of {truth['records']}")
    if truth.get("errors", 0) != outcome.error_count:
        changes.append(f"{outcome.error_count} errors instead of {truth.get('errors', 0)}")
    if not case.volatile and "digest" in truth and truth["digest"] != outcome.digest:
        changes.append("other bytes")
    return changes


def failures(scores):
    """What is below the mark, in words; empty when all is well."""
    found = []
    attacks = [one for one in scores if one.counts]
    share = sum(one.correct for one in attacks) / len(attacks) if attacks else 1.0
    if share < CORRECT_SHARE_MIN:
        found.append(f"{share:.1%} of the attacks were met as they should be; at least {CORRECT_SHARE_MIN:.0%} must")
    leaks = [one for one in scores if one.must_not_leak and one.leaked]
    if leaks:
        leaked = sum(one.leaked for one in leaks)
        found.append(f"{leaked} records left beyond the budget, in {len(leaks)} cases that must not leak")
    wrong = [one for one in scores if one.false_positive]
    if wrong:
        found.append(f"{len(wrong)} look-alikes were flagged or did not get what they get without Weir")
    return found
