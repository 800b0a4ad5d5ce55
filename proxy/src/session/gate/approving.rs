//! Budgets that somebody else may enlarge: what whoever came to the end of one is told to ask for.

use weir_audit_store::Urgency;
use weir_audit_store::event::{Alert, ApprovalRequest, Body, Severity};
use weir_policy::verdict::Denial;

use super::Gate;
use crate::session::execution::Execution;
use crate::telemetry;

/// The code of the alert that a request is.
const CODE: &str = "approval-requested";

impl Gate {
    /// What to ask for, where the rule that decided lets somebody enlarge its budget. A new request is recorded and told.
    pub(super) fn ask_approval(&self, execution: &Execution, denial: &Denial) -> Option<ApprovalRequest> {
        let shared = &self.mind.shared;
        let person = &self.mind.who.person;
        let asking = shared.approvals.ask(person, denial, &execution.in_force.set, shared.budgets.clock())?;
        let request = asking.request;
        if asking.fresh {
            let event = self.mind.event(Body::ApprovalRequest(request.clone()), Some(execution));
            shared.recorder.note(&event, Urgency::Durable);
            let title = format!(
                "{person} asks for more than {} records of `{}` per {}: request {}, {} may approve",
                request.limit, request.dataset, request.window, request.id, request.approvers
            );
            telemetry::alerted(CODE);
            let alert = Alert { code: CODE.to_owned(), title, severity: Severity::Medium };
            shared.recorder.alert(&self.mind.event(Body::Alert(alert), Some(execution)));
        }
        Some(request)
    }
}
