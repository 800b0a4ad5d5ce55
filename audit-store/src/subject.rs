//! The parts that events share: session, person, statement, and what a decision rests on.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::{Deserialize, Serialize};

use crate::event::STATEMENT_TEXT_BYTES_MAX;

/// Length of one keyed hash in [`Charge::keys`], bytes.
const KEY_BYTES: usize = 16;

/// One client connection.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Session {
    /// Unique in the log.
    pub id: String,
    /// The client's address and port.
    pub client: String,
    /// Name of the listener.
    pub listener: String,
    /// Name of the upstream.
    pub upstream: String,
    /// Database on the upstream.
    pub database: String,
    /// Account on the upstream.
    pub account: String,
    /// Application name, as the client claims.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub application: Option<String>,
    /// TLS version on the client's leg; absent in clear text.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub tls: Option<String>,
}

/// The human that accounts, certificates and claims resolve to.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Person {
    /// Identifier.
    pub id: String,
    /// Whether the directory knows this person.
    pub known: bool,
    /// Groups that policy speaks of.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub groups: Vec<String>,
    /// What the identity rests on, such as `relayed`.
    pub auth: String,
}

/// One run of a statement.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Statement {
    /// Unique in the log; binds admission, leases and completion.
    pub id: String,
    /// What it does.
    pub verb: String,
    /// Fingerprint of its shape.
    pub fingerprint: String,
    /// Text with literals redacted; set it with [`Statement::with_text`].
    pub text: String,
    /// Whether `text` was cut at [`STATEMENT_TEXT_BYTES_MAX`].
    #[serde(skip_serializing_if = "std::ops::Not::not", default)]
    pub text_cut: bool,
    /// SHA-256 of the full text as the client sent it, hex.
    pub sha256: String,
    /// Length of the full text, bytes.
    pub bytes: u64,
    /// Relations that it reaches.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub relations: Vec<RelationUse>,
    /// How much of it was understood: `full`, `partial`, `opaque`.
    pub coverage: String,
    /// What was not understood.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub gaps: Vec<String>,
    /// The role that it ran as, where that is not the account's own.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub role: Option<Role>,
    /// Privileges that it uses.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub privileges: Vec<Privilege>,
}

/// One use of a privilege.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Privilege {
    /// How: `set-role`, `grant`, `revoke`, `account`, `owner`, `configure`, `audit-off`, `definer`.
    #[serde(rename = "use")]
    pub how: String,
    /// On whom or what; empty where it is the session itself.
    #[serde(skip_serializing_if = "String::is_empty", default)]
    pub subject: String,
    /// What held before, where that is known: the role that the session acted as.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub before: Option<String>,
    /// What holds afterwards: the role (empty: that of the login), what is granted, the new owner, the setting.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub after: Option<String>,
}

/// The effective role of a session.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Role {
    /// Its name; several where any of them may be in force.
    pub names: Vec<String>,
    /// Whether it is certain: what failed half-way, or what an unknown savepoint took back, may have changed it or not.
    pub trusted: bool,
}

impl Statement {
    /// With this redacted text, cut at a character border when it is longer than a record may hold.
    pub fn with_text(mut self, redacted: &str) -> Self {
        let mut end = redacted.len().min(STATEMENT_TEXT_BYTES_MAX);
        while !redacted.is_char_boundary(end) {
            end -= 1;
        }
        self.text = redacted[..end].to_owned();
        self.text_cut = end < redacted.len();
        self
    }
}

/// A relation and what is done to it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct RelationUse {
    /// Name, with its schema when known.
    pub name: String,
    /// What is done: `read`, `write`, `export`, …
    pub access: String,
    /// Columns that flow out; `*` for all or unknown.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub columns: Vec<String>,
    /// Columns that are compared, sorted or counted without flowing out; `*` for all or unknown.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub used: Vec<String>,
    /// Views on the way, outermost first.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub via: Vec<String>,
    /// Who saw it: `parser`, `lexer`, `witness`, …
    pub source: String,
}

/// What policy decided.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Decision {
    /// It may run.
    Allow,
    /// It was refused before it ran.
    Deny,
    /// It was ended while it ran.
    Cut,
    /// It would have been refused or cut, but the rule only observes.
    Observe,
}

/// One rule and the counter that it looked at.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Basis {
    /// Name of the rule.
    pub rule: String,
    /// Name of the dataset.
    pub dataset: String,
    /// Length of the window, such as `hour`.
    pub window: String,
    /// What is counted.
    pub unit: String,
    /// How many may leave in a window.
    pub limit: u64,
    /// Counter before.
    pub before: u64,
    /// Counter after.
    pub after: u64,
    /// What the rule said.
    pub outcome: String,
}

/// What one statement took from the budgets.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Charge {
    /// Name of the dataset.
    pub dataset: String,
    /// Name of the relation.
    pub relation: String,
    /// Keyed hashes of the records' keys, 16 bytes each, concatenated, base64; never the keys.
    #[serde(skip_serializing_if = "String::is_empty", default)]
    pub keys: String,
    /// Records without a visible key.
    #[serde(skip_serializing_if = "is_zero", default)]
    pub unkeyed: u64,
    /// Result rows that touched the dataset; stands in the first charge of each dataset only.
    #[serde(skip_serializing_if = "is_zero", default)]
    pub rows: u64,
    /// Bytes of those rows; stands in the first charge of each dataset only.
    #[serde(skip_serializing_if = "is_zero", default)]
    pub bytes: u64,
}

impl Charge {
    /// How many records were charged by key.
    pub fn keyed(&self) -> u64 {
        let keys = STANDARD.decode(&self.keys).map_or(0, |keys| keys.len() / KEY_BYTES);
        u64::try_from(keys).unwrap_or(u64::MAX)
    }
}

// The signature is serde's.
fn is_zero(count: &u64) -> bool {
    *count == 0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_counted_and_rubbish_is_none() {
        let keyed = |keys: &str| Charge { keys: keys.to_owned(), ..Charge::default() }.keyed();
        assert_eq!(keyed(""), 0);
        assert_eq!(keyed(&STANDARD.encode([7; 32])), 2);
        assert_eq!(keyed("no base64"), 0);
    }

    #[test]
    fn long_text_is_cut_at_a_character_border_and_says_so() {
        let long = format!("x{}", "ä".repeat(STATEMENT_TEXT_BYTES_MAX));
        let cut = Statement::default().with_text(&long);
        assert_eq!((cut.text.len(), cut.text_cut), (STATEMENT_TEXT_BYTES_MAX - 1, true));
        let whole = Statement::default().with_text("select $1");
        assert_eq!((whole.text.as_str(), whole.text_cut), ("select $1", false));
    }
}
