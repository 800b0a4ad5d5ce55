//! Metrics, all in one table: names, units and labels.

use metrics::{counter, describe_counter, describe_gauge, gauge};
use metrics_exporter_prometheus::{PrometheusBuilder, PrometheusHandle};

/// Installs the recorder and describes every metric.
///
/// # Errors
/// When a recorder is already installed.
pub fn install() -> Result<PrometheusHandle, String> {
    let handle = PrometheusBuilder::new().install_recorder().map_err(|error| format!("metrics: {error}"))?;
    describe_gauge!("weir_sessions", "sessions that are open now");
    describe_counter!("weir_sessions_total", "sessions by how they ended (label `end`)");
    describe_counter!("weir_executions_total", "executions by outcome (label `outcome`)");
    describe_counter!("weir_rows_released_total", "rows that left towards clients");
    describe_counter!("weir_bytes_released_total", "bytes of rows that left towards clients");
    Ok(handle)
}

/// Sessions that are open now.
pub fn sessions_open(count: usize) {
    // Far below 2^52, where a float stops being exact.
    #[allow(clippy::cast_precision_loss)]
    gauge!("weir_sessions").set(count as f64);
}

/// A session ended.
pub fn session_ended(end: &'static str) {
    counter!("weir_sessions_total", "end" => end).increment(1);
}

/// An execution ended.
pub fn executed(outcome: &'static str, rows: u64, bytes: u64) {
    counter!("weir_executions_total", "outcome" => outcome).increment(1);
    counter!("weir_rows_released_total").increment(rows);
    counter!("weir_bytes_released_total").increment(bytes);
}
