//! A setting of a session, where it is not certain which of several values is in force.

/// Values that stand beside each other; beyond them the oldest uncertain one is what is left out.
const CANDIDATES_MAX: usize = 4;

/// A setting as transactions see it.
#[derive(Debug)]
pub(super) struct Setting<T> {
    /// In force now; more than one where it is not certain which.
    pub(super) now: Vec<T>,
    /// In force after a commit.
    pub(super) after_commit: Vec<T>,
    /// In force after a rollback.
    pub(super) after_rollback: Vec<T>,
}

impl<T: Clone + PartialEq> Setting<T> {
    pub(super) fn new(value: T) -> Setting<T> {
        Setting { now: vec![value.clone()], after_commit: vec![value.clone()], after_rollback: vec![value] }
    }

    pub(super) fn set(&mut self, value: T, local: bool, certain: bool) {
        put(&mut self.now, value.clone(), certain);
        if !local {
            put(&mut self.after_commit, value, certain);
        }
    }

    /// Without regard to transactions.
    pub(super) fn set_at_once(&mut self, value: T, certain: bool) {
        for values in [&mut self.now, &mut self.after_commit, &mut self.after_rollback] {
            put(values, value.clone(), certain);
        }
    }

    /// To an unknown savepoint: anything that was in force in this transaction may be again.
    pub(super) fn roll_back_to(&mut self) {
        for value in self.after_rollback.iter().chain(&self.after_commit.clone()) {
            put(&mut self.now, value.clone(), false);
        }
        for value in &self.after_rollback {
            put(&mut self.after_commit, value.clone(), false);
        }
    }

    pub(super) fn end(&mut self, rolled_back: bool) {
        let value = if rolled_back { &self.after_rollback } else { &self.after_commit }.clone();
        *self = Setting { now: value.clone(), after_commit: value.clone(), after_rollback: value };
    }
}

pub(super) fn put<T: PartialEq>(values: &mut Vec<T>, value: T, certain: bool) {
    if certain {
        values.clear();
    }
    if !values.contains(&value) {
        if values.len() >= CANDIDATES_MAX {
            values.remove(0);
        }
        values.push(value);
    }
}
