"""The audit log, read as what it says of each login."""

from dataclasses import dataclass


@dataclass
class Verdict:
    what: str            # alert, block or cut
    why: str             # rule, default or kind of the alert
    text: str            # of the statement, as the log has it
    coverage: str


def of_event(event):
    """(login, verdict), or nothing where the event is no decision against anybody."""
    account = (event.get("session") or {}).get("account")
    detail, kind = event.get("detail") or {}, event.get("kind")
    what = {"denial": "block", "alert": "alert"}.get(kind)
    if kind == "completion" and detail.get("outcome") == "cut":
        what = "cut"
    if not account or not what:
        return None
    statement = event.get("statement") or {}
    basis = [line["rule"] for line in event.get("basis") or [] if line.get("outcome") not in (None, "allowed")]
    why = "+".join(dict.fromkeys(basis)) or detail.get("code", "")
    return account, Verdict(what, why, statement.get("text", ""), statement.get("coverage", ""))


def by_login(events):
    verdicts = {}
    for event in events:
        found = of_event(event)
        if found:
            verdicts.setdefault(found[0], []).append(found[1])
    return verdicts
