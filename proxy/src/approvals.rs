//! Requests for a larger budget: who came to the end of one that others may enlarge, and is waiting.
//!
//! INVARIANT: a request gives nothing. Only the record of a grant does, and the ledgers take that up; what is open is
//! rebuilt from the log at start.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use weir_audit_store::Event;
use weir_audit_store::event::{ApprovalRequest, Body, Until};
use weir_policy::budget::Unit;
use weir_policy::set::PolicySet;
use weir_policy::verdict::{Denial, Measure};

use crate::budgets::{APPROVE, Clock, DONE, wall_ms};

/// The action that turns a request down.
pub const DENY: &str = "deny-approval";
/// How long a request waits for an answer: whoever still needs it then comes to the limit again.
const WAITS_MS: u64 = 24 * 3600 * 1000;
/// Most requests that wait at once; beyond it the oldest is forgotten, and its person asks again.
const OPEN_MAX: usize = 10_000;
/// Letters and digits of names of requests: none that is taken for another.
const ALPHABET: &[u8; 32] = b"0123456789ABCDEFGHJKMNPQRSTVWXYZ";

/// Requests that wait for an answer.
#[derive(Default)]
pub struct Approvals {
    open: Mutex<HashMap<String, Asked>>,
}

/// A request that waits.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Asked {
    /// Who asks.
    pub person: Arc<str>,
    /// When, Unix milliseconds.
    pub time_ms: u64,
    /// For what.
    pub request: ApprovalRequest,
}

/// A denial that somebody may lift.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Asking {
    /// The request.
    pub request: ApprovalRequest,
    /// Whether it is a new one.
    pub fresh: bool,
}

impl Approvals {
    /// What to ask for where a budget ended that others may enlarge; the request that waits already, if there is one.
    pub fn ask(&self, person: &Arc<str>, denial: &Denial, set: &PolicySet, clock: &Clock) -> Option<Asking> {
        let basis = &denial.basis;
        let (dataset, window) = (basis.dataset.as_ref()?, basis.window?);
        let approval = set.approval(&basis.rule).filter(|_| basis.unit == Measure::from(Unit::Records))?;
        let mut open = self.open();
        open.retain(|_, asked| is_open(&asked.request, clock));
        let same = |asked: &&Asked| {
            *asked.person == **person && asked.request.rule == *basis.rule && asked.request.dataset == **dataset
        };
        if let Some(known) = open.values().find(same) {
            return Some(Asking { request: known.request.clone(), fresh: false });
        }
        let request = ApprovalRequest {
            id: name()?,
            rule: basis.rule.to_string(),
            dataset: dataset.to_string(),
            window: window.to_string(),
            limit: basis.limit,
            approvers: approval.to_string(),
            until: until(clock, WAITS_MS),
        };
        put(&mut open, Asked { person: Arc::clone(person), time_ms: wall_ms(), request: request.clone() });
        Some(Asking { request, fresh: true })
    }

    /// Takes up what the log says: live acts, and everything at start.
    pub fn apply(&self, event: &Event) {
        match &event.body {
            Body::ApprovalRequest(request) => {
                let Some(person) = &event.person else { return };
                let asked =
                    Asked { person: person.id.as_str().into(), time_ms: event.time_ms, request: request.clone() };
                put(&mut self.open(), asked);
            }
            Body::Admin(admin) if admin.outcome == DONE && [APPROVE, DENY].contains(&admin.action.as_str()) => {
                if let Some(id) = &admin.target {
                    self.open().remove(id);
                }
            }
            _ => {}
        }
    }

    /// The request of this name, if it waits.
    pub fn find(&self, id: &str, clock: &Clock) -> Option<Asked> {
        self.open().get(id).filter(|asked| is_open(&asked.request, clock)).cloned()
    }

    /// What waits, oldest first.
    pub fn waiting(&self, clock: &Clock) -> Vec<Asked> {
        let mut waiting: Vec<Asked> =
            self.open().values().filter(|asked| is_open(&asked.request, clock)).cloned().collect();
        waiting.sort_by(|a, b| (a.time_ms, &a.request.id).cmp(&(b.time_ms, &b.request.id)));
        waiting
    }

