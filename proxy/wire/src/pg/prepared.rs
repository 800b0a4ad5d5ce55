//! Names of prepared statements and portals: what Weir remembers of them, and how an error takes a name back.
//! <https://www.postgresql.org/docs/current/protocol-flow.html#PROTOCOL-FLOW-EXT-QUERY>
//!
//! A name is learned when its message is forwarded, since clients pipeline on it. When the server then skips the
//! message, the name goes back to what it meant before.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};

use super::frame::Fields;
use super::row::{self, ColumnShape, RowShape};
use crate::step::Values;

/// Where a result's shape is put down once somebody has described it; shared by everything that may learn or need it.
#[derive(Debug, Default)]
pub(super) struct ShapeSlot {
    shape: OnceLock<Arc<RowShape>>,
    asked: AtomicBool,
}

impl ShapeSlot {
    pub(super) fn get(&self) -> Option<&Arc<RowShape>> {
        self.shape.get()
    }

    /// The first description stands: a statement's columns cannot change under its name without an error.
    pub(super) fn set(&self, shape: &Arc<RowShape>) {
        let _ = self.shape.set(Arc::clone(shape));
    }

    /// Notes that a description is on its way.
    pub(super) fn ask(&self) {
        self.asked.store(true, Ordering::Relaxed);
    }

    pub(super) fn is_asked(&self) -> bool {
        self.asked.load(Ordering::Relaxed) || self.shape.get().is_some()
    }
}

/// A statement as prepared.
#[derive(Clone, Debug)]
pub(super) struct Statement<S> {
    pub(super) tag: S,
    pub(super) shape: Arc<ShapeSlot>,
}

/// A portal as bound.
#[derive(Debug)]
pub(super) struct Portal<S> {
    /// The statement; `None` when Weir never saw its preparation.
    pub(super) statement: Option<Statement<S>>,
    pub(super) binding: Arc<Binding>,
    /// With the formats of this binding.
    pub(super) shape: ShapeSlot,
}

/// What a Bind message says, beside names.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Binding {
    /// Values with their format; `None` is NULL. Empty when nobody wants them, or when they are too large to keep.
    pub values: Vec<Option<BoundValue>>,
    /// Whether the values are all that was bound.
    pub is_complete: bool,
    /// Result formats as given: none, one for all, or one each.
    pub result_formats: Vec<i16>,
}

/// One parameter value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BoundValue {
    /// 0 text, 1 binary.
    pub format: i16,
    /// Its bytes.
    pub bytes: Box<[u8]>,
}

impl Values for Binding {
    fn canonical(&self, parameter: usize, out: &mut Vec<u8>) -> bool {
        let Some(Some(value)) = self.values.get(parameter) else { return false };
        // What the parameter's type is was not told; integers and uuids are known by their width.
        let type_oid = match (value.format, value.bytes.len()) {
            (0, _) => 0,
            (_, 2) => 21,
            (_, 4) => 23,
            (_, 8) => 20,
            (_, 16) => 2950,
            _ => 0,
        };
        let column = ColumnShape { relation_oid: 0, attribute: 0, type_oid, format: value.format };
        row::canonical(&column, &value.bytes, out);
        true
    }

    fn put_all(&self, out: &mut Vec<u8>) -> bool {
        for value in &self.values {
            match value {
                None => out.push(0),
                Some(value) => {
                    out.push(1);
                    out.extend_from_slice(&value.format.to_be_bytes());
                    out.extend_from_slice(&value.bytes.len().to_be_bytes());
                    out.extend_from_slice(&value.bytes);
                }
            }
        }
        self.is_complete
    }
}

/// Values beyond this many bytes are not kept: no key is that long.
const VALUES_BYTES_MAX: usize = 16 * 1024;

/// A Bind message, parsed.
pub(super) struct Bind<'b> {
    pub(super) portal: &'b [u8],
    pub(super) statement: &'b [u8],
    body: &'b [u8],
}

impl<'b> Bind<'b> {
    pub(super) fn read(body: &'b [u8]) -> Option<Bind<'b>> {
        let mut fields = Fields::new(body);
        let portal = fields.cstr()?;
        let statement = fields.cstr()?;
        Some(Bind { portal, statement, body: fields.rest() })
    }

    /// Walks the rest strictly; a message that the server would refuse is refused here.
    pub(super) fn binding(&self, keep_values: bool) -> Option<Binding> {
        let keep_values = keep_values && self.body.len() <= VALUES_BYTES_MAX;
        let mut fields = Fields::new(self.body);
        let format_count = fields.count()?;
        let mut formats = Vec::new();
        for _ in 0..format_count {
            let format = fields.i16()?;
            if keep_values {
                formats.push(format);
            }
        }
        let value_count = fields.count()?;
        let mut values = Vec::new();
        for index in 0..usize::from(value_count) {
            let value = fields.value()?;
            if keep_values {
                let format = match formats.as_slice() {
                    [] => 0,
                    [all] => *all,
                    each => each.get(index).copied()?,
                };
                values.push(value.map(|bytes| BoundValue { format, bytes: bytes.into() }));
            }
        }
        let result_count = fields.count()?;
        let mut result_formats = Vec::with_capacity(usize::from(result_count).min(self.body.len() / 2 + 1));
        for _ in 0..result_count {
            result_formats.push(fields.i16()?);
        }
        let is_complete = values.len() == usize::from(value_count);
        fields.is_done().then_some(Binding { values, is_complete, result_formats })
    }
}

/// Both name spaces of one session.
#[derive(Debug)]
pub(super) struct Names<S> {
    pub(super) statements: HashMap<Box<[u8]>, Statement<S>>,
    pub(super) portals: HashMap<Box<[u8]>, Arc<Portal<S>>>,
}

impl<S> Default for Names<S> {
    fn default() -> Self {
        Names { statements: HashMap::new(), portals: HashMap::new() }
    }
}

/// What a name meant before a message changed it.
#[derive(Debug)]
pub(super) enum Before<S> {
    Statement(Box<[u8]>, Option<Statement<S>>),
    Portal(Box<[u8]>, Option<Arc<Portal<S>>>),
}

impl<S: Clone> Names<S> {
    pub(super) fn set_statement(&mut self, name: &[u8], statement: Option<Statement<S>>) -> Before<S> {
        let before = match statement {
            Some(statement) => self.statements.insert(name.into(), statement),
            None => self.statements.remove(name),
        };
        Before::Statement(name.into(), before)
    }

    pub(super) fn set_portal(&mut self, name: &[u8], portal: Option<Arc<Portal<S>>>) -> Before<S> {
        let before = match portal {
            Some(portal) => self.portals.insert(name.into(), portal),
            None => self.portals.remove(name),
        };
        Before::Portal(name.into(), before)
    }

    pub(super) fn take_back(&mut self, before: Before<S>) {
        match before {
            Before::Statement(name, Some(statement)) => drop(self.statements.insert(name, statement)),
            Before::Statement(name, None) => drop(self.statements.remove(&name)),
            Before::Portal(name, Some(portal)) => drop(self.portals.insert(name, portal)),
            Before::Portal(name, None) => drop(self.portals.remove(&name)),
        }
    }
}
