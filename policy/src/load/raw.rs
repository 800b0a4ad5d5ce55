//! The policy file as it is written: what may stand where, before anything is checked. The JSON Schema for editors is
//! made from these types, so their doc comments are what an operator reads while typing.
//!
//! Keys avoid words that older YAML tools read as booleans (`on`, `off`, `yes`, `no`).

use std::fmt;

use schemars::JsonSchema;
use serde::Deserialize;
use serde::de::value::{MapAccessDeserializer, SeqAccessDeserializer};
use serde::de::{self, MapAccess, SeqAccess, Visitor};

use super::decode::{At, Entries, Lenient, OneOrMany};
use crate::budget::Window;
use crate::cases::Ending;
use crate::relation::Engine;
use crate::rule::{OnStoreFailure, Then};
use crate::statement::Access;

/// A name, or a list of names.
pub(super) type OneOrMore = At<OneOrMany<At<String>>>;

/// A policy of Weir: what is sensitive, who may do what with it and how much of it may leave.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(
    deny_unknown_fields,
    rename_all = "kebab-case",
    expecting = "a policy: a mapping that begins with `version: 1`"
)]
#[schemars(title = "Weir policy")]
pub(super) struct RawPolicy {
    /// Version of the format: 1.
    #[schemars(extend("const" = 1))]
    pub(super) version: At<u64>,
    /// `enforce` (unless said otherwise), or `observe`: everything is judged and told, nothing is held back.
    pub(super) mode: Option<Lenient<RawMode>>,
    /// What is sensitive: relations and columns that rules name together.
    #[serde(default)]
    pub(super) datasets: Entries<Lenient<RawDataset>>,
    /// Foreign tables that lead to nothing sensitive. Any other that no dataset names, and that does not say that it shows
    /// a relation of a dataset, is not understood: see `opaque-sensitive`.
    #[serde(default)]
    pub(super) harmless_foreign: Vec<Lenient<At<RawRelation>>>,
    /// Views that show nothing of the sensitive relations that they read: masked columns, counts. Their output is nobody's
    /// record.
    #[serde(default)]
    pub(super) declassified: Vec<Lenient<At<RawDeclassified>>>,
    /// Named sets of people, accounts and places.
    #[serde(default)]
    pub(super) who: Entries<Lenient<At<RawWho>>>,
    /// All rules that match apply, in no order; the strictest outcome wins.
    #[serde(default)]
    pub(super) rules: Vec<Lenient<At<RawRule>>>,
    /// What is looked for beyond thresholds.
    pub(super) detect: Option<Lenient<RawDetect>>,
    /// What happens where no rule speaks.
    pub(super) defaults: Option<Lenient<RawDefaults>>,
    /// Statements and what must become of them; `weir policy test` runs them.
    #[serde(default)]
    pub(super) tests: Vec<Lenient<At<RawCase>>>,
    /// Tables of the tests, by `schema.name`, beyond what the datasets show.
    #[serde(default)]
    pub(super) tables: Entries<Lenient<RawTable>>,
}

/// Whether anything is held back.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
#[schemars(rename = "Mode")]
pub(super) enum RawMode {
    /// Refusals and cuts happen.
    Enforce,
    /// The same judgement, told and not carried out.
    Observe,
}

/// Relations and columns that are sensitive together.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, expecting = "a dataset: a mapping with `class` and `relations`")]
#[schemars(rename = "Dataset")]
pub(super) struct RawDataset {
    /// Sensitivity label for records and reports: `personal`, `secret`, …
    pub(super) class: At<String>,
    /// The relations. A name may hold `*` for any run of characters.
    pub(super) relations: At<Vec<Lenient<At<RawRelation>>>>,
    /// Sensitive columns; `*` stands for any run of characters. Left out: every column.
    pub(super) columns: Option<At<Vec<At<String>>>>,
    /// Columns that tell one record from another. Left out: the primary key that the database shows.
    pub(super) key: Option<At<Vec<At<String>>>>,
    /// Columns that tell whose a record is, such as `[merchant_id]`: how many of them a person sees is looked at.
    pub(super) tenant: Option<At<Vec<At<String>>>>,
    /// `true`: who uses it for the first time is told more loudly.
    pub(super) watched: Option<bool>,
}

