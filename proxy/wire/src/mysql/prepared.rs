//! Prepared statements: what Weir remembers of them, and how a binding is read.
//! <https://dev.mysql.com/doc/dev/mysql-server/latest/page_protocol_com_stmt_execute.html>
//!
//! The server gives a statement its number in the answer to its preparation. A client of MariaDB need not wait for it:
//! the number -1 means the statement that was prepared last. So the engine numbers statements itself when they are
//! forwarded, and learns the server's number later.
//!
//! INVARIANT: what a binding says is certain or not said. A length that a server reads otherwise than the manual has it
//! ends the session; a type that it reads otherwise makes every value from there on unknown.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use super::command::{Dialect, Execute, PARAMETER_COUNT_AVAILABLE, is_set, malformed};
use super::packet::Fields;
use super::resultset::ResultShape;
use crate::refusal::WireError;
use crate::step::Values;

/// MariaDB's number for the statement that was prepared last.
pub(super) const LAST: u32 = u32::MAX;

/// Parameters of one statement that are known to come in pieces. With more of them, all values are unknown.
const PIECES_MAX: usize = 64;

/// Values of messages beyond this many bytes are not kept: no key is that long.
const VALUES_BYTES_MAX: usize = 16 * 1024;

/// Numbers beyond this are not all distinct as floating point numbers.
const EXACT_MAX: f64 = 9_007_199_254_740_992.0;

/// Type of a parameter, as the client says it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct ParameterType {
    code: u8,
    unsigned: bool,
}

/// A value as it travels.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Value<'b> {
    /// A whole number.
    Integer(i128),
    /// A floating point number.
    Float(f64),
    /// A date without a time.
    Date(u16, u8, u8),
    /// Text or bytes.
    Bytes(&'b [u8]),
    /// Anything else.
    Other,
}

impl ParameterType {
    /// Reads a type, and the name beside it where there are `names`. Bits that mean nothing are refused.
    pub(super) fn read(fields: &mut Fields<'_>, names: bool) -> Option<ParameterType> {
        let (code, flags) = (fields.u8()?, fields.u8()?);
        if names {
            fields.lenenc_bytes()?;
        }
        matches!(flags, 0 | 0x80).then_some(ParameterType { code, unsigned: flags != 0 })
    }

    /// Whether both servers, and the manual, read values of this type alike.
    fn is_clear(self, dialect: Dialect) -> bool {
        match self.code {
            0..=5 | 7 | 8 | 10..=12 | 15 | 246 | 249..=254 => true,
            // VECTOR and JSON are MySQL's, and strings on the wire.
            242 | 245 => !dialect.mariadb,
            // ENUM and SET are MariaDB's.
            247 | 248 => dialect.mariadb,
            _ => false,
        }
    }

    /// Reads one value; `None` when its length or its type is not clear.
    pub(super) fn value<'b>(self, fields: &mut Fields<'b>, dialect: Dialect) -> Option<Value<'b>> {
        if !self.is_clear(dialect) {
            return None;
        }
        Some(match self.code {
            1 => {
                let [byte] = fields.array()?;
                Value::Integer(if self.unsigned { byte.into() } else { i8::from_le_bytes([byte]).into() })
            }
            2 => {
                let bytes = fields.array()?;
                Value::Integer(if self.unsigned {
                    u16::from_le_bytes(bytes).into()
                } else {
                    i16::from_le_bytes(bytes).into()
                })
            }
            3 => {
                let bytes = fields.array()?;
                Value::Integer(if self.unsigned {
                    u32::from_le_bytes(bytes).into()
                } else {
                    i32::from_le_bytes(bytes).into()
                })
            }
            8 => {
                let bytes = fields.array()?;
                Value::Integer(if self.unsigned {
                    u64::from_le_bytes(bytes).into()
                } else {
                    i64::from_le_bytes(bytes).into()
                })
            }
            4 => Value::Float(f32::from_le_bytes(fields.array()?).into()),
            5 => Value::Float(f64::from_le_bytes(fields.array()?)),
            7 | 10 | 12 => match fields.lenenc_bytes()? {
                [low, high, month, day] if self.code == 10 => {
                    Value::Date(u16::from_le_bytes([*low, *high]), *month, *day)
                }
                // MariaDB looks behind the end of what has another length.
                bytes => matches!(bytes.len(), 0 | 4 | 7 | 11).then_some(Value::Other)?,
            },
            11 => matches!(fields.lenenc_bytes()?.len(), 0 | 8 | 12).then_some(Value::Other)?,
            0 | 246 => {
                fields.lenenc_bytes()?;
                Value::Other
            }
            _ => Value::Bytes(fields.lenenc_bytes()?),
        })
    }
}

impl Value<'_> {
    /// The value in the form in which a row's is compared; `None` when it could be compared otherwise.
    fn canonical(self) -> Option<Box<[u8]>> {
        match self {
            Value::Integer(number) => Some(number.to_string().into_bytes().into()),
            // Drivers whose language knows no other numbers send whole ones like this.
            Value::Float(number) if number.fract() == 0.0 && number.abs() < EXACT_MAX => {
                // `-0` is `0`.
                Some(format!("{:.0}", number + 0.0).into_bytes().into())
            }
            Value::Date(year, month, day) => Some(format!("{year:04}-{month:02}-{day:02}").into_bytes().into()),
            Value::Bytes(bytes) => Some(bytes.into()),
            Value::Float(_) | Value::Other => None,
        }
    }
}

