//! What DDL may have given another meaning, and is not in the catalog yet: names, functions, the code behind operators,
//! casts and types; and relations of the session's own that run code, which no catalog shows.

use weir_policy::statement::{Analysis, SessionAct, StatementAnalysis, Verb};

use super::NAMES_MAX;

/// Words of DDL that can give a name, or what is behind it, another meaning.
const REBINDING: [&str; 12] = [
    "view",
    "rule",
    "function",
    "procedure",
    "trigger",
    "operator",
    "cast",
    "inherit",
    "inherits",
    "attach",
    "rename",
    "policy",
];
/// DDL of code that statements run without naming it.
const UNNAMED: [&str; 8] = [
    "create operator ",
    "alter operator ",
    "create cast ",
    "create aggregate ",
    "create or replace aggregate ",
    "create event trigger ",
    "create transform ",
    "create or replace transform ",
];
/// DDL of types, which may run functions when a value is made.
const TYPES: [&str; 4] = ["create domain ", "alter domain ", "create type ", "alter type "];

/// What is not certain any more.
#[derive(Clone, Debug, Default)]
pub(super) struct Rebound {
    /// Names that may mean something else.
    names: Vec<String>,
    /// Functions may do something else.
    functions: bool,
    /// Names of relations that call functions.
    calling: Vec<String>,
    /// Names of functions that were made.
    made: Vec<String>,
    /// Code that nobody need name may run with any statement.
    unnamed: bool,
    /// Code may run behind every statement of DDL.
    events: bool,
    /// Relations of the session's own that run code: until the session ends.
    haunted: Vec<String>,
}

impl Rebound {
    /// Whether anything of the open transaction is in doubt.
    pub(super) fn is_open(&self) -> bool {
        !self.names.is_empty() || self.functions || self.unnamed || self.events
    }

    /// The transaction has ended, and the catalog will know.
    pub(super) fn end(&mut self) {
        self.names.clear();
        self.calling.clear();
        self.made.clear();
        (self.functions, self.unnamed, self.events) = (false, false, false);
    }

    /// Whether a statement of a text uses what is in doubt when its turn comes.
    pub(super) fn is_used_by(&self, analysis: &Analysis) -> bool {
        let mut rebound = self.clone();
        for statement in &analysis.statements {
            if rebound.is_used_by_one(statement, analysis) {
                return true;
            }
            rebound.take_in(statement, analysis);
        }
        false
    }

    fn is_used_by_one(&self, statement: &StatementAnalysis, analysis: &Analysis) -> bool {
        let defines =
            matches!(statement.verb, Verb::Ddl | Verb::Grant | Verb::Session | Verb::Transaction | Verb::Empty);
        // CREATE TABLE … AS runs, and what calls a function may run it.
        if self.functions && !statement.functions.is_empty() {
            return true;
        }
        if defines {
            let fills = words(analysis).any(|word| word == "select" || word == "values");
            return (self.events || (self.unnamed && fills)) && statement.verb == Verb::Ddl;
        }
        let is_among = |names: &[String], name: &str| names.iter().any(|known| known == name);
        let mut uses = statement.uses.iter();
        let named = uses.any(|used| {
            let view = |view: &String| is_among(&self.names, view.rsplit('.').next().unwrap_or(view));
            is_among(&self.names, &used.written.name)
                || used.via.iter().any(view)
                || (self.functions && is_among(&self.calling, &used.written.name))
        });
        named || self.unnamed || (!self.haunted.is_empty() && words(analysis).any(|word| is_among(&self.haunted, word)))
    }

    /// Adds what a statement of DDL leaves in doubt. True when something was added.
    pub(super) fn take_in(&mut self, statement: &StatementAnalysis, analysis: &Analysis) -> bool {
        let changes = statement.verb == Verb::Ddl || statement.acts.contains(&SessionAct::CatalogChanged);
        let calls = !statement.functions.is_empty()
            || statement.gaps.iter().any(|gap| gap.code == "unknown-function")
            || (!self.made.is_empty() && words(analysis).any(|word| self.made.iter().any(|made| made == word)));
        let text = &analysis.redacted;
        let has = |phrases: &[&str]| phrases.iter().any(|phrase| text.contains(phrase));
        if !changes || !(super::speaks_of(analysis, &REBINDING) || calls) {
            return false;
        }
        let before = (self.names.len(), self.calling.len(), self.made.len(), self.functions, self.unnamed, self.events);
        self.functions |= super::speaks_of(analysis, &["function", "procedure", "operator", "cast"]);
        self.events |= has(&["create event trigger "]);
        self.made.extend(made(analysis).take(NAMES_MAX.saturating_sub(self.made.len())).map(str::to_owned));
        self.unnamed |= has(&UNNAMED) || (calls && has(&TYPES));
        let rebinds = super::speaks_of(analysis, &REBINDING);
        if calls {
            // What it speaks of need not be in the catalog yet.
            let named = words(analysis).take(NAMES_MAX.saturating_sub(self.calling.len()));
            self.calling.extend(named.map(str::to_owned));
        }
        for used in &statement.uses {
            let names = if rebinds { &mut self.names } else { &mut self.calling };
            if names.len() < NAMES_MAX && !names.contains(&used.written.name) {
                names.push(used.written.name.clone());
            }
        }
        before != (self.names.len(), self.calling.len(), self.made.len(), self.functions, self.unnamed, self.events)
    }

    /// Of these relations of the session's own, those that a text gives code of their own run some from now on.
    pub(super) fn haunt<'n>(&mut self, own: impl Iterator<Item = &'n str>, analysis: &Analysis) {
        for name in own.filter(|name| words(analysis).any(|word| word == *name)) {
            if self.haunted.len() < NAMES_MAX && !self.haunted.iter().any(|known| known == name) {
                self.haunted.push(name.to_owned());
            }
        }
    }
}

/// Names of functions that a text makes.
fn made(analysis: &Analysis) -> impl Iterator<Item = &str> {
    let text = analysis.redacted.as_str();
    let heads = ["function ", "procedure "].into_iter().flat_map(move |head| text.match_indices(head));
    heads.filter_map(move |(at, head)| {
        let name = text.get(at + head.len()..)?.split('(').next()?;
        name.rsplit('.').next().map(|name| name.trim().trim_matches('"')).filter(|name| !name.is_empty())
    })
}

/// Words of a text, quotes aside.
fn words(analysis: &Analysis) -> impl Iterator<Item = &str> {
    analysis
        .redacted
        .split(|c: char| c.is_whitespace() || "\"().,;*=<>+-/:[]".contains(c))
        .filter(|word| !word.is_empty())
}
