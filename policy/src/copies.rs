//! What a statement puts into other rows, and what is known of a relation because of it: the words for copies between
//! analyser, binding and trunk.
//!
//! In this order: the analyser says which columns of which relation take values of which others ([`CopyOf`]);
//! [`Binding::exposure`](crate::binding::Binding::exposure) says which of them are sensitive ([`Copied`]); the trunk keeps
//! the [`Label`] of it for as long as the copy lives; [`PolicySet::bind_with`](crate::set::PolicySet::bind_with) covers the
//! copy like a member of its dataset.
//!
//! What must never happen here: a label that says less than what was copied. Where columns are not known, all are meant;
//! where the key did not come along plainly, every row counts.

use std::collections::BTreeSet;
use std::sync::Arc;

use crate::relation::{RelationId, RelationName};

/// Values that a statement puts into one relation.
#[derive(Clone, Debug, PartialEq)]
pub struct CopyOf {
    /// Where they go, as it is written or as the catalog names it.
    pub target: RelationName,
    /// The same, when the catalog holds it.
    pub relation: Option<RelationId>,
    /// Its OID; 0 when unknown.
    pub oid: u32,
    /// The name means a relation of the session's own.
    pub temporary: bool,
    /// The statement makes it.
    pub made: bool,
    /// Nothing is copied: the relation itself gets another name or place, and its values stay its own.
    pub moved: bool,
    /// What goes where.
    pub columns: Vec<CopiedColumn>,
}

/// One value of a copy.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct CopiedColumn {
    /// Column of the target; `None`: any.
    pub column: Option<Arc<str>>,
    /// Where it comes from.
    pub source: RelationId,
    /// Column of the source; `None`: any.
    pub of: Option<Arc<str>>,
    /// It is this column unchanged and alone, by OID and attribute number.
    pub plain: Option<(u32, i16)>,
    /// The source is read once, and a row of the target holds values of one of its rows.
    pub apart: bool,
    /// It stays in its row.
    pub own: bool,
    /// More than one row of the source may be copied.
    pub many: bool,
    /// The source is not read itself, but belongs to a partitioned table or an inheritance hierarchy with one that is.
    pub kin: bool,
}

/// Sensitive values that a statement copies.
#[derive(Clone, Debug, PartialEq)]
pub struct Copied {
    /// What is to be known of the target.
    pub label: Label,
    /// The target is, as far as the name tells, a relation of the session's own.
    pub temporary: bool,
    /// The statement makes the target.
    pub made: bool,
    /// They stay in their row, and are not charged.
    pub own: bool,
}

/// What is known of a relation because somebody copied into it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Label {
    /// Dataset whose values it holds.
    pub dataset: Arc<str>,
    /// Where they were read from.
    pub source: RelationId,
    /// The relation whose keys tell their records apart.
    pub records: RelationId,
    /// Where they are.
    pub target: Target,
    /// Columns of the target that hold them; `None`: any.
    pub columns: Option<BTreeSet<Arc<str>>>,
    /// Columns of the target that hold the key of `records`, in key order; `None`: every row counts.
    pub key: Option<Vec<Arc<str>>>,
}

/// A relation that holds a copy.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Target {
    /// Schemas, or databases of MySQL's, that it may be in: one, unless the name was not found and the statement did not
    /// say which.
    pub schemas: Vec<Arc<str>>,
    /// Its name.
    pub name: Arc<str>,
    /// The server's number for it; 0 where there is none, or none is known.
    pub oid: u32,
    /// It is none of these numbers: they had the name before the copy was made.
    pub before: Vec<u32>,
}

impl Label {
    /// Takes in what another copy into the same relation, of the same records, says.
    ///
    /// Returns whether that changes anything.
    pub fn join(&mut self, other: &Label) -> bool {
        let before = self.clone();
        match (&mut self.columns, &other.columns) {
            (Some(known), Some(more)) => known.extend(more.iter().cloned()),
            (known, _) => *known = None,
        }
        if self.key != other.key {
            self.key = None;
        }
        *self != before
    }

    /// Whether both speak of the same records in the same relation.
    pub fn is_about(&self, other: &Label) -> bool {
        self.target.name == other.target.name
            && self.target == other.target
            && self.dataset == other.dataset
            && self.records == other.records
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::relation::Engine;

    fn label(columns: Option<&[&str]>, key: Option<&[&str]>) -> Label {
        let customers = RelationId {
            engine: Engine::Postgres,
            database: "d".into(),
            schema: "public".into(),
            name: "customers".into(),
        };
        let target = Target { schemas: vec!["public".into()], name: "t".into(), oid: 7, before: Vec::new() };
        Label {
            dataset: "customers".into(),
            source: customers.clone(),
            records: customers,
            target,
            columns: columns.map(|names| names.iter().map(|name| Arc::from(*name)).collect()),
            key: key.map(|names| names.iter().map(|name| Arc::from(*name)).collect()),
        }
    }

    #[test]
    fn what_is_known_of_a_copy_only_grows() {
        let mut known = label(Some(&["a"]), Some(&["id"]));
        assert!(!known.join(&label(Some(&["a"]), Some(&["id"]))));
        assert!(known.join(&label(Some(&["b"]), Some(&["id"]))));
        assert_eq!(known, label(Some(&["a", "b"]), Some(&["id"])));
        assert!(known.join(&label(Some(&["a"]), None)));
        assert_eq!(known.key, None);
        assert!(!known.join(&label(Some(&["a"]), Some(&["id"]))), "a key that was lost once stays lost");
        assert!(known.join(&label(None, None)));
        assert_eq!(known.columns, None);
    }
}
