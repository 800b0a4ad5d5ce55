//! The statements that this repository holds, as texts: what programs send, and what people try.

use std::path::{Path, PathBuf};

use weir_policy::relation::Engine;

/// Every statement of a dialect, once.
pub(crate) fn of(engine: Engine) -> Vec<String> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let (table, folder, kinds): (&str, &str, &[&str]) = match engine {
        Engine::Postgres => ("statements.txt", "postgres", &["pg"]),
        Engine::Mysql => ("statements_mysql.txt", "mysql", &["mysql", "maria", "mariadb"]),
    };
    let mut found = Vec::new();
    let text = std::fs::read_to_string(root.join("policy/src/analysis/tests").join(table)).unwrap_or_default();
    found.extend(
        text.lines()
            .filter(|line| !line.starts_with(['#', ' ']) && !line.is_empty())
            .map(|line| line.trim_start_matches("[mysql] ").replace("\\n", "\n")),
    );
    for path in files(&root.join("tests/must_allow").join(folder)) {
        let text = std::fs::read_to_string(path).unwrap_or_default();
        for block in text.split("\n\n") {
            let lines: Vec<&str> = block.trim().lines().skip_while(|line| line.starts_with("-- ")).collect();
            found.push(lines.join("\n").trim_end_matches(';').to_owned());
        }
    }
    for path in
        files(&root.join("tests/evasion")).iter().filter(|path| path.extension().is_some_and(|ext| ext == "jsonl"))
    {
        for line in std::fs::read_to_string(path).unwrap_or_default().lines() {
            let case: serde_json::Value = serde_json::from_str(line).unwrap_or_default();
            if case["engine"].as_str().is_some_and(|name| kinds.iter().any(|kind| name.starts_with(kind))) {
                let steps = case["steps"].as_array().cloned().unwrap_or_default();
                found.extend(steps.iter().filter_map(|step| step.as_str().map(str::to_owned)));
            }
        }
    }
    found.retain(|text| !text.trim().is_empty());
    found.sort();
    found.dedup();
    found
}

/// Files of a folder, in order; none where there is no such folder.
fn files(folder: &Path) -> Vec<PathBuf> {
    let mut found: Vec<PathBuf> =
        std::fs::read_dir(folder).into_iter().flatten().filter_map(|entry| Some(entry.ok()?.path())).collect();
    found.sort();
    found
}
