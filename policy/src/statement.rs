//! What a statement does, as far as Weir understands it: the vocabulary between the analyser and the rules.
//!
//! INVARIANT: absence is never inferred from failure. Whatever was not understood stands in [`Coverage`] and [`Gap`].

use std::collections::BTreeSet;
use std::sync::Arc;

use crate::copies::CopyOf;
use crate::relation::{RelationId, RelationName};

/// How much of a statement was understood.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Coverage {
    /// Every relation, column and effect is known.
    Full,
    /// The relations listed are a superset of the truth, but how their columns are used is not known for certain:
    /// a construct that the parser refuses, a function or operator that Weir has never heard of.
    Partial,
    /// Nothing can be promised: dynamic SQL, a function body that cannot be read, text that does not lex to an end.
    Opaque,
}

/// One thing that was not understood, in words for a record and for `weir policy explain`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, serde::Serialize)]
pub struct Gap {
    /// Stable code for machines: `parser-refused`, `unknown-function`, `dynamic-sql`, `too-long`, …
    pub code: &'static str,
    /// What it was about, without literals: a function's name, a keyword.
    pub subject: String,
}

/// What is done to a relation.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize, schemars::JsonSchema,
)]
#[serde(rename_all = "kebab-case")]
pub enum Access {
    /// Rows or columns are read.
    Read,
    /// Rows leave in bulk by COPY … TO, OUTFILE, a dump.
    Export,
    /// Rows are inserted, updated, deleted, truncated, copied in.
    Write,
    /// The object is created, altered, dropped, commented.
    Ddl,
    /// Rights on it are granted or revoked, or its owner changes.
    Grant,
    /// The session changes the role it acts as.
    SetRole,
    /// Code runs with the rights of its owner: SECURITY DEFINER, SQL SECURITY DEFINER.
    Definer,
    /// The server is configured for later sessions: ALTER SYSTEM, SET GLOBAL, ALTER ROLE … SET, plugins.
    Configure,
    /// What the server's own auditing sees becomes less: pgAudit, audit plugins, statement logs.
    AuditOff,
}

/// How a privilege is used.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum PrivilegeUse {
    /// Another role is acted as, or the first one again.
    SetRole,
    /// Rights or roles are given.
    Grant,
    /// Rights or roles are taken.
    Revoke,
    /// A user or role is made, changed or dropped.
    Account,
    /// Something gets another owner.
    Owner,
    /// See [`Access::Configure`].
    Configure,
    /// See [`Access::AuditOff`].
    AuditOff,
    /// See [`Access::Definer`].
    Definer,
}

/// One use of a privilege.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Privilege {
    /// How.
    pub how: PrivilegeUse,
    /// On whom or what, in words without literals; empty where it is the session itself.
    pub subject: String,
    /// What holds afterwards: the role (empty: that of the login), what is granted, the new owner, the setting.
    pub after: Option<String>,
}

/// A set of columns that says "all" and "none" apart from a list.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub enum Columns {
    /// No column.
    #[default]
    None,
    /// Exactly these.
    Some(BTreeSet<Arc<str>>),
    /// Every column, or not known which.
    All,
}

/// Where the knowledge of a relation use comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Source {
    /// The parser's tree.
    Parser,
    /// Only the lexer saw the name.
    Lexer,
    /// Inside a string literal that may hold SQL or a name.
    Literal,
    /// Reached through a view, partition, rule or inheritance.
    Catalog,
    /// The server's own result description.
    Witness,
}

/// A value in the statement that is not part of its shape.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Operand {
    /// The n-th literal of the text (0-based, in [`Shape::literals`](crate::analysis::Shape) order).
    Literal(usize),
    /// The n-th parameter (`$1` is 0).
    Param(usize),
}

/// Columns of which only sums, means and their kind flow out. Over many records they tell of none; over one they are
/// its value, so that it depends on what picks or groups the rows.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct Totals {
    /// Which.
    pub columns: Columns,
    /// Totals of many groups stand in one value.
    pub packed: bool,
    /// They go into other rows.
    pub copied: bool,
}

/// How rows of a relation are chosen by its primary key, with values from outside of the database.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Default, serde::Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum ByKey {
    /// They are not.
    #[default]
    No,
    /// A stretch of keys: `id > 100`, `id between 1 and 50`.
    Range,
    /// A list of keys: `id in (1, 2, 3)`, `id = any('{1,2}')`.
    List,
    /// A column of the key equals one value.
    Equal,
}