/// Relations of one database.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, expecting = "a relation: { engine: postgres, database: name, name: \"schema.table\" }")]
#[schemars(rename = "Relation")]
pub(super) struct RawRelation {
    /// Kind of server.
    pub(super) engine: Engine,
    /// The database; `*` stands for any run of characters.
    pub(super) database: At<String>,
    /// `schema.relation` on PostgreSQL (without a schema: in every schema), the table on MySQL.
    pub(super) name: At<String>,
}

/// A view whose output is harmless.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(
    deny_unknown_fields,
    expecting = "a view: { engine: postgres, database: name, name: \"schema.view\", definition: \"…\" }"
)]
#[schemars(rename = "Declassified")]
pub(super) struct RawDeclassified {
    /// Kind of server.
    pub(super) engine: Engine,
    /// The database.
    pub(super) database: At<String>,
    /// `schema.view` on PostgreSQL, the view on MySQL; no `*`.
    pub(super) name: At<String>,
    /// What was confirmed: `weir policy check --config` tells it. Left out, or no longer right: the view is like any other.
    pub(super) definition: Option<At<String>>,
}

/// A set of people, accounts and places.
#[derive(Debug, JsonSchema)]
#[schemars(untagged)]
#[schemars(rename = "Who")]
pub(super) enum RawWho {
    /// `any`, or a name from `who`.
    Named(String),
    /// Whoever is in one of these sets.
    OneOf(Vec<At<RawWho>>),
    /// Whoever is all of these.
    All(RawWhoSet),
}

/// Conditions that must hold together; a list holds when one of its entries does.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, expecting = "a set of people: a name, a list, or a mapping such as { group: support }")]
#[schemars(rename = "WhoSet")]
pub(super) struct RawWhoSet {
    /// Names of people in the directory.
    pub(super) person: Option<OneOrMore>,
    /// Groups of the directory.
    pub(super) group: Option<OneOrMore>,
    /// Database accounts.
    pub(super) account: Option<OneOrMore>,
    /// Client addresses: networks such as `10.0.0.0/8`, or single addresses.
    pub(super) source: Option<OneOrMore>,
    /// Application names, as the client claims them.
    pub(super) application: Option<OneOrMore>,
    /// Everybody but these.
    pub(super) not: Option<Box<At<RawWho>>>,
}

/// One rule.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, expecting = "a rule: a mapping with `name`, `who`, and `budget` or `then`")]
#[schemars(rename = "Rule")]
pub(super) struct RawRule {
    /// Its name, in every record and message about it.
    pub(super) name: At<String>,
    /// `observe`: this rule is judged and told, never carried out.
    pub(super) mode: Option<RawMode>,
    /// Whom it is about: `any`, a name from `who`, a list, or a mapping such as `{ group: support }`.
    pub(super) who: At<RawWho>,
    /// Whom it leaves out, though `who` names them.
    pub(super) except: Option<At<RawExcept>>,
    /// The dataset or datasets. Left out: the accesses wherever they happen.
    pub(super) dataset: Option<OneOrMore>,
    /// What is done. Left out: `read`.
    pub(super) access: Option<At<OneOrMany<At<Access>>>>,
    /// How much may leave for one person, in each window at once.
    pub(super) budget: Option<At<Vec<Lenient<At<RawBudget>>>>>,
    /// Shares of the budget at which to tell: `{ 80%: alert }`.
    #[schemars(extend("propertyNames" = { "pattern": "^[1-9][0-9]? ?%$" }))]
    pub(super) at: Option<At<Entries<At<Then>>>>,
    /// With a budget: what happens at its limit (`refuse`, unless said otherwise: the result is cut). Without: what
    /// happens whenever the rule matches.
    pub(super) then: Option<At<RawThen>>,
    /// With `then: require-approval`: who may enlarge the budget for a while. Left out: `managers`, which is whoever the
    /// directory names as the person's manager.
    pub(super) approvers: Option<At<OneOrMany<At<RawApprover>>>>,
    /// With `then: require-approval`: the largest that may be granted at once.
    pub(super) grant: Option<At<RawGrant>>,
    /// Hours of the week in which the rule applies.
    pub(super) when: Option<At<RawWhen>>,
    /// What the client reads when this rule refuses or cuts.
    pub(super) message: Option<At<String>>,
}

/// What a rule does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
#[schemars(rename = "RuleOutcome")]
pub(super) enum RawThen {
    /// Lets it pass; so that no default applies.
    Allow,
    /// Lets it pass and tells.
    Alert,
    /// Does not let it pass. With a budget: cuts at its limit.
    Refuse,
    /// Only with a budget of records: cuts at its limit, and tells the client which request somebody else may approve.
    RequireApproval,
}

