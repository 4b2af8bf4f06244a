//! From bytes to JSON, by a schema.

use dohle_base::{Uuid, text_lossy};

use super::{Json, cursor::Cursor};
use crate::{FieldSchema, MAX_STRING, Schema, Versions};

/// The most values that one message is shown with. A message of damaged bytes may have an empty
/// value for each byte, and values are larger than that.
pub const VALUES_MAX: usize = 1 << 22;

/// Why bytes cannot be shown as the message that they should be. The words are Kafka's, which end
/// up in what its tools print.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum JsonError {
    /// The bytes end within a value of fixed size.
    #[error("data ends too early")]
    Ends,
    /// A text or bytes that reach beyond the end.
    #[error("Error reading byte array of {size} byte(s): only {remaining} byte(s) available")]
    TooLong {
        /// How long they claim to be.
        size: usize,
        /// What is left.
        remaining: usize,
    },
    /// Null where the version has none.
    #[error("non-nullable field {}{} was serialized as null", camel(field), of_element(*element))]
    Null {
        /// Kafka's name of the field.
        field: &'static str,
        /// Whether it is an element of the field's array.
        element: bool,
    },
    /// A text longer than any.
    #[error("string field {}{} had invalid length {size}", camel(field), of_element(*element))]
    StringTooLong {
        /// Kafka's name of the field.
        field: &'static str,
        /// Whether it is an element of the field's array.
        element: bool,
        /// How long it claims to be.
        size: usize,
    },
    /// An array of more elements than bytes are left.
    #[error(
        "Tried to allocate a collection of size {count}, but there are only {remaining} bytes remaining."
    )]
    TooMany {
        /// How many it claims to have.
        count: usize,
        /// What is left.
        remaining: usize,
    },
    /// A number of variable length that does not end.
    #[error("Varint is too long, the most significant bit in the 5th byte is set")]
    OverlongVarint,
    /// A tagged field that the version does not have.
    #[error("Tag {tag} is not valid for version {version}")]
    BadTag {
        /// The tag.
        tag: u32,
        /// The version.
        version: i16,
    },
    /// More tagged fields than bytes are left.
    #[error("Tried to read {count} tagged fields, but there are only {remaining} bytes remaining.")]
    TooManyTags {
        /// How many there should be.
        count: usize,
        /// What is left.
        remaining: usize,
    },
    /// More values than are shown.
    #[error("more than {VALUES_MAX} values")]
    TooManyValues,
}

fn camel(name: &str) -> String {
    let mut letters = name.chars();
    let first = letters.next().map(|letter| letter.to_ascii_lowercase());
    first.into_iter().chain(letters).collect()
}

fn of_element(is_element: bool) -> &'static str {
    if is_element { " element" } else { "" }
}

/// The message at the start of `bytes`, and how many bytes are left behind it.
///
/// The version need not exist: fields are there by their own versions.
///
/// # Errors
/// Bytes that no version of the message can be.
pub fn read(schema: &Schema, bytes: &[u8], version: i16) -> Result<(Json, usize), JsonError> {
    let is_flexible = schema.flexible.is_some_and(|flexible| contains(flexible, version));
    let mut reading =
        Reading { cursor: Cursor::new(bytes), version, is_flexible, values_left: VALUES_MAX };
    let json = reading.structure(schema.fields)?;
    Ok((json, reading.cursor.remaining()))
}

struct Reading<'a> {
    cursor: Cursor<'a>,
    version: i16,
    is_flexible: bool,
    values_left: usize,
}

