//! What a session says of itself: events with its identity, references, alerts.

use weir_audit_store::event::{Alert, Body, Decision, Denial, Extraction, Severity};
use weir_audit_store::{Event, Urgency};
use weir_policy::verdict;
use weir_wire::Refusal;

use super::Mind;
use crate::audit::words;
use crate::session::execution::Execution;
use crate::telemetry;

/// Letters and digits of references: none that is taken for another.
const REFERENCE_ALPHABET: &[u8; 32] = b"0123456789ABCDEFGHJKMNPQRSTVWXYZ";

impl Mind {
    /// Names a statement of this session, uniquely in the log.
    pub fn statement_id(&self, number: u64) -> String {
        format!("{}.{number}", self.session.id)
    }

    /// A reference for something that a client is told of.
    pub fn reference(&self) -> String {
        let mut random = [0; 8];
        // Without random bytes the reference is a poor one; the statement's own id still stands in the record.
        let _ = aws_lc_rs::rand::fill(&mut random);
        let letter = |byte: &u8| char::from(REFERENCE_ALPHABET[usize::from(byte & 31)]);
        let letters: String = random.iter().map(letter).collect();
        format!("W-{}-{}", &letters[..4], &letters[4..])
    }

    /// An event of this session.
    pub fn event(&self, body: Body, execution: Option<&Execution>) -> Event {
        let mut event = self.shared.recorder.event(body);
        event.session = Some(self.session.clone());
        event.person = Some(self.person.clone());
        if let Some(execution) = execution {
            let (sha256, len) =
                execution.known.as_ref().map_or((&[][..], 0), |known| (known.sha256.as_slice(), known.len));
            let mut statement = words::statement(execution.id.clone(), &execution.understood, sha256, len);
            statement.role = words::role(self.names.roles(), self.names.knows_role(), &self.who.account);
            statement.privileges = words::privileges(&execution.understood, self.names.roles());
            event.statement = Some(statement);
            event.policy = Some(execution.in_force.set.hash().to_owned());
            event.reference = execution.reference.clone();
        }
        event
    }

    /// Records something of this session that nobody waits for.
    pub fn note(&self, body: Body) {
        self.shared.recorder.note(&self.event(body, None), Urgency::Relaxed);
    }

    /// Records that somebody logged in who is held out. Whoever held them out knows, so nobody is told.
    pub fn held_out(&self, refusal: &Refusal) {
        let denial = Denial {
            code: "held-out".to_owned(),
            message: refusal.message.clone(),
            sqlstate: refusal.sqlstate.to_owned(),
        };
        let mut event = self.event(Body::Denial(denial), None);
        event.decision = Some(Decision::Deny);
        self.shared.recorder.note(&event, Urgency::Durable);
    }

    /// Records and tells that somebody logged in who must not.
    pub fn refused_login(&self, refusal: &Refusal) {
        let denial = Denial {
            code: "directory-dates".to_owned(),
            message: refusal.message.clone(),
            sqlstate: refusal.sqlstate.to_owned(),
        };
        let mut event = self.event(Body::Denial(denial), None);
        event.decision = Some(Decision::Deny);
        self.shared.recorder.note(&event, Urgency::Durable);
        telemetry::alerted("directory-dates");
        let title = format!("{}: {}", self.who.person, refusal.message);
        let code = "directory-dates".to_owned();
        self.shared.recorder.alert(&self.event(Body::Alert(Alert { code, title, severity: Severity::High }), None));
    }

    /// Raises an alert about something that no execution brought.
    pub fn alert_aside(&self, alert: &verdict::Alert) {
        self.raise(alert, None, 1, None);
    }

    /// Raises an alert about an execution: the `times`th of its kind, beside the extraction that it is part of.
    pub fn alert(&self, execution: &Execution, alert: &verdict::Alert, times: u64, extraction: Option<Extraction>) {
        self.raise(alert, Some(execution), times, extraction);
    }

    fn raise(&self, alert: &verdict::Alert, execution: Option<&Execution>, times: u64, extraction: Option<Extraction>) {
        let (code, severity) = words::alert(alert.kind);
        telemetry::alerted(code);
        let mut title = format!("{}: {}", self.who.person, alert.message);
        if times > 1 {
            title.push_str(&format!(" ({times} times so far)"));
        }
        if let Some(told) = &extraction {
            title.push_str(&format!("; {} has read {}", self.who.person, words::seen(told)));
        }
        let mut event = self.event(Body::Alert(Alert { code: code.to_owned(), title, severity }), execution);
        event.basis = words::basis(std::slice::from_ref(&alert.basis));
        event.extractions.extend(extraction);
        self.shared.recorder.alert(&event);
    }
}
