//! What must hold for every input, as functions over bytes: the wire engines, the SQL analyser, the policy loader.
//!
//! A [`Target`] is a plain function. It panics when a promise is broken, and says by its [`Traces`] what an
//! input led to, so that a runner without coverage guidance can tell new from known. Two runners share them: the
//! binary of this package, which needs nothing but stable Rust and is what CI runs, and the libFuzzer entry points in
//! `libfuzzer/`, a package of its own. See `README.md`.
//!
//! What must never happen here: a target that depends on a clock, on the machine, or on an earlier input. A saved input
//! must fail again.

#![allow(
    clippy::panic,
    clippy::expect_used,
    clippy::unwrap_used,
    reason = "a promise that does not hold is a panic here, which every runner catches"
)]

pub mod conversation;
pub mod mutate;
pub mod mysql_client;
pub mod mysql_conversation;
pub mod mysql_seeds;
pub mod mysql_session;
pub mod mysql_startup;
pub mod mysql_trunk;
pub mod policy;
pub mod rng;
pub mod seeds;
pub mod sql;
pub mod support_desk;
pub mod trunk;
pub mod wire_client;
pub mod wire_session;
pub mod wire_startup;

use std::collections::{BTreeMap, BTreeSet};

use mutate::Form;
use weir_wire::WireError;

/// What an input led to, in small pieces: it is worth keeping when one of them has not been seen before.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Traces(pub BTreeSet<u64>);

impl Traces {
    /// Adds one piece.
    pub fn add(&mut self, about: &str, what: impl std::fmt::Debug) {
        self.0.insert(rng::fingerprint(format!("{about}\0{what:?}").as_bytes()));
    }

    /// Adds how a peer broke the protocol; numbers do not matter.
    pub fn add_error(&mut self, error: &WireError) {
        let words: String = format!("{error:?}").chars().filter(|c| !c.is_ascii_digit() && *c != '-').collect();
        self.add("error", words);
    }

    /// Adds every pair of neighbours, with about how often it occurs.
    pub fn add_pairs(&mut self, steps: &[u8]) {
        let mut counts: BTreeMap<(u8, u8), u32> = BTreeMap::new();
        for (one, next) in steps.iter().zip(steps.iter().skip(1)) {
            *counts.entry((*one, *next)).or_default() += 1;
        }
        for (pair, count) in counts {
            self.add("pair", (pair, count.ilog2()));
        }
    }
}

/// One family of promises.
#[derive(Clone, Copy, Debug)]
pub struct Target {
    /// Name on the command line and of its corpus.
    pub name: &'static str,
    /// What it does with an input.
    pub check: fn(&[u8]) -> Traces,
    /// How inputs are built, for the mutations.
    pub form: Form,
    /// Words that inputs are made of.
    pub dictionary: &'static [&'static [u8]],
    /// The committed corpus, made from what can be read here.
    pub seeds: fn() -> Vec<(String, Vec<u8>)>,
    /// Longest input that is tried, bytes.
    pub input_bytes_max: usize,
    /// Memory that one input may take: so much, and so many bytes for each of its own.
    pub memory_bytes_max: (usize, usize),
    /// Time that one input may take in an optimised build, milliseconds. Far above what a busy machine needs, far
    /// below what anything quadratic does.
    pub time_ms_max: u64,
}

/// Every target.
pub const TARGETS: &[Target] = &[
    wire_client::TARGET,
    wire_session::TARGET,
    wire_startup::TARGET,
    mysql_startup::TARGET,
    mysql_client::TARGET,
    mysql_session::TARGET,
    sql::TARGET,
    policy::TARGET,
];

/// The target of this name.
pub fn target(name: &str) -> Option<&'static Target> {
    TARGETS.iter().find(|target| target.name == name)
}