/// What a COM_STMT_EXECUTE binds.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Binding {
    /// By parameter, in canonical form; `None` for what is NULL or not certain. Shorter than the parameters when nobody
    /// wants them, when they are too large to keep, or from where they are not certain.
    values: Vec<Option<Box<[u8]>>>,
    /// As it was bound; empty when nobody wants it, or it is too large to keep.
    bound: Box<[u8]>,
    /// Whether that is all: nothing came in pieces, or was left out.
    is_complete: bool,
}

impl Values for Binding {
    fn canonical(&self, parameter: usize, out: &mut Vec<u8>) -> bool {
        let Some(Some(value)) = self.values.get(parameter) else { return false };
        out.extend_from_slice(value);
        true
    }

    fn put_all(&self, out: &mut Vec<u8>) -> bool {
        out.extend_from_slice(&self.bound);
        self.is_complete
    }
}

/// A statement, prepared or about to be.
#[derive(Debug)]
pub(super) struct Statement<S> {
    pub(super) tag: S,
    /// Its number at the server, once that has told.
    pub(super) id: Option<u32>,
    /// Parameters, known together with the number.
    parameters: usize,
    /// Types that were bound last.
    types: Option<Arc<[ParameterType]>>,
    long_data: LongData,
    /// Executions so far.
    executions: u64,
    /// What the cursor, if one is open, was opened with.
    pub(super) binding: Option<Arc<Binding>>,
    /// Columns of the open cursor.
    pub(super) cursor: Option<Arc<ResultShape>>,
}

/// Parameters whose value came in pieces, so that the binding does not hold it.
#[derive(Debug, Default)]
struct LongData {
    /// Since the last execution.
    parameters: BTreeSet<u16>,
    /// More of them than are remembered.
    many: bool,
    /// The latest execution that used pieces, until it or a later one has ended without an error: after one that failed
    /// the servers differ in what they keep.
    uncertain: Option<u64>,
}

impl LongData {
    fn is_certain(&self) -> bool {
        !self.many && self.uncertain.is_none()
    }
}

/// A binding as read, with what it changes when it is forwarded.
#[derive(Debug)]
pub(super) struct Bound {
    pub(super) binding: Option<Arc<Binding>>,
    types: Option<Arc<[ParameterType]>>,
}

impl Bound {
    /// Nothing is known of it.
    pub(super) fn unknown() -> Bound {
        Bound { binding: None, types: None }
    }
}

impl<S> Statement<S> {
    fn new(tag: S) -> Statement<S> {
        Statement {
            tag,
            id: None,
            parameters: 0,
            types: None,
            long_data: LongData::default(),
            executions: 0,
            binding: None,
            cursor: None,
        }
    }

    /// Reads the parameters of an execution, strictly.
    ///
    /// # Errors
    /// Lengths that the server could read otherwise.
    pub(super) fn bind(&self, execute: Execute<'_>, keep: bool, dialect: Dialect) -> Result<Bound, WireError> {
        let keep = keep && execute.parameters.len() <= VALUES_BYTES_MAX;
        self.parameters(execute, keep, dialect).ok_or(malformed("COM_STMT_EXECUTE with parameters that are not clear"))
    }

    fn parameters(&self, execute: Execute<'_>, keep: bool, dialect: Dialect) -> Option<Bound> {
        let nothing = Binding { is_complete: true, ..Binding::default() };
        let none = Bound { binding: Some(Arc::new(nothing)), types: None };
        let mut fields = Fields::new(execute.parameters);
        let counted = dialect.attributes && execute.flags & PARAMETER_COUNT_AVAILABLE != 0;
        if self.parameters == 0 && !counted {
            // Whatever follows, the server does not look at it.
            return Some(none);
        }
        let count = if dialect.attributes { usize::try_from(fields.lenenc()?).ok()? } else { self.parameters };
        if count < self.parameters {
            return None;
        }
        if count == 0 {
            return Some(none);
        }
        let nulls = fields.bytes(count.div_ceil(8))?;
        let types: Option<Arc<[ParameterType]>> = match fields.u8()? {
            0 => None,
            1 => {
                let mut types = Vec::with_capacity(count.min(fields.rest().len() / 2 + 1));
                for _ in 0..count {
                    types.push(ParameterType::read(&mut fields, dialect.attributes)?);
                }
                Some(types.into())
            }
            _ => return None,
        };
        let mut values = Vec::new();
        if let Some(known) = types.as_ref().or(self.types.as_ref())
            && known.len() >= count
            && self.long_data.is_certain()
        {
            for (index, kind) in known.iter().enumerate().take(count) {
                let in_pieces = u16::try_from(index).is_ok_and(|index| self.long_data.parameters.contains(&index));
                let value = if in_pieces || is_set(nulls, index) {
                    None
                } else if kind.is_clear(dialect) {
                    kind.value(&mut fields, dialect)?.canonical()
                } else {
                    break;
                };
                if keep && index < self.parameters {
                    values.push(value);
                }
            }
        }
        let in_pieces = self.long_data.many || !self.long_data.parameters.is_empty();
        let bound = if keep { execute.parameters.into() } else { Box::default() };
        let is_complete = keep && !in_pieces && self.long_data.is_certain();
        Some(Bound { binding: Some(Arc::new(Binding { values, bound, is_complete })), types })
    }

