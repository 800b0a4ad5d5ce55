//! From the words of policy and sessions to the words of the audit log: the one border between them.

use std::sync::Arc;

mod observed;
mod taken;

pub use observed::{add, observed, seen as observation};
pub use taken::{extraction, question, seen, told, view};

use weir_audit_store::event::{Basis, Charge, Count, Door, Lease, Privilege, RelationUse, Role, Severity, Statement};
use weir_policy::budget::Unit;
use weir_policy::meter::{ChargedLine, LeaseLine, SettledLine};
use weir_policy::statement::{self as policy, PrivilegeUse};
use weir_policy::statement::{Access, Columns, Coverage, RelationUse as Use, Source, StatementAnalysis, Verb};
use weir_policy::verdict::{self, AlertKind};

use crate::analyses::Understood;
use crate::budgets::encode_keys;
use crate::session::execution::{Doors, Through};

/// Most relations of one record; a statement that reaches more says so in its gaps.
const RELATIONS_MAX: usize = 256;
/// Most columns that are named of one relation; more are told as `*`.
const COLUMNS_MAX: usize = 64;
/// Most uses of privileges that are told.
const PRIVILEGES_MAX: usize = 64;
/// Most gaps that are told.
const GAPS_MAX: usize = 64;

/// Rules and counters.
pub fn basis(basis: &[verdict::Basis]) -> Vec<Basis> {
    let line = |basis: &verdict::Basis| Basis {
        rule: basis.rule.to_string(),
        dataset: basis.dataset.as_deref().unwrap_or_default().to_owned(),
        window: basis.window.map(|window| window.to_string()).unwrap_or_default(),
        unit: basis.unit.to_string(),
        limit: basis.limit,
        before: basis.before,
        after: basis.after,
        outcome: basis.outcome.to_string(),
    };
    basis.iter().map(line).collect()
}

/// Leases, one line for each unit that is counted.
pub fn leases(lines: &[LeaseLine]) -> Vec<Lease> {
    let mut leases = Vec::new();
    for line in lines {
        for (unit, granted) in [(Unit::Records, line.records), (Unit::Rows, line.rows), (Unit::Bytes, line.bytes)] {
            if granted > 0 || unit == Unit::Records {
                leases.push(Lease { dataset: line.dataset.to_string(), unit: unit.to_string(), granted });
            }
        }
    }
    leases
}

/// What was charged.
pub fn charges(lines: &[ChargedLine]) -> Vec<Charge> {
    let line = |line: &ChargedLine| Charge {
        dataset: line.dataset.to_string(),
        relation: line.relation.to_string(),
        keys: encode_keys(&line.keys),
        unkeyed: line.unkeyed,
        rows: line.rows,
        bytes: line.bytes,
    };
    lines.iter().map(line).collect()
}

/// Records by dataset.
pub fn counts(lines: &[SettledLine]) -> Vec<Count> {
    let mut counts: Vec<Count> = Vec::with_capacity(lines.len());
    for line in lines {
        match counts.iter_mut().find(|known| *known.dataset == *line.dataset) {
            Some(known) => known.count = known.count.saturating_add(line.records),
            None => counts.push(Count { dataset: line.dataset.to_string(), count: line.records }),
        }
    }
    counts
}

/// What went through other doors than rows.
pub fn doors(doors: &Doors) -> Vec<Door> {
    let line = |(door, through): (weir_wire::Door, Through)| Door {
        door: self::door(door).to_owned(),
        messages: through.messages,
        bytes: through.bytes,
        withheld_bytes: through.withheld_bytes,
    };
    doors.through().map(line).collect()
}

/// The word for a door.
pub fn door(door: weir_wire::Door) -> &'static str {
    match door {
        weir_wire::Door::Error => "error",
        weir_wire::Door::Notice => "notice",
        weir_wire::Door::Setting => "setting",
        weir_wire::Door::Notification => "notification",
        weir_wire::Door::Columns => "column-name",
        weir_wire::Door::Info => "info",
    }
}

/// A statement as a record tells it.
pub fn statement(id: String, understood: &Understood, sha256: &[u8], bytes: usize) -> Statement {
    let analysis = &understood.analysis;
    let mut relations = Vec::new();
    let mut gaps = Vec::new();
    let mut coverage = Coverage::Full;
    for part in &analysis.statements {
        coverage = coverage.max(part.coverage);
        for used in &part.uses {
            if relations.len() < RELATIONS_MAX {
                relations.push(relation(used));
            }
        }
        gaps.extend(part.gaps.iter().map(|gap| format!("{}: {}", gap.code, gap.subject)));
    }
    let uses: usize = analysis.statements.iter().map(|part| part.uses.len()).sum();
    gaps.truncate(GAPS_MAX);
    if uses > RELATIONS_MAX {
        gaps.push(format!("relations: {uses} in all, {RELATIONS_MAX} told"));
    }
    Statement {
        id,
        verb: verb(understood.verb()).to_owned(),
        fingerprint: analysis.fingerprint.clone(),
        sha256: hex(sha256),
        bytes: u64::try_from(bytes).unwrap_or(u64::MAX),
        relations,
        coverage: coverage_word(coverage).to_owned(),
        gaps,
        ..Statement::default()
    }
    .with_text(&analysis.redacted)
}

