//! `weir policy explain`: what a statement reaches, under the live catalog, as sessions resolve it.
//!
//! Literals of the statement are never repeated in the answer.

use std::io::Write;
use std::path::PathBuf;

use clap::Subcommand;
use serde_json::{Value, json};
use weir_policy::analysis::{Context, Dialect, LexSettings, analyse};
use weir_policy::catalog::Catalog;
use weir_policy::statement::{Analysis, Columns, Extent, RelationUse, StatementAnalysis};

use super::output::Output;
use super::{Failure, load};
use crate::catalog::{CatalogView, Catalogs, Freshness};

/// What there is to do with policies.
#[derive(Subcommand)]
pub(super) enum PolicyCommand {
    /// Say what a statement reaches: relations and columns, through views too, and what is not understood of it.
    ///
    /// Names are looked up in the catalog of a live database, with the search path that the role starts with. Exit code 1
    /// when the statement is not understood in full. Verdicts by rules are not part of this version.
    #[command(
        after_help = "Example:\n  weir policy explain --config weir.toml --database support --role alice \\\n    \
                            --sql 'select email from customers where id = 7'"
    )]
    Explain {
        /// The configuration file.
        #[arg(long, value_name = "FILE")]
        config: PathBuf,
        /// Name of the upstream, when there are several.
        #[arg(long, value_name = "NAME")]
        upstream: Option<String>,
        /// The database.
        #[arg(long, value_name = "NAME")]
        database: String,
        /// The account that the statement comes from.
        #[arg(long, value_name = "NAME")]
        role: String,
        /// The statement, or several with semicolons between them.
        #[arg(long, value_name = "TEXT")]
        sql: String,
        /// Answer in JSON.
        #[arg(long)]
        json: bool,
    },
}

pub(super) fn run<W: Write>(command: &PolicyCommand, output: &mut Output<W>) -> Result<(), Failure> {
    let PolicyCommand::Explain { config, upstream, database, role, sql, json } = command;
    let config = load(config)?;
    let upstream = match (upstream, config.upstreams.as_slice()) {
        (Some(name), _) if config.upstream(name).is_some() => name.clone(),
        (Some(name), _) => return Err(Failure::bad_input(format!("there is no upstream `{name}`"))),
        (None, [only]) => only.name.clone(),
        (None, _) => return Err(Failure::bad_input("there are several upstreams: give --upstream")),
    };
    let catalogs = Catalogs::new(&config).map_err(Failure::environment)?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(Failure::environment)?;
    let view = runtime.block_on(catalogs.snapshot(&upstream, database));
    if let Freshness::Stale { reason, .. } = &view.state {
        return Err(Failure::environment(format!("the catalog of `{database}` on `{upstream}`: {reason}")));
    }
    let path = search_path(&view, role);
    let analysis = reach(&view.catalog, &path, sql);
    if *json {
        output.line(told_to_machines(&analysis, &path))?;
    } else {
        tell(&analysis, &path, output)?;
    }
    let gaps: usize = analysis.statements.iter().map(|statement| statement.gaps.len()).sum();
    match gaps {
        0 => Ok(()),
        count => Err(Failure::finding(format!("{count} thing(s) are not understood; rules treat them as unknown"))),
    }
}

/// The path that the server looks names up in, for a role's fresh session.
fn search_path(view: &CatalogView, role: &str) -> Vec<String> {
    let mut path: Vec<String> = view
        .search_path_default(role)
        .into_iter()
        .map(|schema| if schema == "$user" { role.to_owned() } else { schema })
        .collect();
    // The server puts it first unless the path names it.
    if !path.iter().any(|schema| schema == "pg_catalog") {
        path.insert(0, "pg_catalog".to_owned());
    }
    path
}

fn reach(catalog: &Catalog, path: &[String], sql: &str) -> Analysis {
    let context =
        Context { dialect: Dialect::Postgres, lex: LexSettings::default(), catalog, search_path: path, temporary: &[] };
    analyse(sql.as_bytes(), &context)
}

fn tell<W: Write>(analysis: &Analysis, path: &[String], output: &mut Output<W>) -> Result<(), Failure> {
    output.line(format_args!("{}", analysis.redacted))?;
    output.line(format_args!("names are looked up in {}", path.join(", ")))?;
    for statement in &analysis.statements {
        let (verb, coverage) = (word(&statement.verb), word(&statement.coverage));
        output.line(format_args!("{verb}: understood {coverage}, {}", extent(statement)))?;
        for relation in &statement.uses {
            output.line(format_args!("  {}", told(relation)))?;
        }
        for gap in &statement.gaps {
            output.line(format_args!("  not understood: {} ({})", gap.subject, gap.code))?;
        }
    }
    Ok(())
}

fn told(relation: &RelationUse) -> String {
    let name =
        relation.relation.as_ref().map_or_else(|| format!("{} (unknown)", relation.written), ToString::to_string);
    let mut text = format!("{} {name}", word(&relation.access));
    for (what, columns) in [("releases", &relation.released), ("packs", &relation.packed), ("uses", &relation.used)] {
        match columns {
            Columns::None => {}
            Columns::All => text.push_str(&format!("; {what} every column")),
            Columns::Some(names) => {
                let names: Vec<&str> = names.iter().map(|name| &**name).collect();
                text.push_str(&format!("; {what} {}", names.join(", ")));
            }
        }
    }
    if relation.packed_whole {
        text.push_str("; the whole relation in one row");
    }
    if relation.pin.is_some() {
        text.push_str("; one record, by its key");
    }
    if !relation.via.is_empty() {
        text.push_str(&format!("; through {}", relation.via.join(" and ")));
    }
    text
}

