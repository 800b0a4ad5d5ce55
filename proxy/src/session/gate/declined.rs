//! Requests that are not SQL: declined without regard to policy, unless the operator has named them.

use std::sync::Arc;

use weir_audit_store::Urgency;
use weir_audit_store::event::{Body, Decision as Decided, Denial as Denied};
use weir_policy::statement::{Access, SessionAct};
use weir_wire::{Command, Refusal};

use super::Gate;
use crate::analyses::Understood;

impl Gate {
    /// What the engine has declined by itself.
    pub fn note_declined(&self, refusals: Vec<Refusal>) {
        for refusal in refusals {
            self.declined("protocol", refusal);
        }
    }

    /// Whether policy would let anything run that nobody can read: it holds nothing back, or protects nothing here.
    pub(super) fn lets_anything_run(&mut self) -> bool {
        let bound = self.mind.bound();
        !bound.binding.is_sensitive() || bound.in_force.set.observes() || bound.in_force.set.allows_opaque()
    }

    pub(super) fn no_function_calls(&self, oid: u32) -> Refusal {
        let refusal = Refusal::new(
            "0A000",
            format!("the function call message (function {oid}) does not pass weir"),
            "call the function in SQL; the operator can set allow.function_call",
        );
        self.declined("function-call", refusal)
    }

    /// What a request that is not SQL is taken for, where it may pass at all.
    pub(super) fn command(&self, command: Command) -> Result<Arc<Understood>, Refusal> {
        let (code, name) = match command {
            Command::ResetConnection => return Ok(self.mind.starts_over()),
            Command::Named { code, name } => (code, name),
            Command::Unknown(code) => (code, "unknown"),
        };
        if self.allowed_commands.iter().any(|allowed| allowed == name) {
            return Ok(self.mind.unseen("command", name.to_owned()));
        }
        let refusal = Refusal::new(
            "0A000",
            format!("the command `{name}` ({code:#04x}) does not pass weir"),
            "what it brings cannot be counted by person; the operator can name it in allow.commands",
        );
        Err(self.declined("command", refusal))
    }

    /// From now on nothing passes that leaves the role which the session began with.
    pub fn hold_role(&mut self) {
        self.holds_role = true;
    }

    /// Refuses what would leave the role that a mapped account has taken on: behind it are the roles of everybody whom the
    /// account stands for. `DISCARD ALL` begins with SET SESSION AUTHORIZATION, and what a text makes up and runs may be either.
    pub(super) fn leaves_role(&self, understood: &Understood) -> Option<Refusal> {
        if !self.holds_role {
            return None;
        }
        let leaves = |understood: &Understood| {
            understood.analysis.statements.iter().any(|statement| {
                statement.accesses.contains(&Access::SetRole)
                    || statement.gaps.iter().any(|gap| gap.code == "dynamic-sql")
                    || statement
                        .acts
                        .iter()
                        .any(|act| matches!(act, SessionAct::SetRole { .. } | SessionAct::Discard { all: true }))
            })
        };
        let found = leaves(understood) || understood.others.iter().any(|other| leaves(other));
        found.then(|| {
            let refusal = Refusal::new(
                "42501",
                "this session has a role that you cannot leave: weir took it on for you",
                "leave out SET ROLE, SET SESSION AUTHORIZATION and DISCARD ALL; connection pools reset with RESET ALL",
            );
            self.declined("set-role", refusal)
        })
    }

    /// Records that a request was declined without regard to policy.
    pub(super) fn declined(&self, code: &str, refusal: Refusal) -> Refusal {
        let body = Body::Denial(Denied {
            code: code.to_owned(),
            message: refusal.message.clone(),
            sqlstate: refusal.sqlstate.to_owned(),
        });
        let mut event = self.mind.event(body, None);
        event.decision = Some(Decided::Deny);
        self.mind.shared.recorder.note(&event, Urgency::Relaxed);
        refusal
    }
}