fn relation(used: &Use) -> RelationUse {
    let name = used.relation.as_ref().map_or_else(|| used.written.to_string(), ToString::to_string);
    let mut columns: Vec<String> = Vec::new();
    for set in [&used.released, &used.packed] {
        match set {
            Columns::None => {}
            Columns::All => columns = vec!["*".to_owned()],
            Columns::Some(names) if columns.first().is_none_or(|first| first != "*") => {
                columns.extend(names.iter().map(|name| name.to_string()));
            }
            Columns::Some(_) => {}
        }
    }
    RelationUse {
        name,
        access: access(used.access).to_owned(),
        columns: some_of(columns),
        used: match &used.used {
            Columns::None => Vec::new(),
            Columns::All => vec!["*".to_owned()],
            Columns::Some(names) => some_of(names.iter().map(|name| name.to_string()).collect()),
        },
        via: used.via.clone(),
        source: match used.source {
            Source::Parser => "parser",
            Source::Lexer => "lexer",
            Source::Literal => "literal",
            Source::Catalog => "catalog",
            Source::Witness => "witness",
        }
        .to_owned(),
    }
}

/// The role that a session acts as; `None`: certainly that of its account.
pub fn role(roles: &[Arc<str>], known: bool, account: &str) -> Option<Role> {
    // A name that could not be read is empty.
    let names: Vec<String> = roles.iter().filter(|name| !name.is_empty()).map(ToString::to_string).collect();
    let own = known && names.len() == roles.len() && names.iter().all(|name| name == account);
    (!own).then_some(Role { trusted: known && roles.len() == 1 && names.len() == 1, names })
}

/// Privileges that a statement uses; `roles`: those that the session acts as before it.
pub fn privileges(understood: &Understood, roles: &[Arc<str>]) -> Vec<Privilege> {
    let before =
        || roles.iter().filter(|role| !role.is_empty()).map(ToString::to_string).collect::<Vec<_>>().join(", ");
    let used = |privilege: &policy::Privilege| Privilege {
        how: privilege_word(privilege.how).to_owned(),
        subject: privilege.subject.clone(),
        before: matches!(privilege.how, PrivilegeUse::SetRole | PrivilegeUse::Definer).then(before),
        after: privilege.after.clone(),
    };
    let parts = understood.analysis.statements.iter();
    parts.flat_map(|part| &part.privileges).take(PRIVILEGES_MAX).map(used).collect()
}

fn privilege_word(how: PrivilegeUse) -> &'static str {
    match how {
        PrivilegeUse::SetRole => "set-role",
        PrivilegeUse::Grant => "grant",
        PrivilegeUse::Revoke => "revoke",
        PrivilegeUse::Account => "account",
        PrivilegeUse::Owner => "owner",
        PrivilegeUse::Configure => "configure",
        PrivilegeUse::AuditOff => "audit-off",
        PrivilegeUse::Definer => "definer",
    }
}

/// Columns in order, or a star where they are too many to be named.
fn some_of(mut columns: Vec<String>) -> Vec<String> {
    columns.sort_unstable();
    columns.dedup();
    if columns.len() > COLUMNS_MAX { vec!["*".to_owned()] } else { columns }
}

/// The word for an access.
pub fn access(access: Access) -> &'static str {
    match access {
        Access::Read => "read",
        Access::Export => "export",
        Access::Write => "write",
        Access::Ddl => "ddl",
        Access::Grant => "grant",
        Access::SetRole => "set-role",
        Access::Definer => "definer",
        Access::Configure => "configure",
        Access::AuditOff => "audit-off",
    }
}

/// The word for what a statement is.
pub fn verb(verb: Verb) -> &'static str {
    match verb {
        Verb::Select => "select",
        Verb::Insert => "insert",
        Verb::Update => "update",
        Verb::Delete => "delete",
        Verb::Merge => "merge",
        Verb::Truncate => "truncate",
        Verb::Copy => "copy",
        Verb::Ddl => "ddl",
        Verb::Grant => "grant",
        Verb::Session => "session",
        Verb::Transaction => "transaction",
        Verb::Call => "call",
        Verb::Explain => "explain",
        Verb::Empty => "empty",
        Verb::Utility => "utility",
        Verb::Unknown => "unknown",
    }
}

fn coverage_word(coverage: Coverage) -> &'static str {
    match coverage {
        Coverage::Full => "full",
        Coverage::Partial => "partial",
        Coverage::Opaque => "opaque",
    }
}

/// Code and severity of an alert.
pub fn alert(kind: AlertKind) -> (&'static str, Severity) {
    match kind {
        AlertKind::Threshold { .. } => ("threshold", Severity::Low),
        AlertKind::Exceeded => ("exceeded", Severity::Medium),
        AlertKind::Rule => ("rule", Severity::Medium),
        AlertKind::UnmatchedSensitive => ("unmatched-sensitive", Severity::Medium),
        AlertKind::OpaqueSensitive => ("opaque-sensitive", Severity::Medium),
        AlertKind::UnfollowedCopy => ("unfollowed-copy", Severity::High),
        AlertKind::UnknownPerson => ("unknown-person", Severity::Medium),
        AlertKind::UnclassifiedEgress => ("unclassified-egress", Severity::Medium),
        AlertKind::Probe => ("probe", Severity::High),
        AlertKind::Behaviour { detector, grave: true } => (detector.word(), Severity::High),
        AlertKind::Behaviour { detector, grave: false } => (detector.word(), Severity::Medium),
        AlertKind::Withheld => ("withheld", Severity::Medium),
        AlertKind::WouldRefuse => ("would-refuse", Severity::Medium),
        AlertKind::WouldCut => ("would-cut", Severity::High),
        AlertKind::Refused => ("refused", Severity::Medium),
        AlertKind::Cut => ("cut", Severity::High),
    }
}

/// Lower-case hexadecimal.
pub fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write;
    bytes.iter().fold(String::with_capacity(bytes.len() * 2), |mut text, byte| {
        // Writing to a String cannot fail.
        let _ = write!(text, "{byte:02x}");
        text
    })
}

/// Accesses of a statement, for a person who reads a denial.
pub fn accesses(statement: &StatementAnalysis) -> Vec<&'static str> {
    statement.accesses.iter().copied().map(access).collect()
}