impl Reading<'_> {
    fn structure(&mut self, fields: &'static [FieldSchema]) -> Result<Json, JsonError> {
        let mut values: Vec<Option<Json>> = Vec::with_capacity(fields.len());
        for field in fields {
            let is_here = field.tag.is_none() && contains(field.versions, self.version);
            values.push(if is_here { Some(self.field(field)?) } else { None });
        }
        if self.is_flexible {
            self.tagged(fields, &mut values)?;
        }
        let named = fields.iter().map(|field| field.name).zip(values);
        Ok(Json::Object(named.filter_map(|(name, value)| Some((name, value?))).collect()))
    }

    fn tagged(
        &mut self,
        fields: &'static [FieldSchema],
        values: &mut [Option<Json>],
    ) -> Result<(), JsonError> {
        // A count above 2³¹ is negative to Kafka, which then reads none.
        let count = self.cursor.unsigned_varint()?.cast_signed();
        let remaining = self.cursor.remaining();
        if let Ok(count) = usize::try_from(count)
            && count > remaining
        {
            return Err(JsonError::TooManyTags { count, remaining });
        }
        for _ in 0..count {
            let (tag, size) = (self.cursor.unsigned_varint()?, self.cursor.unsigned_varint()?);
            let known = fields.iter().zip(&mut *values).find(|(field, _)| field.tag == Some(tag));
            match known {
                None => drop(self.cursor.bytes(size as usize)?),
                Some((field, _)) if !contains(field.versions, self.version) => {
                    return Err(JsonError::BadTag { tag, version: self.version });
                }
                Some((field, slot)) => {
                    let value = self.field(field)?;
                    *slot = (value != self.default(field)).then_some(value);
                }
            }
        }
        Ok(())
    }

    fn field(&mut self, field: &'static FieldSchema) -> Result<Json, JsonError> {
        let compact = self.is_flexible && !field.plain;
        let nullable = field.nullable.is_some_and(|nullable| contains(nullable, self.version));
        if let Some(element) = field.type_name.strip_prefix("[]") {
            let Some(count) = self.length(compact, 4)? else {
                return or_null(nullable, field, false);
            };
            let remaining = self.cursor.remaining();
            if count > remaining {
                return Err(JsonError::TooMany { count, remaining });
            }
            let elements = (0..count).map(|_| self.one(field, element, compact, false, true));
            return elements.collect::<Result<_, _>>().map(Json::Array);
        }
        self.one(field, field.type_name, compact, nullable, false)
    }

    fn one(
        &mut self,
        field: &'static FieldSchema,
        type_name: &str,
        compact: bool,
        nullable: bool,
        element: bool,
    ) -> Result<Json, JsonError> {
        self.values_left = self.values_left.checked_sub(1).ok_or(JsonError::TooManyValues)?;
        Ok(match type_name {
            "bool" => Json::Bool(self.cursor.fixed()? != [0]),
            "int8" => Json::Number(i8::from_be_bytes(self.cursor.fixed()?).into()),
            "int16" => Json::Number(i16::from_be_bytes(self.cursor.fixed()?).into()),
            "int32" => Json::Number(i32::from_be_bytes(self.cursor.fixed()?).into()),
            "int64" => Json::Number(i64::from_be_bytes(self.cursor.fixed()?)),
            "uint16" => Json::Number(u16::from_be_bytes(self.cursor.fixed()?).into()),
            "uint32" => Json::Number(u32::from_be_bytes(self.cursor.fixed()?).into()),
            "float64" => Json::Real(f64::from_be_bytes(self.cursor.fixed()?)),
            "uuid" => Json::Text(Uuid::from_bytes(self.cursor.fixed()?).to_string()),
            "string" => match self.length(compact, 2)? {
                None => return or_null(nullable, field, element),
                Some(size) if size > MAX_STRING => {
                    return Err(JsonError::StringTooLong { field: field.name, element, size });
                }
                Some(size) => Json::Text(text_lossy(self.cursor.bytes(size)?).into_owned()),
            },
            "bytes" | "records" => match self.length(compact, 4)? {
                None => return or_null(nullable, field, element),
                Some(size) => Json::Bytes(self.cursor.bytes(size)?.to_vec()),
            },
            _ if nullable && self.is_null_structure(field)? => Json::Null,
            _ => self.structure(field.fields)?,
        })
    }

    fn is_null_structure(&mut self, field: &FieldSchema) -> Result<bool, JsonError> {
        Ok(match field.tag {
            Some(_) => self.cursor.unsigned_varint()?.cast_signed() <= 0,
            None => i8::from_be_bytes(self.cursor.fixed()?) < 0,
        })
    }

    /// A length; `None` if it is negative, which Kafka takes for null, whatever the number.
    fn length(&mut self, compact: bool, size: usize) -> Result<Option<usize>, JsonError> {
        let length = match size {
            _ if compact => self.cursor.unsigned_varint()?.cast_signed().wrapping_sub(1),
            2 => i16::from_be_bytes(self.cursor.fixed()?).into(),
            _ => i32::from_be_bytes(self.cursor.fixed()?),
        };
        Ok(usize::try_from(length).ok())
    }

    fn default(&self, field: &FieldSchema) -> Json {
        if field.default == Some("null") {
            return Json::Null;
        }
        let number = || field.default.and_then(integer).unwrap_or_default();
        match field.type_name {
            array if array.starts_with("[]") => Json::Array(Vec::new()),
            "bool" => Json::Bool(field.default == Some("true")),
            "int8" | "int16" | "int32" | "int64" | "uint16" | "uint32" => Json::Number(number()),
            "float64" => Json::Real(0.0),
            "uuid" => Json::Text(Uuid::ZERO.to_string()),
            "string" => Json::Text(field.default.unwrap_or_default().to_owned()),
            "bytes" | "records" => Json::Bytes(Vec::new()),
            _ => {
                let inner = field.fields.iter();
                let untagged = inner
                    .filter(|field| field.tag.is_none() && contains(field.versions, self.version));
                Json::Object(untagged.map(|field| (field.name, self.default(field))).collect())
            }
        }
    }
}

fn or_null(
    nullable: bool,
    FieldSchema { name: field, .. }: &FieldSchema,
    element: bool,
) -> Result<Json, JsonError> {
    if nullable { Ok(Json::Null) } else { Err(JsonError::Null { field, element }) }
}

fn contains(versions: Versions, version: i16) -> bool {
    (versions.first..=versions.last).contains(&version)
}

fn integer(text: &str) -> Option<i64> {
    match text.strip_prefix("0x") {
        Some(digits) => i64::from_str_radix(digits, 16).ok(),
        None => text.parse().ok(),
    }
}