/// Who may approve.
#[derive(Debug, JsonSchema)]
#[schemars(untagged)]
#[schemars(rename = "Approver")]
pub(super) enum RawApprover {
    /// `managers`.
    Named(String),
    /// Members of groups of the directory.
    Of(RawApprovers),
}

/// Groups whose members may approve.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, expecting = "approvers: `managers`, or { group: data-owners }")]
#[schemars(rename = "Approvers")]
pub(super) struct RawApprovers {
    /// Groups of the directory.
    pub(super) group: OneOrMore,
}

/// The largest that may be granted at once.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, expecting = "a bound of grants: { records: 1000, for: 8h }")]
#[schemars(rename = "GrantBound")]
pub(super) struct RawGrant {
    /// Records beyond the budget. Left out: as many as the approver says.
    pub(super) records: Option<At<u64>>,
    /// How long: `30m`, `8h`. Left out: 24 hours, and never longer.
    #[serde(rename = "for")]
    pub(super) lasts: Option<At<String>>,
}

/// Whom a rule leaves out.
#[derive(Debug, JsonSchema)]
#[schemars(untagged)]
#[schemars(rename = "Exception")]
pub(super) enum RawExcept {
    /// A name from `who`.
    Named(String),
    /// Whoever is in one of these sets.
    OneOf(Vec<At<RawWho>>),
    /// A set, with or without an end.
    Until(Box<RawExceptSet>),
}

/// A set of people, and how long it is left out.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(
    deny_unknown_fields,
    expecting = "an exception: a name, a list, or a mapping such as { who: nightly, until: 2027-01-31 }"
)]
#[schemars(rename = "ExceptionSet")]
pub(super) struct RawExceptSet {
    /// The set.
    pub(super) who: Option<Box<At<RawWho>>>,
    /// Last day (UTC) on which the exception holds.
    pub(super) until: Option<At<String>>,
    /// As in `who`.
    pub(super) person: Option<OneOrMore>,
    /// As in `who`.
    pub(super) group: Option<OneOrMore>,
    /// As in `who`.
    pub(super) account: Option<OneOrMore>,
    /// As in `who`.
    pub(super) source: Option<OneOrMore>,
    /// As in `who`.
    pub(super) application: Option<OneOrMore>,
    /// As in `who`.
    pub(super) not: Option<Box<At<RawWho>>>,
}

/// One limit: exactly one of `records`, `rows` and `bytes`, and the window.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, expecting = "a limit: { records: 500, per: hour }")]
#[schemars(rename = "Limit")]
pub(super) struct RawBudget {
    /// Distinct rows of the dataset's relations.
    pub(super) records: Option<At<RawAmount>>,
    /// Result rows that hold something of the dataset.
    pub(super) rows: Option<At<RawAmount>>,
    /// Bytes of those rows.
    pub(super) bytes: Option<At<RawAmount>>,
    /// The stretch of time that it looks back over, at any moment.
    pub(super) per: At<Window>,
}

/// A whole number; for bytes also a size such as `200MiB`.
#[derive(Debug, JsonSchema)]
#[schemars(untagged)]
#[schemars(rename = "Amount")]
pub(super) enum RawAmount {
    /// A whole number.
    Number(u64),
    /// A size: `512KiB`, `200MiB`, `1GiB`, `10MB`.
    Size(String),
}

/// Hours such as `Mon-Fri 08:00-18:00 UTC`, inside or outside which a rule applies.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, expecting = "hours: { inside: \"Mon-Fri 08:00-18:00 UTC\" }, or `outside`")]
#[schemars(rename = "Hours")]
pub(super) struct RawWhen {
    /// The rule applies in these hours.
    pub(super) inside: Option<At<String>>,
    /// The rule applies at any other time.
    pub(super) outside: Option<At<String>>,
}

