//! Statements that programs send: the whole analysis beside the parser alone.

use std::hint::black_box;
use std::time::{Duration, Instant};

use sqlparser::dialect::{Dialect, MySqlDialect, PostgreSqlDialect};
use sqlparser::parser::Parser;
use weir_policy::analysis::{Context, LexSettings, analyse, shape as shape_of};
use weir_policy::relation::Engine;

use crate::statements;
use crate::world::World;

/// How many times the parser's own time the analysis may take, at the median.
const RATIO_MAX: f64 = 3.0;
/// Measurements of one statement; the fastest counts.
const BATCHES: usize = 7;
/// Length of one measurement.
const BATCH: Duration = Duration::from_micros(400);

/// Prints both dialects; whether each is within the figure.
pub(crate) fn run() -> bool {
    let postgres = dialect("PostgreSQL", Engine::Postgres, &PostgreSqlDialect {});
    let mysql = dialect("MySQL", Engine::Mysql, &MySqlDialect {});
    postgres && mysql
}

/// What one statement took, nanoseconds.
struct Row<'t> {
    text: &'t str,
    parser: f64,
    analysis: f64,
    shape: f64,
    exposure: f64,
}

impl Row<'_> {
    fn ratio(&self) -> f64 {
        self.analysis / self.parser
    }
}

fn dialect(name: &str, engine: Engine, dialect: &dyn Dialect) -> bool {
    let world = World::new(engine);
    let lex = LexSettings::of(engine);
    let context = Context { lex, catalog: &world.catalog, search_path: &world.search_path, temporary: &[] };
    let all = statements::of(engine);
    let mut rows: Vec<Row<'_>> = Vec::new();
    for text in &all {
        if Parser::parse_sql(dialect, text).is_err() {
            continue;
        }
        let parser = time(|| black_box(Parser::parse_sql(dialect, black_box(text)).is_ok()));
        let analysis = time(|| black_box(analyse(black_box(text.as_bytes()), &context)).statements.len());
        let shape = time(|| black_box(shape_of(black_box(text.as_bytes()), lex)).literals.len());
        let analysed = analyse(text.as_bytes(), &context);
        let exposure =
            time(|| analysed.statements.iter().map(|one| world.binding.exposure(one)).collect::<Vec<_>>().len());
        rows.push(Row { text, parser, analysis, shape, exposure });
    }
    let median = |of: fn(&Row<'_>) -> f64| middle(rows.iter().map(of).collect());
    let ratio = median(|row| row.ratio());
    let met = ratio <= RATIO_MAX;
    println!(
        "{name}: {} statements, {} of them known to the parser: parser {:.1} us, analysis {:.1} us, shape {:.2} us, \
         exposure {:.2} us (medians); ratio {ratio:.2} at the median, {:.2} of the medians  {}",
        all.len(),
        rows.len(),
        median(|row| row.parser) / 1e3,
        median(|row| row.analysis) / 1e3,
        median(|row| row.shape) / 1e3,
        median(|row| row.exposure) / 1e3,
        median(|row| row.analysis) / median(|row| row.parser),
        if met { "ok" } else { "SLOW" },
    );
    rows.sort_by(|one, other| other.ratio().total_cmp(&one.ratio()));
    for row in rows.iter().take(8) {
        let shown: String =
            row.text.chars().take(90).map(|shown| if shown.is_control() { ' ' } else { shown }).collect();
        println!("    {:>6.1}  {:>7.1} us / {:>6.1} us  {shown}", row.ratio(), row.analysis / 1e3, row.parser / 1e3);
    }
    met
}

fn middle(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or_default()
}

/// Nanoseconds of one call, the fastest of a few batches.
fn time<R>(mut call: impl FnMut() -> R) -> f64 {
    let begun = Instant::now();
    black_box(call());
    let once = begun.elapsed().max(Duration::from_nanos(50));
    let calls = u32::try_from((BATCH.as_nanos() / once.as_nanos()).clamp(1, 10_000)).unwrap_or(1);
    let batch = || {
        let begun = Instant::now();
        for _ in 0..calls {
            black_box(call());
        }
        begun.elapsed().as_secs_f64() * 1e9 / f64::from(calls)
    };
    std::iter::repeat_with(batch).take(BATCHES).fold(f64::INFINITY, f64::min)
}
