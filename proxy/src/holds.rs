//! People who are held out: their sessions end, and none begins, until an operator or time lifts it.
//!
//! INVARIANT: a session looks here before its first statement and whenever a hold changes, so none goes on unseen. What
//! holds is rebuilt from the log at start.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};

use tokio::sync::watch;
use weir_audit_store::Event;
use weir_audit_store::event::{Body, Until};
use weir_policy::identity::Who;
use weir_wire::Refusal;

use crate::budgets::{Clock, DONE, wall_ms};

/// The action that ends somebody's sessions.
pub const KILL: &str = "kill";
/// The action that lets them in again.
pub const LIFT: &str = "lift";
/// People that can be held at once; beyond it those whose time is nearest its end are let in again.
const HELD_MAX: usize = 100_000;

/// Who is held out, and who is here.
pub struct Holds {
    held: RwLock<HashMap<Arc<str>, Until>>,
    changed: watch::Sender<u64>,
    present: Mutex<HashMap<Arc<str>, usize>>,
}

impl Default for Holds {
    fn default() -> Holds {
        Holds { held: RwLock::default(), changed: watch::channel(0).0, present: Mutex::default() }
    }
}

impl Holds {
    /// Takes up what a record of an operator's act says, now or as the log remembers it.
    pub fn apply(&self, event: &Event) {
        let Body::Admin(admin) = &event.body else { return };
        let Some(person) = admin.target.as_deref().filter(|_| admin.outcome == DONE) else { return };
        match (admin.action.as_str(), admin.until) {
            (KILL, Some(until)) => self.hold(person.into(), until),
            (LIFT, _) => self.lift(person),
            _ => {}
        }
    }

    fn hold(&self, person: Arc<str>, until: Until) {
        {
            let mut held = self.held.write().unwrap_or_else(PoisonError::into_inner);
            held.insert(person, until);
            if held.len() > HELD_MAX {
                let wall = wall_ms();
                held.retain(|_, until| wall < until.time_ms);
                let soonest = held.iter().min_by_key(|(_, until)| until.time_ms).map(|(person, _)| Arc::clone(person));
                if let Some(person) = soonest.filter(|_| held.len() > HELD_MAX) {
                    held.remove(&person);
                }
            }
        }
        self.changed.send_modify(|version| *version += 1);
    }

    fn lift(&self, person: &str) {
        self.held.write().unwrap_or_else(PoisonError::into_inner).remove(person);
    }

    /// Until when a person is held out; `None` when they are not.
    pub fn until(&self, person: &str, clock: &Clock) -> Option<Until> {
        let held = self.held.read().unwrap_or_else(PoisonError::into_inner);
        if held.is_empty() {
            return None;
        }
        let until = held.get(person).copied()?;
        (clock.now().0 < until.ledger_ms && wall_ms() < until.time_ms).then_some(until)
    }

    /// The words for somebody who is held out, or who may be somebody that is; `None` for everybody else.
    pub fn refusal(&self, who: &Who, clock: &Clock) -> Option<Refusal> {
        let held = self.until(&who.person, clock).is_some()
            || who.also.iter().any(|person| self.until(person, clock).is_some());
        held.then(|| {
            Refusal::new(
                "57P01",
                "an operator has ended your sessions, and lets none begin for now",
                "ask your security team",
            )
        })
    }

    /// Wakes whoever watches, with each hold.
    pub fn watch(&self) -> watch::Receiver<u64> {
        self.changed.subscribe()
    }

    /// A session of a person, until the guard is dropped.
    pub fn enter(self: &Arc<Holds>, person: &Arc<str>) -> Present {
        *self.present().entry(Arc::clone(person)).or_default() += 1;
        Present { holds: Arc::clone(self), person: Arc::clone(person) }
    }

    /// Open sessions of a person.
    pub fn sessions(&self, person: &str) -> usize {
        self.present().get(person).copied().unwrap_or(0)
    }

    /// How many people have an open session, and how many sessions there are.
    pub fn totals(&self) -> (usize, usize) {
        let present = self.present();
        (present.len(), present.values().sum())
    }

    /// How many people are held out.
    pub fn held(&self, clock: &Clock) -> usize {
        let people: Vec<Arc<str>> = {
            let held = self.held.read().unwrap_or_else(PoisonError::into_inner);
            held.keys().cloned().collect()
        };
        people.iter().filter(|person| self.until(person, clock).is_some()).count()
    }

    fn present(&self) -> MutexGuard<'_, HashMap<Arc<str>, usize>> {
        self.present.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A session that is open.
pub struct Present {
    holds: Arc<Holds>,
    person: Arc<str>,
}

impl Drop for Present {
    fn drop(&mut self) {
        let mut present = self.holds.present();
        if let Some(sessions) = present.get_mut(&self.person) {
            *sessions -= 1;
            if *sessions == 0 {
                present.remove(&self.person);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use weir_audit_store::event::Admin;

    use super::*;

    fn act(action: &str, outcome: &str, until: Option<Until>) -> Event {
        let body = Admin {
            operator: "os:root".to_owned(),
            action: action.to_owned(),
            target: Some("alice".to_owned()),
            outcome: outcome.to_owned(),
            until,
            ..Admin::default()
        };
        Event::new(1, 1, "boot", Body::Admin(body))
    }

    #[test]
    fn a_hold_ends_with_the_first_of_both_clocks_or_when_it_is_lifted() {
        let clock = Clock::not_before(0);
        let (ledger_ms, time_ms) = (clock.now().0, wall_ms());
        let later = Until { ledger_ms: ledger_ms + 60_000, time_ms: time_ms + 60_000 };
        let holds = Arc::new(Holds::default());
        let watched = holds.watch();
        let held = || holds.until("alice", &clock).is_some();
        holds.apply(&act(KILL, "refused: because", Some(later)));
        assert!(!held());
        holds.apply(&act(KILL, DONE, Some(later)));
        assert!(held() && watched.has_changed().unwrap());
        let other = Who { person: "bob".into(), also: vec!["alice".into()], ..Who::default() };
        assert!(holds.refusal(&other, &clock).is_some(), "who may be somebody that is held");
        holds.apply(&act(LIFT, DONE, None));
        assert!(!held() && holds.refusal(&other, &clock).is_none());
        holds.apply(&act(KILL, DONE, Some(Until { ledger_ms, ..later })));
        assert!(!held(), "the budgets' clock is there");
        holds.apply(&act(KILL, DONE, Some(Until { time_ms, ..later })));
        assert!(!held(), "the wall's clock is there");
    }

    #[test]
    fn sessions_are_counted_while_they_are_open() {
        let holds = Arc::new(Holds::default());
        let first = holds.enter(&"alice".into());
        let second = holds.enter(&"alice".into());
        assert_eq!((holds.sessions("alice"), holds.totals()), (2, (1, 2)));
        drop(first);
        drop(second);
        assert_eq!((holds.sessions("alice"), holds.totals()), (0, (0, 0)));
    }
}