/// What a relation use asks about values: an answer to it tells something of them, whether or not any leaves.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct Question {
    /// Columns of which the answer tells a part: compared by order, by pattern, or after something was cut out of them.
    pub parts: Columns,
    /// Columns that are compared for equality, as a whole, with a value from outside.
    pub wholes: Columns,
    /// Answers about parts that stand side by side in one row of a result; 0 where they only choose rows.
    pub shown: u32,
    /// Columns that leave by the same way: as they are, packed, or into other rows.
    pub released: Columns,
    /// How rows are chosen by key.
    pub by_key: ByKey,
    /// Rows of another relation are let out beside it, one by one, as a search does.
    pub beside: bool,
}

/// One relation that a statement reaches, and how.
#[derive(Clone, Debug, PartialEq)]
pub struct RelationUse {
    /// As written, or as the catalog names it.
    pub written: RelationName,
    /// The relation, when the catalog holds it.
    pub relation: Option<RelationId>,
    /// Its OID; 0 when unknown.
    pub oid: u32,
    /// What is done to it.
    pub access: Access,
    /// Columns whose values flow to the client as they are or through a value-preserving expression.
    pub released: Columns,
    /// Columns that flow to the client packed: many rows' values in one (`string_agg`, `json_agg`, …).
    pub packed: Columns,
    /// Whether the packing aggregate runs without any GROUP BY, so that one row may hold the whole relation.
    pub packed_whole: bool,
    /// Columns whose values, packed or not, the statement itself puts into other rows: INSERT … SELECT, UPDATE … FROM,
    /// MERGE, CREATE TABLE AS, SELECT INTO. They do not flow to the client, and the copy has another key, or no label.
    pub copied: Columns,
    /// More than one row of it may be copied: not so where a single row is updated or inserted with its plain values.
    pub copied_many: bool,
    /// Of a write: columns of rows that are there already which are given new values.
    pub updated: Columns,
    /// Columns used without flowing out: predicates, joins, ordering, counts.
    pub used: Columns,
    /// Columns whose totals flow out.
    pub totals: Totals,
    /// Names of the views on the way, outermost first; empty when named directly.
    pub via: Vec<String>,
    /// Values that pin the whole primary key by equality at the level where the relation is read, in key order:
    /// at most one row of this relation can be meant.
    pub pin: Option<Vec<Operand>>,
    /// Columns that it equates to values from outside at the level where it is read.
    pub equals: Vec<(Arc<str>, Operand)>,
    /// Who saw it.
    pub source: Source,
    /// A row of the result holds values of at most one row of the relation, and they stand side by side as they do
    /// there: the relation is let out by a single read, outside of set operations and window functions. Only then
    /// does a key that is visible in the row say whose record it is.
    pub once: bool,
    /// Rows of the relation that one row of the result may hold through this use, packed values aside: a self join
    /// has two. 0 where nothing is released, or where a set operation puts these rows under those of another use.
    pub reads: u32,
    /// It stands beside a use of another member of the same partitioned table or inheritance hierarchy (the last of
    /// `via`): the rows are the same.
    pub kin: bool,
    /// How its rows are chosen by key.
    pub by_key: ByKey,
    /// What it asks about values, for each place where the text reads it so.
    pub questions: Vec<Question>,
}

/// Something a statement does besides reaching relations, that changes what later statements mean.
#[derive(Clone, Debug, PartialEq)]
pub enum SessionAct {
    /// SET [LOCAL] name = value; `None` value means DEFAULT or RESET. `local` ends with the transaction.
    Set {
        /// Name, folded as the server folds it.
        name: String,
        /// Value as text; a list is joined by commas.
        value: Option<String>,
        /// Ends with the transaction.
        local: bool,
    },
    /// RESET ALL.
    ResetAll,
    /// SET ROLE / SET SESSION AUTHORIZATION / RESET ROLE.
    SetRole {
        /// The role; `None` means the one the session began with.
        role: Option<String>,
    },
    /// BEGIN / START TRANSACTION.
    Begin,
    /// COMMIT / END / PREPARE TRANSACTION.
    Commit,
    /// ROLLBACK / ABORT (not TO SAVEPOINT).
    Rollback,
    /// ROLLBACK TO SAVEPOINT.
    RollbackTo,
    /// PREPARE name AS …
    Prepare {
        /// Name, folded as the server folds it.
        name: String,
        /// What it will do when it runs.
        body: Arc<StatementAnalysis>,
    },
    /// EXECUTE name.
    ExecutePrepared {
        /// Name, folded as the server folds it.
        name: String,
    },
    /// DEALLOCATE name, or ALL when `None`.
    Deallocate {
        /// Name, folded as the server folds it.
        name: Option<String>,
    },
    /// DECLARE name CURSOR … FOR …
    DeclareCursor {
        /// Name, folded as the server folds it.
        name: String,
        /// What it will do when it runs.
        body: Arc<StatementAnalysis>,
    },
    /// FETCH or MOVE from a cursor.
    Fetch {
        /// Name, folded as the server folds it.
        name: String,
    },
    /// CLOSE name, or ALL when `None`.
    CloseCursor {
        /// Name, folded as the server folds it.
        name: Option<String>,
    },
    /// DISCARD ALL / PLANS / TEMP / SEQUENCES.
    Discard {
        /// ALL rather than PLANS, TEMP or SEQUENCES.
        all: bool,
    },
    /// CREATE TEMP …: the name shadows others for this session, until it is dropped, the transaction that made it
    /// rolls back, or `DISCARD`. Not reported for `ON COMMIT DROP`, whose end the text does not show.
    CreateTemporary {
        /// Name, folded as the server folds it.
        name: String,
    },
    /// DROP or RENAME of an unqualified name: a temporary relation of that name no longer shadows anything.
    DropTemporary {
        /// Name, folded as the server folds it.
        name: String,
    },
    /// SHOW WARNINGS, SHOW ERRORS, GET DIAGNOSTICS: what the statement before could not convert, value by value. See
    /// [`Binding::warned`](crate::binding::Binding::warned).
    ReadsWarnings,
    /// LOAD DATA LOCAL: the server will ask the client for a file that the text names, and put its lines into a table.
    LoadLocal,
    /// Anything that changes the catalog (DDL), so that the snapshot must be renewed.
    CatalogChanged,
}

