//! What is known about one configuration key: its type, default, range, importance, how it may be
//! changed, and one sentence of documentation.
//!
//! A key is a value in a `const` table under [`crate::keys`]; everything else in this crate
//! (parsing, validation, DescribeConfigs, the reference page) is derived from it. The `keys!`
//! macro writes a key in two lines:
//!
//! ```text
//! /// How many partitions a topic gets whose creator gives no number.
//! "num.partitions": Int = 1, at_least(1), used;
//! ```
//!
//! After the default come, in any order, the names of the builder methods below. Without them a
//! key is of medium importance, takes any value of its type, is described to clients, and is
//! accepted without having an effect yet.

use std::fmt;

use crate::valid::Valid;
use crate::value::Value;

/// The types of Kafka's configuration values.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// `true` or `false`, in any case.
    Boolean,
    /// Text, without the blanks around it.
    String,
    /// A 32-bit integer.
    Int,
    /// A 16-bit integer.
    Short,
    /// A 64-bit integer.
    Long,
    /// A double-precision number.
    Double,
    /// Texts separated by commas.
    List,
    /// The name of a Java class.
    Class,
    /// Text that is never shown.
    Password,
}

impl Kind {
    /// The name in Kafka's tables, such as `INT`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Boolean => "BOOLEAN",
            Self::String => "STRING",
            Self::Int => "INT",
            Self::Short => "SHORT",
            Self::Long => "LONG",
            Self::Double => "DOUBLE",
            Self::List => "LIST",
            Self::Class => "CLASS",
            Self::Password => "PASSWORD",
        }
    }

    /// The number in a DescribeConfigs response; 0 is an unknown type. Source: Kafka 4.4.0.
    pub fn code(self) -> i8 {
        match self {
            Self::Boolean => 1,
            Self::String => 2,
            Self::Int => 3,
            Self::Short => 4,
            Self::Long => 5,
            Self::Double => 6,
            Self::List => 7,
            Self::Class => 8,
            Self::Password => 9,
        }
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// What a key is worth when nobody sets it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum DefaultValue {
    /// Nothing: somebody must set it.
    Required,
    /// Null, which means that the key is absent.
    Null,
    /// A [`Kind::Boolean`].
    Boolean(bool),
    /// A [`Kind::String`].
    String(&'static str),
    /// A [`Kind::Int`].
    Int(i32),
    /// A [`Kind::Short`].
    Short(i16),
    /// A [`Kind::Long`].
    Long(i64),
    /// A [`Kind::Double`].
    Double(f64),
    /// A [`Kind::List`], as it is written.
    List(&'static str),
    /// A [`Kind::Class`].
    Class(&'static str),
}

impl DefaultValue {
    /// The value, or none for null and for a key without default.
    pub fn value(self) -> Option<Value> {
        match self {
            Self::Required | Self::Null => None,
            Self::Boolean(b) => Some(Value::Boolean(b)),
            Self::String(s) | Self::Class(s) => Some(Value::Text(s.into())),
            Self::Int(i) => Some(Value::Integer(i.into())),
            Self::Short(i) => Some(Value::Integer(i.into())),
            Self::Long(i) => Some(Value::Integer(i)),
            Self::Double(d) => Some(Value::Double(d)),
            Self::List(s) => Some(Value::list(s)),
        }
    }
}

/// How much an operator should care, in Kafka's words.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[allow(missing_docs)]
pub enum Importance {
    High,
    Medium,
    Low,
}

impl Importance {
    /// The name in Kafka's tables, such as `HIGH`.
    pub fn name(self) -> &'static str {
        match self {
            Self::High => "HIGH",
            Self::Medium => "MEDIUM",
            Self::Low => "LOW",
        }
    }
}

/// Where a key can be set besides the file that a node starts from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scope {
    /// A broker key that only the file can set.
    ReadOnly,
    /// A broker key that can be changed while running, for one broker at a time.
    PerBroker,
    /// A broker key that can be changed while running, for one broker or for all.
    ClusterWide,
    /// Not a broker key: it is set on its topic, group, subscription or quota entity.
    Resource,
}

impl Scope {
    /// The name in Kafka's documentation, such as `per-broker`.
    pub fn name(self) -> &'static str {
        match self {
            Self::ReadOnly => "read-only",
            Self::PerBroker => "per-broker",
            Self::ClusterWide => "cluster-wide",
            Self::Resource => "resource",
        }
    }
}

