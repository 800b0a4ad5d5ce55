//! What is told of a verdict: to the client, and in the words of a record.

use weir_audit_store::event::{ApprovalRequest, Decision as Decided, Outcome as Ended};
use weir_policy::verdict::{Basis, Denial, Outcome as Came};
use weir_wire::Refusal;

/// SQLSTATE of what policy does not allow: `insufficient_privilege`, which every driver knows and none retries.
pub(super) const DENIED: &str = "42501";

/// What a client reads of a denial: the operator's words and a reference, nothing of Weir's inside.
pub(super) fn refusal(denial: &Denial, reference: &str, asking: Option<&ApprovalRequest>) -> Refusal {
    if let Some(request) = asking {
        // The next step is theirs and not the security team's, so the way stands where the reference does.
        return Refusal {
            sqlstate: DENIED,
            message: format!("{} (request {}, reference {reference})", denial.message, request.id),
            detail: None,
            hint: Some(format!(
                "ask {} for more: weir approve {} --records COUNT --for 30m --reason TEXT",
                request.approvers.replace("their manager", "your manager"),
                request.id
            )),
        };
    }
    Refusal {
        sqlstate: DENIED,
        message: format!("{} (reference {reference})", denial.message),
        detail: None,
        hint: Some("give the reference to your security team; they see which rule and counter decided".to_owned()),
    }
}

/// One line for each counter: the last word stands, with the counter before the first.
pub(super) fn dedup(basis: &mut Vec<Basis>) {
    let mut kept: Vec<Basis> = Vec::with_capacity(basis.len());
    for line in basis.drain(..) {
        let same = |known: &&mut Basis| {
            known.rule == line.rule
                && known.dataset == line.dataset
                && known.window == line.window
                && known.unit == line.unit
        };
        match kept.iter_mut().find(same) {
            Some(known) => {
                let before = known.before.min(line.before);
                let outcome = known.outcome.max(line.outcome);
                *known = Basis { before, outcome, ..line };
            }
            None => kept.push(line),
        }
    }
    *basis = kept;
}

pub(super) fn decided(basis: &[Basis]) -> Decided {
    if basis.iter().any(|line| matches!(line.outcome, Came::WouldCut | Came::WouldRefuse)) {
        Decided::Observe
    } else {
        Decided::Allow
    }
}

pub(super) fn outcome_word(ended: Ended) -> &'static str {
    match ended {
        Ended::Complete => "complete",
        Ended::Cut => "cut",
        Ended::Error => "error",
        Ended::Cancelled => "cancelled",
        Ended::ClientGone => "client-gone",
        Ended::UpstreamGone => "upstream-gone",
    }
}