/// What a statement is, in one word, for records.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, serde::Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Verb {
    /// SELECT, TABLE, VALUES, FETCH, EXECUTE of one.
    Select,
    /// INSERT.
    Insert,
    /// UPDATE.
    Update,
    /// DELETE.
    Delete,
    /// MERGE.
    Merge,
    /// TRUNCATE.
    Truncate,
    /// COPY … TO / FROM.
    Copy,
    /// CREATE / ALTER / DROP / COMMENT.
    Ddl,
    /// GRANT / REVOKE / ALTER OWNER.
    Grant,
    /// SET / RESET / SHOW / DISCARD.
    Session,
    /// BEGIN / COMMIT / ROLLBACK / SAVEPOINT.
    Transaction,
    /// CALL / DO.
    Call,
    /// EXPLAIN.
    Explain,
    /// Empty statement.
    Empty,
    /// Everything else that is understood to be harmless: LISTEN, VACUUM, CHECKPOINT, …
    Utility,
    /// Not understood.
    Unknown,
}

/// How many rows a statement may return at most, where its text says so.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum Extent {
    /// No bound in the text.
    #[default]
    Unbounded,
    /// LIMIT / FETCH FIRST with this operand.
    Limited(Operand),
    /// LIMIT with a constant that belongs to the shape.
    LimitedTo(u64),
    /// Exactly one row (an un-grouped aggregate).
    One,
}

/// One statement, understood.
#[derive(Clone, Debug, PartialEq)]
pub struct StatementAnalysis {
    /// What it is.
    pub verb: Verb,
    /// Relations it reaches. The superset that the lexer saw is in here when coverage is not full.
    pub uses: Vec<RelationUse>,
    /// Accesses that have no relation (`SetRole`, `Grant` on a role, …) beside those in `uses`.
    pub accesses: BTreeSet<Access>,
    /// Privileges that it uses.
    pub privileges: Vec<Privilege>,
    /// Names of functions called that the server does not ship.
    pub functions: Vec<String>,
    /// What it changes for later statements.
    pub acts: Vec<SessionAct>,
    /// What it puts into other rows, as far as the relations on both sides are known.
    pub copies: Vec<CopyOf>,
    /// What it copies goes where nobody can follow it: a file, a program.
    pub unfollowed: bool,
    /// Names, in lower case, that its own text gives to queries: common table expressions, derived tables.
    pub queries: BTreeSet<String>,
    /// Row bound in the text.
    pub extent: Extent,
    /// It leaves out rows by their place in the result: OFFSET.
    pub skips: bool,
    /// How well it was understood.
    pub coverage: Coverage,
    /// What was not.
    pub gaps: Vec<Gap>,
}

/// A whole text as the client sent it; simple queries may hold several statements.
#[derive(Clone, Debug, PartialEq)]
pub struct Analysis {
    /// In order. Never empty: an empty text has one `Verb::Empty`.
    pub statements: Vec<StatementAnalysis>,
    /// The text with every literal replaced by `?`, comments dropped, at most 8 KiB.
    pub redacted: String,
    /// Hex of the first 8 bytes of the shape key; equal for texts that differ in literals only.
    pub fingerprint: String,
    /// The text (strings included) holds words that change prepared names (PREPARE, DEALLOCATE, DISCARD, EXECUTE,
    /// DO, CALL): the session must not trust names it learned before, unless the acts say precisely what changed.
    pub touches_names: bool,
}