    fn open(&self) -> MutexGuard<'_, HashMap<String, Asked>> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// So many milliseconds from now, on both clocks.
pub fn until(clock: &Clock, ms: u64) -> Until {
    Until { ledger_ms: clock.now().0.saturating_add(ms), time_ms: wall_ms().saturating_add(ms) }
}

fn is_open(request: &ApprovalRequest, clock: &Clock) -> bool {
    clock.now().0 < request.until.ledger_ms && wall_ms() < request.until.time_ms
}

fn put(open: &mut HashMap<String, Asked>, asked: Asked) {
    if open.len() >= OPEN_MAX
        && let Some(oldest) = open.iter().min_by_key(|(_, asked)| asked.time_ms).map(|(id, _)| id.clone())
    {
        open.remove(&oldest);
    }
    open.insert(asked.request.id.clone(), asked);
}

/// A name that nobody can guess; `None` without random bytes.
fn name() -> Option<String> {
    let mut random = [0; 8];
    aws_lc_rs::rand::fill(&mut random).ok()?;
    let letters: String = random.iter().map(|byte| char::from(ALPHABET[usize::from(byte & 31)])).collect();
    Some(format!("A-{}-{}", &letters[..4], &letters[4..]))
}

#[cfg(test)]
mod tests {
    use weir_audit_store::event::{Admin, Person};
    use weir_policy::budget::Window;
    use weir_policy::verdict::{Basis, Outcome};

    use super::*;

    const POLICY: &str = "version: 1
datasets:
  customers: { class: personal, relations: [{ engine: postgres, database: d, name: public.customers }] }
rules:
  - { name: asks, who: any, dataset: customers, budget: [{ records: 5, per: hour }], then: require-approval }
  - { name: flat, who: any, dataset: customers, budget: [{ records: 6, per: day }] }
";

    fn denial(rule: &str) -> Denial {
        let basis = Basis {
            rule: rule.into(),
            dataset: Some("customers".into()),
            window: Some(Window::Hour),
            unit: Measure::Records,
            limit: 5,
            before: 5,
            after: 5,
            outcome: Outcome::Refused,
        };
        Denial { message: String::new(), basis }
    }

    #[test]
    fn one_request_waits_for_each_person_and_budget() {
        let (set, _) = PolicySet::load(POLICY, "policy.yaml").unwrap();
        let clock = Clock::not_before(0);
        let approvals = Approvals::default();
        let ask = |person: &str, rule: &str| approvals.ask(&person.into(), &denial(rule), &set, &clock);
        assert_eq!(ask("alice", "flat"), None, "that rule lets nobody approve");
        assert_eq!(ask("alice", "gone"), None);
        let first = ask("alice", "asks").unwrap();
        assert!(first.fresh && first.request.id.len() == 11, "{first:?}");
        assert_eq!(first.request.approvers, "their manager");
        assert_eq!(ask("alice", "asks").unwrap(), Asking { fresh: false, ..first.clone() });
        let second = ask("bob", "asks").unwrap();
        assert!(second.fresh && second.request.id != first.request.id);
        assert_eq!(approvals.waiting(&clock).len(), 2);
        // Another process that reads the log knows the same.
        let other = Approvals::default();
        let mut event = Event::new(wall_ms(), clock.now().0, "boot", Body::ApprovalRequest(first.request.clone()));
        event.person = Some(Person { id: "alice".to_owned(), ..Person::default() });
        other.apply(&event);
        assert_eq!(other.find(&first.request.id, &clock).unwrap().request, first.request);
        let act = |action: &str, outcome: &str| {
            let admin = Admin {
                action: action.to_owned(),
                outcome: outcome.to_owned(),
                target: Some(first.request.id.clone()),
                ..Admin::default()
            };
            Event::new(1, 1, "boot", Body::Admin(admin))
        };
        other.apply(&act(APPROVE, "refused: not by yourself"));
        assert!(other.find(&first.request.id, &clock).is_some());
        other.apply(&act(DENY, DONE));
        assert_eq!(other.find(&first.request.id, &clock), None);
    }

    #[test]
    fn a_request_does_not_wait_for_ever() {
        let clock = Clock::not_before(0);
        let approvals = Approvals::default();
        let over = Until { ledger_ms: clock.now().0, time_ms: u64::MAX };
        let request = ApprovalRequest { id: "A-1".to_owned(), until: over, ..ApprovalRequest::default() };
        let mut event = Event::new(1, 1, "boot", Body::ApprovalRequest(request));
        event.person = Some(Person::default());
        approvals.apply(&event);
        assert_eq!((approvals.find("A-1", &clock), approvals.waiting(&clock).len()), (None, 0));
    }
}