    /// The execution goes to the server: what it binds stays. Returns its number.
    pub(super) fn executes(&mut self, bound: Bound, cursor: bool) -> u64 {
        self.executions += 1;
        if bound.types.is_some() {
            self.types = bound.types;
        }
        if self.long_data.many || !self.long_data.parameters.is_empty() {
            self.long_data = LongData { uncertain: Some(self.executions), ..LongData::default() };
        }
        self.cursor = None;
        self.binding = bound.binding.filter(|_| cursor);
        self.executions
    }

    /// An execution that binds in a form of its own goes to the server. Returns its number.
    pub(super) fn executes_in_bulk(&mut self) -> u64 {
        let number = self.executes(Bound::unknown(), false);
        self.types = None;
        number
    }

    /// The execution of this number has ended without an error: pieces of values are gone for certain.
    pub(super) fn executed(&mut self, number: u64) {
        if self.long_data.uncertain.is_some_and(|uncertain| uncertain <= number) {
            self.long_data.uncertain = None;
        }
    }

    /// A piece of a value goes to the server. One for a parameter that does not exist makes the statement fail.
    pub(super) fn takes_piece(&mut self, parameter: u16) {
        if self.long_data.parameters.len() < PIECES_MAX {
            self.long_data.parameters.insert(parameter);
        } else {
            self.long_data.many |= !self.long_data.parameters.contains(&parameter);
        }
    }

    /// COM_STMT_RESET goes to the server.
    pub(super) fn resets(&mut self) {
        self.long_data = LongData::default();
        self.cursor = None;
        self.binding = None;
    }
}

/// What a statement's number means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Found {
    /// The statement that the engine numbers so.
    Known(u64),
    /// The last preparation was refused, and the server has not heard of it.
    Refused,
    /// Weir never saw its preparation, or the server has forgotten it.
    Unknown,
}

/// What was prepared last.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Last {
    Nothing,
    Refused,
    Statement(u64),
}

/// All statements of one session.
#[derive(Debug)]
pub(super) struct Statements<S> {
    known: HashMap<u64, Statement<S>>,
    by_id: HashMap<u32, u64>,
    next: u64,
    last: Last,
}

impl<S> Statements<S> {
    pub(super) fn new() -> Statements<S> {
        Statements { known: HashMap::new(), by_id: HashMap::new(), next: 0, last: Last::Nothing }
    }

    pub(super) fn len(&self) -> usize {
        self.known.len()
    }

    /// A preparation goes to the server.
    pub(super) fn learn(&mut self, tag: S) -> u64 {
        let serial = self.next;
        self.next += 1;
        self.known.insert(serial, Statement::new(tag));
        self.last = Last::Statement(serial);
        serial
    }

    /// A preparation was refused.
    pub(super) fn refuse(&mut self) {
        self.last = Last::Refused;
    }

    /// The server has prepared a statement.
    pub(super) fn prepared(&mut self, serial: u64, id: u32, parameters: u16) {
        let Some(statement) = self.known.get_mut(&serial) else { return };
        statement.id = Some(id);
        statement.parameters = parameters.into();
        if let Some(before) = self.by_id.insert(id, serial).filter(|before| *before != serial) {
            self.known.remove(&before);
        }
    }

    pub(super) fn find(&self, id: u32, dialect: Dialect) -> Found {
        if dialect.mariadb && id == LAST {
            return match self.last {
                Last::Statement(serial) if self.known.contains_key(&serial) => Found::Known(serial),
                Last::Refused => Found::Refused,
                Last::Statement(_) | Last::Nothing => Found::Unknown,
            };
        }
        self.by_id.get(&id).map_or(Found::Unknown, |serial| Found::Known(*serial))
    }

    pub(super) fn get(&self, serial: u64) -> Option<&Statement<S>> {
        self.known.get(&serial)
    }

    pub(super) fn get_mut(&mut self, serial: u64) -> Option<&mut Statement<S>> {
        self.known.get_mut(&serial)
    }

    /// The client has closed the statement, or the server could not prepare it.
    pub(super) fn close(&mut self, serial: u64) {
        if let Some(id) = self.known.remove(&serial).and_then(|statement| statement.id) {
            self.by_id.remove(&id);
        }
        if self.last == Last::Statement(serial) {
            self.last = Last::Nothing;
        }
    }

    /// The server forgets all of them, or Weir does.
    pub(super) fn clear(&mut self) {
        self.known.clear();
        self.by_id.clear();
        self.last = Last::Nothing;
    }
}
