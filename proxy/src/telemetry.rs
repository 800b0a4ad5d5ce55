//! Metrics, all in one table: names, units and labels.
//!
//! Labels are closed sets or names from the configuration; nothing that a client sends becomes one, except the names of
//! databases, of which the catalog keeps a bounded number. A function here is called from hot paths only where a counter
//! is a few nanoseconds.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use metrics::{counter, describe_counter, describe_gauge, describe_histogram, gauge, histogram};
use metrics_exporter_prometheus::{Matcher, PrometheusBuilder, PrometheusHandle};

/// What a metric is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Counter,
    Gauge,
    Histogram,
}

/// Every metric: kind, name, help with unit and labels.
const METRICS: &[(Kind, &str, &str)] = &[
    (Kind::Gauge, "weir_sessions", "sessions that are open now"),
    (Kind::Counter, "weir_sessions_total", "sessions by how they ended (label end)"),
    (
        Kind::Counter,
        "weir_statements_total",
        "statements that were judged (labels verb, decision: allowed, refused, would-refuse)",
    ),
    (Kind::Counter, "weir_executions_total", "executions by outcome (label outcome)"),
    (Kind::Counter, "weir_rows_released_total", "rows that left towards clients"),
    (Kind::Counter, "weir_bytes_released_total", "bytes of rows that left towards clients"),
    (Kind::Counter, "weir_records_released_total", "records charged to budgets (label dataset)"),
    (Kind::Counter, "weir_denials_total", "statements refused before they ran (label rule)"),
    (Kind::Counter, "weir_cuts_total", "results ended while they ran (label rule)"),
    (Kind::Counter, "weir_alerts_total", "alerts raised (label kind)"),
    (Kind::Counter, "weir_alerts_lost_total", "alerts that the alert file did not take; the audit log has them"),
    (Kind::Gauge, "weir_audit_durable_lag_records", "records that are appended and not durable yet"),
    (Kind::Gauge, "weir_audit_failing", "1 while the audit store takes no records, else 0"),
    (Kind::Histogram, "weir_audit_fsync_seconds", "duration of one group commit, seconds"),
    (Kind::Histogram, "weir_decision_seconds", "from a whole statement to its decision, seconds"),
    (
        Kind::Gauge,
        "weir_catalog_read_timestamp_seconds",
        "when the catalog was last found current, seconds since 1970 (labels upstream, database)",
    ),
    (
        Kind::Counter,
        "weir_catalog_reads_total",
        "comparisons and loads of catalogs (labels upstream, outcome: ok, failed)",
    ),
    (
        Kind::Histogram,
        "weir_catalog_read_seconds",
        "duration of a comparison or load of a catalog, seconds (label upstream)",
    ),
    (Kind::Counter, "weir_reloads_total", "reloads asked for by SIGHUP (label outcome: ok, rejected)"),
    (Kind::Gauge, "weir_monitor_works", "1 while sessions past weir would be noticed, else 0 (label upstream)"),
    (
        Kind::Counter,
        "weir_bypass_sessions_total",
        "sessions that were seen past weir and are not allowed (label upstream)",
    ),
    (Kind::Gauge, "weir_build_info", "always 1 (label version)"),
];

/// Bounds of histograms, seconds: from a decision in memory to a disk that hangs.
const BUCKETS_SECS: &[f64] =
    &[0.000_01, 0.000_05, 0.000_1, 0.000_25, 0.000_5, 0.001, 0.002_5, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1.0, 5.0];

/// How often samples of histograms are folded into their buckets. Between two of these each sample takes memory, whether
/// anybody reads the metrics or not.
const UPKEEP: Duration = Duration::from_secs(5);

/// Installs the recorder and describes every metric.
///
/// # Errors
/// When a recorder is already installed, or its thread cannot start.
pub fn install() -> Result<PrometheusHandle, String> {
    let mut builder = PrometheusBuilder::new();
    for (_, name, _) in METRICS.iter().filter(|(kind, ..)| *kind == Kind::Histogram) {
        builder = builder
            .set_buckets_for_metric(Matcher::Full((*name).to_owned()), BUCKETS_SECS)
            .map_err(|error| format!("metrics: {error}"))?;
    }
    let handle = builder.install_recorder().map_err(|error| format!("metrics: {error}"))?;
    describe();
    gauge!("weir_build_info", "version" => env!("CARGO_PKG_VERSION")).set(1.0);
    let kept = handle.clone();
    std::thread::Builder::new()
        .name("weir-metrics".to_owned())
        .spawn(move || {
            loop {
                std::thread::sleep(UPKEEP);
                kept.run_upkeep();
            }
        })
        .map_err(|error| format!("metrics: {error}"))?;
    Ok(handle)
}

fn describe() {
    for (kind, name, help) in METRICS {
        match kind {
            Kind::Counter => describe_counter!(*name, *help),
            Kind::Gauge => describe_gauge!(*name, *help),
            Kind::Histogram => describe_histogram!(*name, *help),
        }
    }
}

/// Sessions that are open now.
pub fn sessions_open(count: usize) {
    gauge!("weir_sessions").set(float(u64::try_from(count).unwrap_or(u64::MAX)));
}

/// A session ended.
pub fn session_ended(end: &'static str) {
    counter!("weir_sessions_total", "end" => end).increment(1);
}