/// Whether DescribeConfigs lists a key that nobody set.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Visibility {
    /// Listed.
    Described,
    /// Accepted, but listed only if it is set.
    Internal,
    /// A broker key that has no meaning in the file; listed only if it is set.
    DynamicOnly,
    /// A key that Kafka does not have; listed only if it is set or asked for by name.
    Own,
}

/// Whether Dohle acts on a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Effect {
    /// It does what its documentation says.
    Used,
    /// It is read, checked and described, and nothing depends on it yet.
    Accepted,
}

/// A broker key that stands in for another key, and what its number must be multiplied with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Synonym {
    /// The broker key.
    pub name: &'static str,
    /// 1, or the milliseconds in its unit.
    pub factor: i64,
}

/// A synonym in the same unit.
pub(crate) const fn same(name: &'static str) -> Synonym {
    Synonym { name, factor: 1 }
}

/// A synonym in minutes for a key in milliseconds.
pub(crate) const fn minutes(name: &'static str) -> Synonym {
    Synonym { name, factor: 60_000 }
}

/// A synonym in hours for a key in milliseconds.
pub(crate) const fn hours(name: &'static str) -> Synonym {
    Synonym { name, factor: 3_600_000 }
}

/// One configuration key.
#[derive(Clone, Copy, Debug)]
pub struct ConfigKey {
    /// The name, such as `num.partitions`.
    pub name: &'static str,
    /// The type of its values.
    pub kind: Kind,
    /// What it is worth when nobody sets it.
    pub default: DefaultValue,
    /// Which values of its type are allowed.
    pub valid: Valid,
    /// How much an operator should care.
    pub importance: Importance,
    /// Where it can be set.
    pub scope: Scope,
    /// Whether it is described when nobody set it.
    pub visibility: Visibility,
    /// Broker keys that give the value when the key itself is not set, the strongest first. For a
    /// broker key: the family of keys in other units that it belongs to, itself among them.
    pub synonyms: &'static [Synonym],
    /// Whether Dohle acts on it.
    pub effect: Effect,
    doc: &'static str,
}

impl ConfigKey {
    pub(crate) const fn new(
        name: &'static str,
        kind: Kind,
        default: DefaultValue,
        scope: Scope,
        doc: &'static str,
    ) -> Self {
        Self {
            name,
            kind,
            default,
            valid: Valid::Any,
            importance: Importance::Medium,
            scope,
            visibility: Visibility::Described,
            synonyms: &[],
            effect: Effect::Accepted,
            doc,
        }
    }

    /// One sentence that says what the key does.
    pub fn doc(&self) -> &'static str {
        self.doc.trim_start()
    }

    /// Whether its value is never shown.
    pub fn is_sensitive(&self) -> bool {
        self.kind == Kind::Password
    }

    /// Whether DescribeConfigs lists it even if nobody set it.
    pub fn is_described(&self) -> bool {
        self.visibility == Visibility::Described
    }

    /// Whether Kafka does not have it.
    pub fn is_own(&self) -> bool {
        self.visibility == Visibility::Own
    }

    /// Whether it can be changed while the broker runs.
    pub fn is_dynamic(&self) -> bool {
        matches!(self.scope, Scope::PerBroker | Scope::ClusterWide)
    }
}

/// The builder methods, under the names that the tables use.
impl ConfigKey {
    pub(crate) const fn required(self) -> Self {
        Self { default: DefaultValue::Required, ..self }
    }

    pub(crate) const fn high(self) -> Self {
        Self { importance: Importance::High, ..self }
    }

    pub(crate) const fn low(self) -> Self {
        Self { importance: Importance::Low, ..self }
    }

    pub(crate) const fn per_broker(self) -> Self {
        Self { scope: Scope::PerBroker, ..self }
    }

    pub(crate) const fn cluster_wide(self) -> Self {
        Self { scope: Scope::ClusterWide, ..self }
    }

