//! The types of a schema.

use serde_json::Value;

/// The type of one value.
#[derive(Clone, Copy, Debug)]
pub enum Type {
    String,
    Bool,
    Int32,
    Int64,
    /// Bytes, in base64.
    Bytes,
    /// RFC 3339, to the second.
    Time,
    /// RFC 3339, with exactly six digits after the second.
    MicroTime,
    /// A set of field paths, which may be any JSON.
    Fields,
    Struct(&'static Struct),
    /// A map from strings.
    Map(&'static Type),
    List(&'static Type, Merge),
}

/// A JSON object with known fields.
#[derive(Debug)]
pub struct Struct {
    /// Its Go type, for messages.
    pub go: &'static str,
    /// Whether it is owned as a whole, not field by field.
    pub atomic: bool,
    /// The fields, in the order in which they are shown.
    pub fields: &'static [Field],
}

/// A field of a [`Struct`].
#[derive(Debug)]
pub struct Field {
    /// Its number in protobuf.
    pub number: u64,
    pub name: &'static str,
    pub of: Type,
    pub zero: Zero,
}

/// What happens to a zero value: an empty string, 0, `false`, or nothing at all.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Zero {
    /// It is dropped.
    Dropped,
    /// It is kept if it was present: in Go it is a pointer.
    Kept,
    /// It is always present.
    Shown,
}

/// How lists merge.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Merge {
    /// As a whole.
    Atomic,
    /// As a set of scalars.
    Set,
    /// Item by item. This field identifies an item.
    By(&'static str),
}

impl Struct {
    /// The field of that name.
    pub fn field(&self, name: &str) -> Option<&'static Field> {
        self.fields.iter().find(|field| field.name == name)
    }
}

impl Type {
    /// Whether it is owned as a whole.
    pub fn is_leaf(self) -> bool {
        match self {
            Self::Struct(of) => of.atomic,
            Self::Map(_) => false,
            Self::List(_, merge) => merge == Merge::Atomic,
            _ => true,
        }
    }

    /// The type of a member of a JSON object of this type.
    pub fn member(self, name: &str) -> Option<Self> {
        match self {
            Self::Struct(of) => of.field(name).map(|field| field.of),
            Self::Map(of) => Some(*of),
            _ => None,
        }
    }

    /// Its name in Go, for messages.
    pub fn go(self) -> String {
        match self {
            Self::String => "string".to_owned(),
            Self::Bool => "bool".to_owned(),
            Self::Int32 => "int32".to_owned(),
            Self::Int64 => "int64".to_owned(),
            Self::Bytes => "[]uint8".to_owned(),
            Self::Time => "v1.Time".to_owned(),
            Self::MicroTime => "v1.MicroTime".to_owned(),
            Self::Fields => "v1.FieldsV1".to_owned(),
            Self::Struct(of) => format!("v1.{}", of.go),
            Self::Map(of) => format!("map[string]{}", of.go()),
            Self::List(of, _) => format!("[]{}", of.go()),
        }
    }

    /// The value of a field that is always shown, when it is absent.
    pub fn zero(self) -> Value {
        match self {
            Self::String => Value::String(String::new()),
            Self::Int32 | Self::Int64 => 0.into(),
            Self::Struct(of) => of.zero(),
            _ => Value::Null,
        }
    }
}

impl Struct {
    /// An object in which nothing is set.
    pub fn zero(&self) -> Value {
        let shown = self.fields.iter().filter(|field| field.zero == Zero::Shown);
        Value::Object(shown.map(|field| (field.name.to_owned(), field.of.zero())).collect())
    }
}