fn extent(statement: &StatementAnalysis) -> String {
    match statement.extent {
        Extent::Unbounded => "any number of rows".to_owned(),
        Extent::Limited(_) => "as many rows as its limit says".to_owned(),
        Extent::LimitedTo(rows) => format!("at most {rows} rows"),
        Extent::One => "one row".to_owned(),
    }
}

fn told_to_machines(analysis: &Analysis, path: &[String]) -> Value {
    let columns = |columns: &Columns| match columns {
        Columns::None => json!([]),
        Columns::All => json!("all"),
        Columns::Some(names) => json!(names),
    };
    let relation = |relation: &RelationUse| {
        json!({
            "name": relation.relation.as_ref().map_or_else(|| relation.written.to_string(), ToString::to_string),
            "known": relation.relation.is_some(),
            "access": relation.access,
            "released": columns(&relation.released),
            "packed": columns(&relation.packed),
            "packed_whole": relation.packed_whole,
            "used": columns(&relation.used),
            "pinned": relation.pin.is_some(),
            "via": relation.via,
            "source": relation.source,
        })
    };
    let statement = |statement: &StatementAnalysis| {
        json!({
            "verb": statement.verb,
            "coverage": statement.coverage,
            "relations": statement.uses.iter().map(relation).collect::<Vec<_>>(),
            "accesses": statement.accesses,
            "functions": statement.functions,
            "gaps": statement.gaps,
        })
    };
    json!({
        "text": analysis.redacted,
        "fingerprint": analysis.fingerprint,
        "search_path": path,
        "statements": analysis.statements.iter().map(statement).collect::<Vec<_>>(),
    })
}

/// The word that records have for it.
fn word(value: &impl serde::Serialize) -> String {
    match serde_json::to_value(value) {
        Ok(Value::String(word)) => word,
        _ => String::new(),
    }
}

#[cfg(test)]
mod tests {
    use weir_tests::fixture;
    use weir_tests::scratch::Scratch;

    use super::super::{BAD_INPUT, ENVIRONMENT, FINDING};
    use super::*;

    #[test]
    fn a_statement_is_explained_under_the_live_catalog() {
        let Some(postgres) = crate::catalog::tests::server() else { return };
        let database = postgres.database("explain");
        postgres.psql(
            &database,
            "create view desk as select d.id, d.email, t.subject from customer_directory d \
             join tickets t on t.customer_id = d.id; create schema bob; create table bob.articles (secret text)",
        );
        let folder = Scratch::new("explain");
        folder.write("password", fixture::PASSWORD);
        let private = std::os::unix::fs::PermissionsExt::from_mode(0o600);
        std::fs::set_permissions(folder.path().join("password"), private).unwrap();
        let config = folder.write(
            "weir.toml",
            format!(
                "state_dir = 'state'\npolicy = 'p'\n[[listener]]\nengine = 'postgres'\naddress = '127.0.0.1:1'\n\
                 upstream = 'db'\n[[upstream]]\nname = 'db'\nengine = 'postgres'\naddress = '{}'\ntls = 'off'\n\
                 [upstream.catalog]\nuser = '{}'\npassword_file = 'password'\n",
                postgres.address(),
                fixture::CATALOG_ACCOUNT
            ),
        );
        let ask = |role: &str, sql: &str, json: bool| {
            let command = PolicyCommand::Explain {
                config: config.clone(),
                upstream: None,
                database: database.clone(),
                role: role.to_owned(),
                sql: sql.to_owned(),
                json,
            };
            let mut output = Output::for_test();
            let code = run(&command, &mut output).map_or_else(|failure| failure.code, |()| 0);
            (code, output.text())
        };
        let (code, told) = ask("alice", "select email from desk where id = 4711", false);
        assert_eq!(code, 0, "{told}");
        assert!(told.contains("understood full"), "{told}");
        assert!(
            told.contains("read public.customers; releases email")
                && told.contains("through public.desk and public.customer_directory"),
            "{told}"
        );
        assert!(!told.contains("4711"), "a literal is repeated: {told}");
        // The same words mean another relation to somebody with a schema of their own.
        assert!(ask("bob", "table articles", false).1.contains("read bob.articles; releases secret"));
        assert!(ask("alice", "table articles", false).1.contains("read public.articles"));
        let (code, told) = ask("alice", "select * from nowhere", false);
        assert_eq!(code, FINDING);
        assert!(told.contains("nowhere (unknown)") && told.contains("unknown-relation"), "{told}");
        let (code, told) =
            ask("alice", "select count(*) from customers; select string_agg(email, ',') from customers", true);
        assert_eq!(code, 0, "{told}");
        let value: Value = serde_json::from_str(&told).unwrap();
        assert_eq!(value["statements"][0]["relations"][0]["released"], json!([]));
        assert_eq!(value["statements"][1]["relations"][0]["packed"], json!(["email"]));
        assert_eq!(value["statements"][1]["relations"][0]["packed_whole"], json!(true));

        let elsewhere = |upstream: &str, database: &str| {
            let command = PolicyCommand::Explain {
                config: config.clone(),
                upstream: Some(upstream.to_owned()),
                database: database.to_owned(),
                role: "alice".to_owned(),
                sql: "select 1".to_owned(),
                json: false,
            };
            run(&command, &mut Output::for_test()).map_or_else(|failure| failure.code, |()| 0)
        };
        assert_eq!(elsewhere("other", "support"), BAD_INPUT);
        assert_eq!(elsewhere("db", "no_such_database"), ENVIRONMENT);
    }
}