    pub(crate) const fn internal(self) -> Self {
        Self { visibility: Visibility::Internal, ..self }
    }

    pub(crate) const fn dynamic_only(self) -> Self {
        Self { visibility: Visibility::DynamicOnly, ..self }
    }

    pub(crate) const fn own(self) -> Self {
        Self { visibility: Visibility::Own, ..self }
    }

    pub(crate) const fn used(self) -> Self {
        Self { effect: Effect::Used, ..self }
    }

    pub(crate) const fn synonyms(self, synonyms: &'static [Synonym]) -> Self {
        Self { synonyms, ..self }
    }

    pub(crate) const fn at_least(self, min: i64) -> Self {
        Self { valid: Valid::AtLeast(min), ..self }
    }

    pub(crate) const fn between(self, min: i64, max: i64) -> Self {
        Self { valid: Valid::Between(min, max), ..self }
    }

    pub(crate) const fn between_or(self, min: i64, max: i64, or: i64) -> Self {
        Self { valid: Valid::BetweenOr(min, max, or), ..self }
    }

    pub(crate) const fn share(self, min: f64, max: f64) -> Self {
        Self { valid: Valid::Share(min, max), ..self }
    }

    pub(crate) const fn one_of(self, names: &'static [&'static str]) -> Self {
        Self { valid: Valid::OneOf(names), ..self }
    }

    pub(crate) const fn one_of_any_case(self, names: &'static [&'static str]) -> Self {
        Self { valid: Valid::OneOfAnyCase(names), ..self }
    }

    pub(crate) const fn non_null(self) -> Self {
        Self { valid: Valid::NonNull, ..self }
    }

    pub(crate) const fn non_empty(self) -> Self {
        Self { valid: Valid::NonEmpty, ..self }
    }

    pub(crate) const fn any_list(self) -> Self {
        Self { valid: Valid::List { of: &[], empty: true, null: false }, ..self }
    }

    pub(crate) const fn any_list_or_null(self) -> Self {
        Self { valid: Valid::List { of: &[], empty: true, null: true }, ..self }
    }

    pub(crate) const fn non_empty_list(self) -> Self {
        Self { valid: Valid::List { of: &[], empty: false, null: false }, ..self }
    }

    pub(crate) const fn non_empty_list_or_null(self) -> Self {
        Self { valid: Valid::List { of: &[], empty: false, null: true }, ..self }
    }

    pub(crate) const fn list_of(self, of: &'static [&'static str]) -> Self {
        Self { valid: Valid::List { of, empty: true, null: false }, ..self }
    }

    pub(crate) const fn non_empty_list_of(self, of: &'static [&'static str]) -> Self {
        Self { valid: Valid::List { of, empty: false, null: false }, ..self }
    }

    pub(crate) const fn addresses(self) -> Self {
        Self { valid: Valid::Addresses, ..self }
    }

    pub(crate) const fn voters(self) -> Self {
        Self { valid: Valid::Voters, ..self }
    }

    pub(crate) const fn throttled_replicas(self) -> Self {
        Self { valid: Valid::ThrottledReplicas, ..self }
    }

    pub(crate) const fn share_group_start(self) -> Self {
        Self { valid: Valid::ShareGroupStart, ..self }
    }
}

/// A table of keys. The first line gives the scope of keys that name none.
macro_rules! keys {
    (
        scope: $scope:ident;
        $(
            $(#[doc = $doc:literal])+
            $name:literal: $kind:ident $(= $default:expr)? $(, $part:ident $(($($arg:expr),*))?)*;
        )*
    ) => {
        &[$(
            $crate::key::ConfigKey::new(
                $name,
                $crate::key::Kind::$kind,
                $crate::key::keys!(@default $kind $($default)?),
                $crate::key::Scope::$scope,
                concat!($($doc),+),
            )
            $(.$part($($($arg),*)?))*,
        )*]
    };
    (@default $kind:ident) => { $crate::key::DefaultValue::Null };
    (@default $kind:ident $default:expr) => { $crate::key::DefaultValue::$kind($default) };
}

pub(crate) use keys;
