//! Policies for tests, as the text an operator would write.

use crate::engine::Engine;

/// No dataset and no rule: everything passes.
pub const ALLOW_ALL: &str = "version: 1\nmode: enforce\n";

/// What the budgeted policy below says; the defaults are those of most tests.
#[derive(Clone, Debug)]
pub struct Budgeted {
    /// Servers that the datasets live on: one dataset for a person's budget, wherever it is read.
    pub engines: Vec<Engine>,
    /// Database that the datasets live in.
    pub database: String,
    /// `enforce` or `observe`.
    pub mode: &'static str,
    /// Records of `customers` per person and hour.
    pub records_per_hour: u64,
    /// Further budget lines of that rule, in YAML flow form.
    pub more_budget: &'static [&'static str],
    /// Whether COPY and its kind draw on the same budget; otherwise they are refused.
    pub export: Export,
}

/// What becomes of COPY TO over the customers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Export {
    /// It draws on the budget of reading.
    Budgeted,
    /// It is refused.
    Refused,
}

/// What the client is told when the customers' budget ends.
pub const BUDGET_MESSAGE: &str = "reading more customers needs an approval: ask #data-access";

impl Default for Budgeted {
    fn default() -> Budgeted {
        Budgeted {
            engines: vec![Engine::Postgres],
            database: "support".to_owned(),
            mode: "enforce",
            records_per_hour: 500,
            more_budget: &[],
            export: Export::Budgeted,
        }
    }
}

impl Budgeted {
    /// With this hourly budget.
    pub fn hourly(records_per_hour: u64) -> Budgeted {
        Budgeted { records_per_hour, ..Budgeted::default() }
    }

    /// Over data on this kind of server.
    #[must_use]
    pub fn on(mut self, engine: Engine) -> Budgeted {
        self.engines = vec![engine];
        self
    }

    /// The policy file.
    pub fn yaml(&self) -> String {
        let Budgeted { engines, database, mode, records_per_hour, more_budget, export } = self;
        let relations = |postgres: &str, mysql_database: &str, mysql: &str| -> String {
            let line = |engine: &Engine| match engine {
                Engine::Postgres => {
                    format!("      - {{ engine: postgres, database: {database}, name: \"{postgres}\" }}\n")
                }
                Engine::MySql => {
                    format!("      - {{ engine: mysql, database: {mysql_database}, name: \"{mysql}\" }}\n")
                }
            };
            engines.iter().map(line).collect()
        };
        let customers = relations("public.customers", database, "customers");
        let contacts = relations("public.contact_log*", database, "contact_log");
        let cards = relations("billing.cards*", "billing", "cards");
        let more: String = more_budget.iter().map(|line| format!("      - {line}\n")).collect();
        let (access, no_export) = match export {
            Export::Budgeted => ("[read, export]", String::new()),
            Export::Refused => (
                "[read]",
                "  - name: no-export\n    who: any\n    dataset: customers\n    access: [export]\n    then: refuse\n"
                    .to_owned(),
            ),
        };
        format!(
            "version: 1
mode: {mode}
datasets:
  customers:
    class: personal
    relations:
{customers}    columns: [name, email, phone]
    key: [id]
  contacts:
    class: personal
    relations:
{contacts}    columns: [phone]
  cards:
    class: secret
    relations:
{cards}who:
  support: {{ group: support }}
rules:
  - name: support-customers
    who: support
    dataset: customers
    access: {access}
    budget:
      - {{ records: {records_per_hour}, per: hour }}
{more}    at: {{ 80%: alert }}
    message: \"{BUDGET_MESSAGE}\"
  - name: support-contacts
    who: support
    dataset: contacts
    access: {access}
    budget:
      - {{ records: {records_per_hour}, per: hour }}
  - name: support-writes
    who: support
    dataset: [customers, contacts]
    access: [write]
    then: allow
  - name: no-cards
    who: support
    dataset: cards
    then: refuse
    message: \"card data is not for the support desk\"
{no_export}defaults:
  unmatched-sensitive: alert
  opaque-sensitive: refuse
  unknown-person: refuse
"
        )
    }
}

/// SQLSTATE of a statement that policy does not let run, or lets run no further: `insufficient_privilege`, which
/// every driver knows and none retries.
pub const DENIED: &str = "42501";

/// The same on MySQL: number and SQLSTATE of a command that an account may not use on a table.
pub const DENIED_MYSQL: (u16, &str) = (1142, "42000");
