"""The score as a person reads it, and as a machine does."""

from .score import IMPOSSIBLE

DIFFICULTIES = ("ordinary", "tricky", "hard", IMPOSSIBLE)


def share(part, whole):
    return f"{100 * part / whole:5.1f}%" if whole else "    - "


def _groups(scores, key):
    groups = {}
    for one in scores:
        groups.setdefault(key(one), []).append(one)
    return groups


def _attack_line(engine, name, scores):
    told, stopped = sum(one.told for one in scores), sum(one.leaked == 0 for one in scores)
    correct, leaked = sum(one.correct for one in scores), sum(one.leaked for one in scores)
    of_direct = share(sum(min(one.leaked, one.direct) for one in scores), sum(one.direct for one in scores))
    return (f"{engine:<9} {name:<22} {len(scores):>5} {share(told, len(scores)):>9} {share(stopped, len(scores)):>9} "
            f"{share(correct, len(scores)):>9} {leaked:>9} {of_direct:>9}")


ATTACK_HEAD = (f"{'engine':<9} {'attacks':<22} {'cases':>5} {'told':>9} {'stopped':>9} {'correct':>9} {'leaked':>9} "
               f"{'of direct':>9}")


def of_engine(engine, scores):
    """One engine's score by category, attacks first."""
    lines = []
    attacks = [one for one in scores if one.case.is_attack]
    if attacks:
        groups = [*_groups(attacks, lambda one: one.case.category).items(), ("ALL", attacks)]
        lines += [ATTACK_HEAD, *(_attack_line(engine, name, group) for name, group in groups), ""]
    benign = [one for one in scores if not one.case.is_attack]
    if benign:
        groups = [*_groups(benign, lambda one: one.case.category).items(), ("ALL", benign)]
        lines.append(f"{'engine':<9} {'look-alikes':<22} {'cases':>5} {'flagged':>9} {'changed':>9}")
        lines += [f"{engine:<9} {name:<22} {len(group):>5} {share(sum(one.told for one in group), len(group)):>9} "
                  f"{share(sum(bool(one.changed) for one in group), len(group)):>9}" for name, group in groups]
    return lines


def of_all(scores):
    """The attacks of every engine by difficulty."""
    attacks = [one for one in scores if one.case.is_attack]
    groups = _groups(attacks, lambda one: one.case.difficulty)
    lines = [_attack_line("all", name, groups[name]) for name in DIFFICULTIES if name in groups]
    return [ATTACK_HEAD, *lines] if lines else []


def wrong_cases(scores):
    """A paragraph for each case that did not go as it should."""
    lines = []
    for one in scores:
        case, outcome = one.case, one.outcome
        if one.missed:
            told = "told" if one.told else "not told"
            lines.append(f"MISS {case.id} [{case.category}, {case.difficulty}] {case.title}: wanted {case.verdict}, "
                         f"{told}, {one.leaked} of {one.direct} records beyond the allowance")
        elif one.false_positive:
            lines.append(f"FP   {case.id} [{case.category}] {case.title}: {'flagged' if one.told else 'not flagged'}"
                         f"{'; ' if one.changed else ''}{', '.join(one.changed)}")
        else:
            continue
        lines += [f"     {carrier}: {places}" for carrier, places in outcome.carriers.items()]
        lines += [f"     error: {error}" for error in outcome.errors[:2]]
        lines += [f"     {verdict.what} by {verdict.why} ({verdict.coverage or 'no statement'}): {verdict.text[:160]}"
                  for verdict in one.verdicts[:3]]
    return lines


def as_json(scores, versions, failures):
    return {
        "servers": versions,
        "failures": failures,
        "cases": [{
            "id": one.case.id, "engine": one.case.engine, "kind": one.case.kind, "category": one.case.category,
            "difficulty": one.case.difficulty, "wanted": one.case.verdict, "told": one.told, "direct": one.direct,
            "leaked": one.leaked, "correct": one.correct if one.case.is_attack else not one.false_positive,
            "changed": one.changed, "records": one.outcome.records, "carriers": one.outcome.carriers,
            "server": one.outcome.server, "errors": one.outcome.errors, "crash": one.outcome.crash,
            "seconds": round(one.outcome.seconds, 3),
            "verdicts": sorted({f"{verdict.what} {verdict.why}" for verdict in one.verdicts}),
        } for one in scores],
    }
