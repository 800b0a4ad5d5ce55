//! The house rules that a compiler does not keep: who may depend on whom, and what may not be in the source.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use serde_json::Value;
use weir_tests::process::run;
use weir_tests::tools::repository;

/// Crates that know nothing of each other, of the trunk, and of any runtime.
const LEAVES: [&str; 3] = ["weir-policy", "weir-audit-store", "weir-wire"];

/// What must not be anywhere below a leaf: a pure crate that can wait or dial is pure no more.
const RUNTIMES: [&str; 7] = ["tokio", "async-std", "smol", "mio", "hyper", "tokio-postgres", "socket2"];

/// A file longer than this no longer fits a person's head.
const LINES_MAX: usize = 700;

/// Direct and indirect dependencies of each package, without those for tests and builds.
fn reached() -> BTreeMap<String, BTreeSet<String>> {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let mut command = Command::new(cargo);
    command.args(["metadata", "--format-version", "1", "--locked", "--offline"]).current_dir(repository());
    let metadata: Value = serde_json::from_str(&run(&mut command, b"", Duration::from_secs(60)).ok()).unwrap();
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let names: BTreeMap<String, String> = metadata["packages"]
        .as_array()
        .unwrap()
        .iter()
        .map(|package| (text(&package["id"]), text(&package["name"])))
        .collect();
    let direct: BTreeMap<String, Vec<String>> = metadata["resolve"]["nodes"]
        .as_array()
        .unwrap()
        .iter()
        .map(|node| {
            let dependencies = node["deps"].as_array().unwrap().iter();
            let normal = dependencies.filter(|dependency| {
                dependency["dep_kinds"].as_array().unwrap().iter().any(|kind| kind["kind"].is_null())
            });
            (text(&node["id"]), normal.map(|dependency| text(&dependency["pkg"])).collect())
        })
        .collect();
    let members: Vec<String> = metadata["workspace_members"].as_array().unwrap().iter().map(text).collect();
    members
        .iter()
        .map(|member| {
            let mut seen = BTreeSet::new();
            let mut waiting = vec![member.clone()];
            while let Some(id) = waiting.pop() {
                for dependency in direct.get(&id).into_iter().flatten() {
                    if seen.insert(dependency.clone()) {
                        waiting.push(dependency.clone());
                    }
                }
            }
            (names[member].clone(), seen.iter().map(|id| names[id].clone()).collect())
        })
        .collect()
}

#[test]
fn leaves_know_neither_each_other_nor_a_runtime() {
    let reached = reached();
    for leaf in LEAVES {
        let below = reached.get(leaf).unwrap_or_else(|| panic!("no package {leaf}"));
        let house: Vec<&String> = below.iter().filter(|name| name.starts_with("weir-")).collect();
        assert!(house.is_empty(), "{leaf} depends on {house:?}");
        let runtimes: Vec<&str> = RUNTIMES.into_iter().filter(|runtime| below.contains(*runtime)).collect();
        assert!(runtimes.is_empty(), "{leaf} reaches {runtimes:?}");
    }
    let trunk = &reached["weir-proxy"];
    for leaf in LEAVES {
        assert!(trunk.contains(leaf), "the trunk does without {leaf}");
    }
    for outside in ["weir-tests", "weir-benches", "weir-examples", "weir-oracle"] {
        assert!(!trunk.contains(outside), "the product depends on {outside}");
    }
}

/// Every file of ours with this ending.
fn sources(extension: &str) -> Vec<(PathBuf, String)> {
    fn walk(directory: &Path, extension: &str, found: &mut Vec<(PathBuf, String)>) {
        for entry in std::fs::read_dir(directory).unwrap().flatten() {
            let path = entry.path();
            let name = entry.file_name().to_string_lossy().into_owned();
            if path.is_dir() && !path.is_symlink() {
                if !matches!(name.as_str(), "target" | "node_modules" | "corpus") && !name.starts_with('.') {
                    walk(&path, extension, found);
                }
            } else if path.extension().is_some_and(|found| found == extension) {
                let text = std::fs::read_to_string(&path).unwrap_or_default();
                found.push((path, text));
            }
        }
    }
    let mut found = Vec::new();
    walk(&repository(), extension, &mut found);
    assert!(!found.is_empty(), "no `.{extension}` files under {}", repository().display());
    found
}

fn complain(offences: &[String]) {
    assert!(offences.is_empty(), "\n{}", offences.join("\n"));
}

#[test]
fn nothing_is_left_to_do_later() {
    // Put together here, so that this file does not accuse itself.
    let marks: Vec<String> = [["TO", "DO"], ["FIX", "ME"], ["XX", "X"]].iter().map(|parts| parts.concat()).collect();
    let macros: Vec<String> = [["todo", "!("], ["unimplemented", "!("]].iter().map(|parts| parts.concat()).collect();
    let mut offences = Vec::new();
    for (path, text) in ["rs", "py", "js", "java", "sh", "sql", "toml"].into_iter().flat_map(sources) {
        for (number, line) in text.lines().enumerate() {
            let words = line.split(|c: char| !c.is_ascii_alphanumeric());
            if words.into_iter().any(|word| marks.iter().any(|mark| mark == word))
                || macros.iter().any(|name| line.contains(name))
            {
                offences.push(format!("{}:{}: {}", path.display(), number + 1, line.trim()));
            }
        }
    }
    complain(&offences);
}

#[test]
fn there_is_no_unsafe_code_and_every_crate_forbids_it() {
    let keyword = ["un", "safe"].concat();
    let mut offences = Vec::new();
    for (path, text) in sources("rs") {
        for (number, line) in text.lines().enumerate() {
            let code = line.split("//").next().unwrap_or_default();
            for form in [" {", " fn ", " impl ", " trait ", " extern "] {
                if code.contains(&format!("{keyword}{form}")) {
                    offences.push(format!("{}:{}: {}", path.display(), number + 1, line.trim()));
                }
            }
        }
    }
    for (path, text) in sources("toml").into_iter().filter(|(path, _)| path.ends_with("Cargo.toml")) {
        // Fuzz targets stand outside the workspace: their harness needs what the product forbids.
        if text.contains("[package]")
            && !text.contains("[lints]\nworkspace = true")
            && !text.contains("cargo-fuzz = true")
        {
            offences.push(format!("{}: does not take the workspace's lints", path.display()));
        }
    }
    let root = std::fs::read_to_string(repository().join("Cargo.toml")).unwrap();
    assert!(root.contains(&format!("{keyword}_code = \"forbid\"")));
    complain(&offences);
}

#[test]
fn files_have_names_and_sizes_for_people() {
    let mut offences = Vec::new();
    for (path, text) in sources("rs") {
        let stem = path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
        if ["utils", "util", "helpers", "common", "misc"].contains(&stem.as_str()) {
            offences.push(format!("{}: a name that says nothing", path.display()));
        }
        let lines = text.lines().count();
        if lines > LINES_MAX {
            offences.push(format!("{}: {lines} lines, more than {LINES_MAX}", path.display()));
        }
        if !text.trim_start().starts_with("//!") && !text.trim_start().starts_with("#!") && lines > 0 {
            offences.push(format!("{}: does not begin by saying what it is for", path.display()));
        }
    }
    complain(&offences);
}
