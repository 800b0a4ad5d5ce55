//! What is answered: the analysis of one statement, with that of what it leaves to run later.

use serde_json::{Value, json};
use weir_policy::statement::{Columns, RelationUse, SessionAct, StatementAnalysis};

/// All of one statement.
pub(crate) fn statement(analysis: &StatementAnalysis) -> Value {
    let later: Vec<Value> = analysis
        .acts
        .iter()
        .filter_map(|act| match act {
            SessionAct::Prepare { body, .. } | SessionAct::DeclareCursor { body, .. } => Some(statement(body)),
            _ => None,
        })
        .collect();
    json!({
        "verb": analysis.verb,
        "coverage": analysis.coverage,
        "gaps": analysis.gaps,
        "functions": analysis.functions,
        "uses": analysis.uses.iter().map(reached).collect::<Vec<_>>(),
        "acts": analysis.acts.iter().filter_map(act).collect::<Vec<_>>(),
        "later": later,
    })
}

fn reached(usage: &RelationUse) -> Value {
    json!({
        "written": [usage.written.schema, usage.written.name],
        "relation": usage.relation.as_ref().map(|id| [id.schema.clone(), id.name.clone()]),
        "oid": usage.oid,
        "access": usage.access,
        "released": columns(&usage.released),
        "packed": columns(&usage.packed),
        "copied": columns(&usage.copied),
        "updated": columns(&usage.updated),
        "used": columns(&usage.used),
        "totals": columns(&usage.totals.columns),
        "via": usage.via,
        "source": usage.source,
    })
}

fn columns(columns: &Columns) -> Value {
    match columns {
        Columns::None => json!([]),
        Columns::Some(names) => json!(names),
        Columns::All => json!("all"),
    }
}

/// What changes for later texts, as far as the asker cannot see it in the server.
fn act(act: &SessionAct) -> Option<Value> {
    match act {
        SessionAct::CreateTemporary { name } => Some(json!({ "create_temporary": name })),
        SessionAct::DropTemporary { name } => Some(json!({ "drop_temporary": name })),
        SessionAct::CatalogChanged => Some(json!("catalog_changed")),
        _ => None,
    }
}