/// What is looked for beyond thresholds.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(
    deny_unknown_fields,
    rename_all = "kebab-case",
    expecting = "detections: a mapping such as { probes: [{ statements: 60, per: hour }] }"
)]
#[schemars(rename = "Detect")]
pub(super) struct RawDetect {
    /// Statements that ask about parts of values and let none out. Where no entry speaks of somebody and a dataset: 60
    /// an hour, then an alert.
    #[serde(default)]
    pub(super) probes: Vec<Lenient<At<RawDetection>>>,
    /// Statements that ask whether a record with a value is there and let none out. Where no entry speaks of somebody and
    /// a dataset: 240 an hour, then an alert.
    #[serde(default)]
    pub(super) guesses: Vec<Lenient<At<RawDetection>>>,
    /// Distinct records of a day or a month: a fixed limit (`distinct-keys`, `per`), and what is usual for the person and
    /// their group.
    pub(super) enumeration: Option<OneOrMany<Lenient<At<RawWatch>>>>,
    /// Distinct tenants, likewise (`distinct-tenants`, `per`).
    pub(super) breadth: Option<OneOrMany<Lenient<At<RawWatch>>>>,
    /// Two people whose tenants are hardly the same and many together.
    pub(super) joint_breadth: Option<OneOrMany<Lenient<At<RawWatch>>>>,
    /// A relation, column or privilege that nobody of the person's groups has used.
    pub(super) first_use: Option<OneOrMany<Lenient<At<RawWatch>>>>,
    /// Hours at which neither the person nor their group is there.
    pub(super) unusual_hours: Option<OneOrMany<Lenient<At<RawWatch>>>>,
    /// Searches for the same thing (`searches`).
    pub(super) search_focus: Option<OneOrMany<Lenient<At<RawWatch>>>>,
    /// Records that nobody has a reason to look at (`keys-file`).
    pub(super) canaries: Option<OneOrMany<Lenient<At<RawWatch>>>>,
    /// The catalog and table after table, from where the person never was (`tables`).
    pub(super) discovery: Option<OneOrMany<Lenient<At<RawWatch>>>>,
    /// First privileges of several people, from where they never were (`people`).
    pub(super) new_device: Option<OneOrMany<Lenient<At<RawWatch>>>>,
}

/// What is said of one detector of behaviour.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(
    deny_unknown_fields,
    rename_all = "kebab-case",
    expecting = "an entry of a detector: { dataset: customers, who: support, then: alert }"
)]
#[schemars(rename = "Watch")]
pub(super) struct RawWatch {
    /// The dataset or datasets. Left out: all.
    pub(super) dataset: Option<OneOrMore>,
    /// Whom it is about. Left out: `any`.
    pub(super) who: Option<At<RawWho>>,
    /// What happens: `alert` (unless said otherwise), `refuse`, or `allow`: nobody looks.
    pub(super) then: Option<At<Then>>,
    /// `observe`: it is told, never carried out.
    pub(super) mode: Option<RawMode>,
    /// Of `enumeration`: distinct records that one person may see in the window.
    pub(super) distinct_keys: Option<At<u64>>,
    /// Of `breadth` and `joint-breadth`: distinct tenants that one person may see in the window.
    pub(super) distinct_tenants: Option<At<u64>>,
    /// Of `search-focus`: searches for one thing in a day.
    pub(super) searches: Option<At<u64>>,
    /// Of `discovery`: tables that are read behind a look at the catalog. Left out: 2.
    pub(super) tables: Option<At<u64>>,
    /// Of `new-device`: people within half an hour. Left out: 2.
    pub(super) people: Option<At<u64>>,
    /// The window of `distinct-keys` or `distinct-tenants`: `day` (unless said otherwise) or `30d`; for keys also `hour`.
    pub(super) per: Option<At<Window>>,
    /// How far above the usual is too far: `200%`, unless said otherwise.
    pub(super) factor: Option<At<String>>,
    /// What is not more than this is never compared with what is usual.
    pub(super) floor: Option<At<u64>>,
    /// For how long nothing is compared with what is usual: `14d`, unless said otherwise.
    pub(super) learning: Option<At<String>>,
    /// Alerts in a day; further ones are told together on the next. Left out: 5; of `canaries`: as many as there are.
    pub(super) at_most: Option<At<u64>>,
    /// Of `canaries`: the file with their labels and keys.
    pub(super) keys_file: Option<At<String>>,
}

/// How many questions are too many.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, expecting = "a detection: { dataset: customers, statements: 60, per: hour, then: alert }")]
#[schemars(rename = "Detection")]
pub(super) struct RawDetection {
    /// The dataset or datasets. Left out: all.
    pub(super) dataset: Option<OneOrMore>,
    /// Whom it is about. Left out: `any`.
    pub(super) who: Option<At<RawWho>>,
    /// Statements with different values that one person may send.
    pub(super) statements: Option<At<u64>>,
    /// In which window: `minute`, `hour` or `day`. Left out: `hour`.
    pub(super) per: Option<At<Window>>,
    /// What happens beyond it: `alert` (unless said otherwise), `refuse`, or `allow`: nobody looks.
    pub(super) then: Option<At<Then>>,
}

