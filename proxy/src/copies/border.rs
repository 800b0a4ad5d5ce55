//! From labels to the records of copies and back: the one border between them.

use std::sync::Arc;

use weir_audit_store::event::{Copy, CopyEnded, CopyTarget, RelationPlace};
use weir_policy::copies::{Label, Target};
use weir_policy::relation::{Engine, RelationId};

use super::{Kept, Key};

/// Most columns that a record names; more are told as all of them.
const COLUMNS_MAX: usize = 256;

/// The record of a label.
pub(super) fn copy(upstream: &str, kept: &Kept) -> Copy {
    let label = &kept.label;
    Copy {
        id: kept.id.clone(),
        upstream: upstream.to_owned(),
        target: target(label),
        columns: label
            .columns
            .as_ref()
            .filter(|columns| columns.len() <= COLUMNS_MAX)
            .map(|columns| columns.iter().map(ToString::to_string).collect()),
        key: label.key.as_ref().map(|key| key.iter().map(ToString::to_string).collect()),
        dataset: label.dataset.to_string(),
        source: place(&label.source),
        records: place(&label.records),
    }
}

/// The record of its end.
pub(super) fn ended(kept: &Kept, reason: &str) -> CopyEnded {
    CopyEnded {
        id: kept.id.clone(),
        target: target(&kept.label),
        dataset: kept.label.dataset.to_string(),
        reason: reason.to_owned(),
    }
}

/// What a record says; `None` when it is of an engine that this version does not know.
pub(super) fn label(copy: &Copy) -> Option<(Key, Label)> {
    let engine = match copy.target.engine.as_str() {
        "postgres" => Engine::Postgres,
        "mysql" => Engine::Mysql,
        _ => return None,
    };
    let shared = |text: &String| Arc::<str>::from(text.as_str());
    let relation = |place: &RelationPlace| RelationId {
        engine,
        database: shared(&place.database),
        schema: shared(&place.schema),
        name: shared(&place.name),
    };
    let label = Label {
        dataset: shared(&copy.dataset),
        source: relation(&copy.source),
        records: relation(&copy.records),
        target: Target {
            schemas: copy.target.schemas.iter().map(shared).collect(),
            name: shared(&copy.target.name),
            oid: copy.target.oid,
            before: copy.target.before.clone(),
        },
        columns: copy.columns.as_ref().map(|columns| columns.iter().map(shared).collect()),
        key: copy.key.as_ref().map(|key| key.iter().map(shared).collect()),
    };
    Some(((shared(&copy.upstream), shared(&copy.target.database)), label))
}

fn target(label: &Label) -> CopyTarget {
    CopyTarget {
        engine: match label.source.engine {
            Engine::Postgres => "postgres",
            Engine::Mysql => "mysql",
        }
        .to_owned(),
        database: label.source.database.to_string(),
        schemas: label.target.schemas.iter().map(ToString::to_string).collect(),
        name: label.target.name.to_string(),
        oid: label.target.oid,
        before: label.target.before.clone(),
    }
}

fn place(id: &RelationId) -> RelationPlace {
    RelationPlace { database: id.database.to_string(), schema: id.schema.to_string(), name: id.name.to_string() }
}
