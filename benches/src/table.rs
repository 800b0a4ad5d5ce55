//! What a person reads while it is measured, and the file that a program reads afterwards.

use std::path::Path;

use serde_json::{Value, json};

use crate::measure::Line;

/// The head of the table.
pub(crate) fn head() {
    println!("{:<44} {:>12} {:>27} {:>10}", "what", "median", "fastest .. slowest batch", "MB/s");
}

/// One line.
pub(crate) fn row(line: &Line) {
    let (fastest, slowest) = line.ns_range;
    let speed = line.mb_per_s.map(|speed| format!("{speed:.0}")).unwrap_or_default();
    let range = format!("{} .. {}", time(fastest), time(slowest));
    println!("{:<44} {:>12} {range:>27} {speed:>10}", line.name, time(line.ns));
}

fn time(ns: f64) -> String {
    match ns {
        _ if ns < 100.0 => format!("{ns:.1} ns"),
        _ if ns < 10_000.0 => format!("{ns:.0} ns"),
        _ if ns < 10_000_000.0 => format!("{:.1} us", ns / 1e3),
        _ => format!("{:.1} ms", ns / 1e6),
    }
}

/// Writes all lines as JSON.
///
/// # Errors
/// What the file system says, with the path.
pub(crate) fn write(lines: &[Line], path: &Path) -> Result<(), String> {
    let lines: Vec<Value> = lines
        .iter()
        .map(|line| {
            let (fastest, slowest) = line.ns_range;
            json!({
                "name": line.name, "ns_median": line.ns, "ns_fastest": fastest, "ns_slowest": slowest,
                "mb_per_s": line.mb_per_s,
            })
        })
        .collect();
    let fail = |error: std::io::Error| format!("cannot write {}: {error}", path.display());
    if let Some(folder) = path.parent() {
        std::fs::create_dir_all(folder).map_err(fail)?;
    }
    std::fs::write(path, format!("{:#}\n", Value::Array(lines))).map_err(fail)
}