/// What happens where no rule speaks.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(
    deny_unknown_fields,
    rename_all = "kebab-case",
    expecting = "defaults: a mapping such as { unmatched-sensitive: alert }"
)]
#[schemars(rename = "Defaults")]
pub(super) struct RawDefaults {
    /// A sensitive access that no rule covers: `alert`, unless said otherwise.
    pub(super) unmatched_sensitive: Option<Then>,
    /// A statement that is not understood and may touch something sensitive: `refuse`, unless said otherwise.
    pub(super) opaque_sensitive: Option<Then>,
    /// Sensitive values are put where nobody can follow them (a file, a program, another server), and no rule for `export`
    /// speaks of it: `refuse`, unless said otherwise.
    pub(super) unfollowed_copy: Option<Then>,
    /// Somebody whom the directory does not know touches something sensitive: `refuse`, unless said otherwise.
    pub(super) unknown_person: Option<Then>,
    /// Much leaves that no dataset names. Left out: nobody looks.
    pub(super) unclassified_egress: Option<At<RawEgress>>,
    /// While the audit log cannot be written: `refuse` (unless said otherwise) or `continue`.
    pub(super) on_store_failure: Option<OnStoreFailure>,
}

/// A backstop for what nobody classified.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, expecting = "a backstop: { bytes: 200MiB, per: hour, then: alert }")]
#[schemars(rename = "Backstop")]
pub(super) struct RawEgress {
    /// How much may leave.
    pub(super) bytes: At<RawAmount>,
    /// In which window.
    pub(super) per: At<Window>,
    /// What happens beyond it.
    pub(super) then: At<Then>,
}

/// One statement and what must become of it.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, expecting = "a test: a mapping with `name`, `given`, `sql` and `expect`")]
#[schemars(rename = "Test")]
pub(super) struct RawCase {
    /// Its name, for the report.
    pub(super) name: At<String>,
    /// Who sends it, where, and what they read before.
    pub(super) given: RawGiven,
    /// The statement.
    pub(super) sql: At<String>,
    /// What the database would answer. Left out: no row.
    pub(super) returns: Option<RawReturns>,
    /// What must become of it.
    pub(super) expect: RawExpect,
}

/// Who sends a test's statement.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(
    deny_unknown_fields,
    expecting = "who sends it: { person: alice, groups: [support], engine: postgres, database: support }"
)]
#[schemars(rename = "Given")]
pub(super) struct RawGiven {
    /// Name of the person.
    pub(super) person: At<String>,
    /// Groups of the person.
    #[serde(default)]
    pub(super) groups: Vec<String>,
    /// Database account. Left out: the person's name.
    pub(super) account: Option<String>,
    /// Kind of server. Left out: `postgres`.
    pub(super) engine: Option<At<Engine>>,
    /// The database.
    pub(super) database: At<String>,
    /// Client address.
    pub(super) source: Option<At<String>>,
    /// Application name.
    pub(super) application: Option<String>,
    /// Whether the directory knows the person. Left out: `true`.
    pub(super) known: Option<bool>,
    /// Records that the person has read in each window, of each dataset that the statement touches: `{ hour: 450 }`.
    pub(super) used: Option<At<RawUsed>>,
    /// Time of the statement: `2026-11-24 03:00 UTC`. Left out: a Monday at noon.
    pub(super) at: Option<At<String>>,
}

/// Records already read, by window.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, expecting = "records by window: { hour: 450 }")]
#[schemars(rename = "Used")]
pub(super) struct RawUsed {
    /// In the last 60 seconds.
    pub(super) minute: Option<At<u64>>,
    /// In the last 60 minutes.
    pub(super) hour: Option<At<u64>>,
    /// In the last 24 hours.
    pub(super) day: Option<At<u64>>,
    /// In the last 30 days.
    #[serde(rename = "30d")]
    pub(super) month: Option<At<u64>>,
}

/// What the database would answer.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, expecting = "an answer: { rows: 1000 }")]
#[schemars(rename = "Returns")]
pub(super) struct RawReturns {
    /// Number of rows, each another record.
    pub(super) rows: At<u64>,
    /// Bytes of each row, for budgets of bytes and values that pack many records. Left out: 100.
    #[serde(rename = "row-bytes")]
    pub(super) row_bytes: Option<At<u32>>,
}