/// A statement was judged.
pub fn judged(verb: &'static str, decision: &'static str, took: Duration) {
    counter!("weir_statements_total", "verb" => verb, "decision" => decision).increment(1);
    histogram!("weir_decision_seconds").record(took.as_secs_f64());
}

/// An execution ended.
pub fn executed(outcome: &'static str, rows: u64, bytes: u64) {
    counter!("weir_executions_total", "outcome" => outcome).increment(1);
    counter!("weir_rows_released_total").increment(rows);
    counter!("weir_bytes_released_total").increment(bytes);
}

/// Records of a dataset were charged. The dataset's name is the policy's.
pub fn records_released(dataset: &str, records: u64) {
    counter!("weir_records_released_total", "dataset" => dataset.to_owned()).increment(records);
}

/// A statement was refused before it ran. The rule's name is the policy's.
pub fn denied(rule: &str) {
    counter!("weir_denials_total", "rule" => rule.to_owned()).increment(1);
}

/// A result was cut. The rule's name is the policy's.
pub fn cut(rule: &str) {
    counter!("weir_cuts_total", "rule" => rule.to_owned()).increment(1);
}

/// An alert was raised.
pub fn alerted(kind: &'static str) {
    counter!("weir_alerts_total", "kind" => kind).increment(1);
}

/// An alert did not get into the alert file.
pub fn alert_lost() {
    counter!("weir_alerts_lost_total").increment(1);
}

/// Records that are appended and not durable yet, and whether the store takes any.
pub fn audit_lag(records: u64, failing: bool) {
    gauge!("weir_audit_durable_lag_records").set(float(records));
    gauge!("weir_audit_failing").set(if failing { 1.0 } else { 0.0 });
}

/// One group commit took so long.
pub fn audit_synced(took: Duration) {
    histogram!("weir_audit_fsync_seconds").record(took.as_secs_f64());
}

/// A catalog was compared or loaded, or could not be.
pub fn catalog_read(upstream: &str, database: &str, is_ok: bool, took: Duration) {
    let outcome = if is_ok { "ok" } else { "failed" };
    counter!("weir_catalog_reads_total", "upstream" => upstream.to_owned(), "outcome" => outcome).increment(1);
    histogram!("weir_catalog_read_seconds", "upstream" => upstream.to_owned()).record(took.as_secs_f64());
    if is_ok {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        gauge!(
            "weir_catalog_read_timestamp_seconds",
            "upstream" => upstream.to_owned(), "database" => database.to_owned()
        )
        .set(now.as_secs_f64());
    }
}

/// A reload was asked for and taken, or not.
pub fn reloaded(is_ok: bool) {
    counter!("weir_reloads_total", "outcome" => if is_ok { "ok" } else { "rejected" }).increment(1);
}

/// Whether an upstream's sessions can be looked at.
pub fn monitor_works(upstream: &str, works: bool) {
    gauge!("weir_monitor_works", "upstream" => upstream.to_owned()).set(if works { 1.0 } else { 0.0 });
}

/// A session was seen that reached the upstream past Weir.
pub fn bypassed(upstream: &str) {
    counter!("weir_bypass_sessions_total", "upstream" => upstream.to_owned()).increment(1);
}

fn float(count: u64) -> f64 {
    // Counts of things in this process stay far below 2^52, where a float stops being exact.
    #[allow(clippy::cast_precision_loss)]
    let count = count as f64;
    count
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_counted_stands_in_the_table() {
        let mut builder = PrometheusBuilder::new();
        for (_, name, _) in METRICS.iter().filter(|(kind, ..)| *kind == Kind::Histogram) {
            builder = builder.set_buckets_for_metric(Matcher::Full((*name).to_owned()), BUCKETS_SECS).unwrap();
        }
        let recorder = builder.build_recorder();
        metrics::with_local_recorder(&recorder, || {
            describe();
            sessions_open(3);
            session_ended("terminated");
            judged("select", "allowed", Duration::from_micros(20));
            executed("complete", 5, 600);
            records_released("customers", 5);
            denied("no-cards");
            cut("support-customers");
            alerted("cut");
            alert_lost();
            audit_lag(2, false);
            audit_synced(Duration::from_millis(1));
            catalog_read("db", "support", true, Duration::from_millis(30));
            reloaded(false);
            monitor_works("db", true);
            bypassed("db");
            gauge!("weir_build_info", "version" => "x").set(1.0);
        });
        let text = recorder.handle().render();
        for (kind, name, help) in METRICS {
            let word = match kind {
                Kind::Counter => "counter",
                Kind::Gauge => "gauge",
                Kind::Histogram => "histogram",
            };
            assert!(
                text.contains(&format!("# TYPE {name} {word}\n")),
                "{name} is in the table and never counted:\n{text}"
            );
            assert!(text.contains(&format!("# HELP {name} {help}\n")), "{name}");
        }
        let typed = text.lines().filter(|line| line.starts_with("# TYPE ")).count();
        assert_eq!(typed, METRICS.len(), "something is counted that the table does not have:\n{text}");
        assert!(text.contains("weir_rows_released_total 5\n"), "{text}");
        assert!(text.contains("weir_catalog_reads_total{upstream=\"db\",outcome=\"ok\"} 1\n"), "{text}");
    }
}
