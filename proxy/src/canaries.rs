//! Canaries: the files of their keys, and the hashes by which rows are held against them.
//!
//! What must never happen here: a key in a log or in a message. Labels are told, keys are not.

use std::collections::HashMap;
use std::path::Path;
use std::sync::{Arc, PoisonError, RwLock};

use weir_policy::ledger::RecordKey;
use weir_policy::relation::RelationId;
use weir_policy::set::PolicySet;

use crate::budgets::Budgets;
use crate::config::read_bounded;

/// Largest file of canaries, bytes.
const FILE_BYTES_MAX: u64 = 1024 * 1024;
/// Most canaries of one file.
const CANARIES_MAX: usize = 10_000;
/// Columns of one key: the servers' own limit.
const KEY_COLUMNS_MAX: usize = 32;
/// Relations for which hashes are kept; of more, all are hashed anew.
const RELATIONS_MAX: usize = 4_096;

/// What a key is the trap of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Trap {
    /// What the operator calls it.
    pub label: Arc<str>,
    /// The entry of the policy.
    pub index: usize,
}

/// Canaries of one relation, by the hash of their keys.
pub type Traps = HashMap<RecordKey, Trap>;

/// Canaries by dataset and relation.
type Hashed = HashMap<(Arc<str>, RelationId), Arc<Traps>>;

/// All canaries of one policy.
#[derive(Default)]
pub struct Canaries {
    planted: Vec<Planted>,
    hashed: RwLock<Hashed>,
}

impl std::fmt::Debug for Canaries {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Canaries({})", self.planted.len())
    }
}

struct Planted {
    datasets: Vec<Arc<str>>,
    label: Arc<str>,
    key: Vec<String>,
    index: usize,
}

impl Canaries {
    /// Reads the files that a policy names, from beside the policy.
    ///
    /// # Errors
    /// A file that cannot be read, that others can read, or a line that is no canary; without the keys.
    pub fn load(set: &PolicySet, policy: &Path) -> Result<Canaries, String> {
        use std::os::unix::fs::PermissionsExt;
        let mut canaries = Canaries::default();
        for entry in set.canary_files() {
            let path = policy.parent().unwrap_or(Path::new(".")).join(&*entry.file);
            let shown = path.display();
            let told = |reason: String| format!("the canaries `{shown}`: {reason}");
            let mode = std::fs::metadata(&path).map_err(|error| told(error.to_string()))?.permissions().mode();
            if mode & 0o077 != 0 {
                return Err(told(format!("others can read them: run `chmod 600 {shown}`")));
            }
            let text = read_bounded(&path, FILE_BYTES_MAX).map_err(told)?;
            let planted = parse(&text).map_err(told)?;
            canaries.planted.extend(planted.into_iter().map(|(label, key)| Planted {
                datasets: entry.datasets.clone(),
                label: label.into(),
                key,
                index: entry.index,
            }));
        }
        Ok(canaries)
    }

    /// The canaries of a relation; `None`: it has none.
    pub fn of(&self, dataset: &Arc<str>, relation: &RelationId, budgets: &Budgets) -> Option<Arc<Traps>> {
        if self.planted.is_empty() {
            return None;
        }
        let name = (Arc::clone(dataset), relation.clone());
        if let Some(traps) = self.hashed.read().unwrap_or_else(PoisonError::into_inner).get(&name) {
            return (!traps.is_empty()).then(|| Arc::clone(traps));
        }
        let mut traps = Traps::default();
        for planted in self.planted.iter().filter(|planted| planted.datasets.contains(dataset)) {
            let mut hasher = budgets.record_key(relation);
            planted.key.iter().for_each(|value| hasher.put(value.as_bytes()));
            traps.insert(hasher.finish(), Trap { label: Arc::clone(&planted.label), index: planted.index });
        }
        let traps = Arc::new(traps);
        let mut hashed = self.hashed.write().unwrap_or_else(PoisonError::into_inner);
        if hashed.len() >= RELATIONS_MAX {
            hashed.clear();
        }
        hashed.insert(name, Arc::clone(&traps));
        (!traps.is_empty()).then_some(traps)
    }
}

/// Lines of a label and a key, whose columns tabs divide. Empty lines and those that begin with `#` say nothing.
fn parse(text: &str) -> Result<Vec<(String, Vec<String>)>, String> {
    let mut found = Vec::new();
    for (line, number) in text.lines().zip(1_usize..) {
        let line = line.trim_end_matches(['\r', ' ']);
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        let wrong = |what: &str| Err(format!("line {number} {what}: write a label, a tab, and the key"));
        let Some((label, key)) = line.split_once('\t') else { return wrong("has no tab") };
        let key: Vec<String> = key.split('\t').map(str::to_owned).collect();
        if label.trim().is_empty() || label.len() > 100 || key.iter().any(String::is_empty) {
            return wrong("has no label, a long one, or an empty key");
        }
        if key.len() > KEY_COLUMNS_MAX {
            return wrong("has a key of too many columns");
        }
        found.push((label.trim().to_owned(), key));
        if found.len() > CANARIES_MAX {
            return Err(format!("there are more than {CANARIES_MAX}"));
        }
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_of_canaries() {
        let text = "# planted 2026-11\n\ndeal-7\t4711\r\ntwo parts\teu\t9\n";
        let expected = [("deal-7", vec!["4711"]), ("two parts", vec!["eu", "9"])];
        let parsed = parse(text).unwrap();
        let shown: Vec<(&str, Vec<&str>)> =
            parsed.iter().map(|(label, key)| (label.as_str(), key.iter().map(String::as_str).collect())).collect();
        assert_eq!(shown, expected);
        for wrong in ["4711", "label\t", "\t4711", "a\tb\t\tc"] {
            let told = parse(wrong).unwrap_err();
            assert!(told.starts_with("line 1 ") && !told.contains("4711"), "{told}");
        }
    }
}