/// What must become of a statement.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, expecting = "an expectation: { decision: allow }")]
#[schemars(rename = "Expect")]
pub(super) struct RawExpect {
    /// The outcome.
    pub(super) decision: At<Ending>,
    /// Rows that leave before the cut.
    pub(super) after: Option<At<u64>>,
    /// The rule that decides.
    pub(super) rule: Option<At<String>>,
    /// Rules that raise an alert, all of them, in any order.
    pub(super) alerts: Option<Vec<At<String>>>,
}

/// A table that tests use.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, expecting = "a table: { columns: [id, email], key: [id], rows: 68000 }")]
#[schemars(rename = "Table")]
pub(super) struct RawTable {
    /// Its columns.
    pub(super) columns: At<Vec<At<String>>>,
    /// Columns of its primary key.
    #[serde(default)]
    pub(super) key: Vec<At<String>>,
    /// How many rows it has. Left out: not known.
    pub(super) rows: Option<At<u64>>,
}

impl<'de> Deserialize<'de> for RawWho {
    fn deserialize<D: de::Deserializer<'de>>(deserializer: D) -> Result<RawWho, D::Error> {
        struct Forms;
        impl<'de> Visitor<'de> for Forms {
            type Value = RawWho;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a name, a list, or a mapping such as { group: support }")
            }

            fn visit_str<E>(self, name: &str) -> Result<RawWho, E> {
                Ok(RawWho::Named(name.to_owned()))
            }

            fn visit_seq<A: SeqAccess<'de>>(self, list: A) -> Result<RawWho, A::Error> {
                Vec::deserialize(SeqAccessDeserializer::new(list)).map(RawWho::OneOf)
            }

            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<RawWho, A::Error> {
                RawWhoSet::deserialize(MapAccessDeserializer::new(map)).map(RawWho::All)
            }
        }
        deserializer.deserialize_any(Forms)
    }
}

impl<'de> Deserialize<'de> for RawApprover {
    fn deserialize<D: de::Deserializer<'de>>(deserializer: D) -> Result<RawApprover, D::Error> {
        struct Forms;
        impl<'de> Visitor<'de> for Forms {
            type Value = RawApprover;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("`managers`, or { group: data-owners }")
            }

            fn visit_str<E>(self, name: &str) -> Result<RawApprover, E> {
                Ok(RawApprover::Named(name.to_owned()))
            }

            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<RawApprover, A::Error> {
                RawApprovers::deserialize(MapAccessDeserializer::new(map)).map(RawApprover::Of)
            }
        }
        deserializer.deserialize_any(Forms)
    }
}

impl<'de> Deserialize<'de> for RawExcept {
    fn deserialize<D: de::Deserializer<'de>>(deserializer: D) -> Result<RawExcept, D::Error> {
        struct Forms;
        impl<'de> Visitor<'de> for Forms {
            type Value = RawExcept;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a name, a list, or a mapping such as { who: nightly, until: 2027-01-31 }")
            }

            fn visit_str<E>(self, name: &str) -> Result<RawExcept, E> {
                Ok(RawExcept::Named(name.to_owned()))
            }

            fn visit_seq<A: SeqAccess<'de>>(self, list: A) -> Result<RawExcept, A::Error> {
                Vec::deserialize(SeqAccessDeserializer::new(list)).map(RawExcept::OneOf)
            }

            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<RawExcept, A::Error> {
                RawExceptSet::deserialize(MapAccessDeserializer::new(map)).map(|set| RawExcept::Until(Box::new(set)))
            }
        }
        deserializer.deserialize_any(Forms)
    }
}

impl<'de> Deserialize<'de> for RawAmount {
    fn deserialize<D: de::Deserializer<'de>>(deserializer: D) -> Result<RawAmount, D::Error> {
        struct Forms;
        impl Visitor<'_> for Forms {
            type Value = RawAmount;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a whole number, or a size such as 200MiB")
            }

            fn visit_u64<E>(self, number: u64) -> Result<RawAmount, E> {
                Ok(RawAmount::Number(number))
            }

            fn visit_str<E>(self, size: &str) -> Result<RawAmount, E> {
                Ok(RawAmount::Size(size.to_owned()))
            }
        }
        deserializer.deserialize_any(Forms)
    }
}
