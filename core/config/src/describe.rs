//! DescribeConfigs: every key of a resource with its value, where that comes from, and what would
//! count if it were not set there.
//!
//! Values are shown as the parsed value reads (` TRUE ` is `true`), synonyms as they were written,
//! both as Kafka does. So is one oddity: `segment.ms`, `segment.jitter.ms`, `retention.ms` and
//! `flush.ms` of a topic show a value that comes from `log.roll.hours` and the like as a default,
//! because their list of synonyms begins where the strongest key is set.

use dohle_base::Str;

use crate::check::parse_checked;
use crate::error::ConfigError;
use crate::key::{ConfigKey, Kind, Visibility};
use crate::keys::{BROKER, CLIENT_METRICS, GROUP, TOPIC, broker_key, listener_override};
use crate::settings::{NodeSettings, Origin, Settings};
use crate::topic::TopicValues;
use crate::value::Value;

/// Which layer a value comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ConfigSource {
    /// Set for the topic.
    Topic,
    /// Set for this broker while running.
    DynamicBroker,
    /// Set for all brokers while running.
    DynamicDefaultBroker,
    /// Set in the file.
    StaticBroker,
    /// Nobody set it.
    Default,
    /// The level of a logger.
    DynamicBrokerLogger,
    /// Set for the subscription.
    ClientMetrics,
    /// Set for the group.
    Group,
}

impl ConfigSource {
    /// The number in a response. Source: Kafka 4.4.0.
    pub fn code(self) -> i8 {
        match self {
            Self::Topic => 1,
            Self::DynamicBroker => 2,
            Self::DynamicDefaultBroker => 3,
            Self::StaticBroker => 4,
            Self::Default => 5,
            Self::DynamicBrokerLogger => 6,
            Self::ClientMetrics => 7,
            Self::Group => 8,
        }
    }

    /// The name that clients show, such as `DEFAULT_CONFIG`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Topic => "DYNAMIC_TOPIC_CONFIG",
            Self::DynamicBroker => "DYNAMIC_BROKER_CONFIG",
            Self::DynamicDefaultBroker => "DYNAMIC_DEFAULT_BROKER_CONFIG",
            Self::StaticBroker => "STATIC_BROKER_CONFIG",
            Self::Default => "DEFAULT_CONFIG",
            Self::DynamicBrokerLogger => "DYNAMIC_BROKER_LOGGER_CONFIG",
            Self::ClientMetrics => "DYNAMIC_CLIENT_METRICS_CONFIG",
            Self::Group => "DYNAMIC_GROUP_CONFIG",
        }
    }
}

/// One key of a resource.
#[derive(Clone, Debug, PartialEq)]
pub struct Described {
    /// The key.
    pub name: Str,
    /// Its value; none for null and for secrets.
    pub value: Option<Str>,
    /// Where the value comes from.
    pub source: ConfigSource,
    /// Whether it cannot be changed while the broker runs.
    pub read_only: bool,
    /// Whether the value is a secret.
    pub sensitive: bool,
    /// The type; none for a key that is not known.
    pub kind: Option<Kind>,
    /// The settings that count for this key, the strongest first.
    pub synonyms: Vec<SynonymValue>,
    /// What the key does; none for a key that is not known.
    pub doc: Option<&'static str>,
}

impl Described {
    /// The number of the type in a response.
    pub fn kind_code(&self) -> i8 {
        self.kind.map_or(0, Kind::code)
    }
}

/// A setting that counts for a key, under its own name.
#[derive(Clone, Debug, PartialEq)]
pub struct SynonymValue {
    /// The name.
    pub name: Str,
    /// The text as written; none for secrets.
    pub value: Option<Str>,
    /// The layer.
    pub source: ConfigSource,
}

impl NodeSettings {
    /// This broker: every key that is described, everything else that is set, and those of our own
    /// that are asked for.
    pub fn describe_broker(&self, asked: &[Str]) -> Vec<Described> {
        let known = self.iter().filter(|(key, _)| is_shown(key, asked));
        let known = known.map(|(key, resolved)| {
            let text = resolved.value.as_ref().map(Value::to_text);
            self.describe_broker_key(key.name, text)
        });
        let is_listed = |name: &str| BROKER.get(name).is_some_and(|key| is_shown(key, asked));
        let others = self
            .set()
            .filter(|(name, _, _)| !is_listed(name))
            .map(|(name, text, _)| self.describe_broker_key(name, Some(text.into())));
        known.chain(others).collect()
    }

    /// The defaults of all brokers: only what is set for them while running.
    pub fn describe_all_brokers(&self) -> Vec<Described> {
        let describe = |(name, text): (&Str, &Str)| {
            let mut described = self.describe_broker_key(name, Some(text.clone()));
            described.synonyms.retain(|s| s.source == ConfigSource::DynamicDefaultBroker);
            described.source = source_of(&described.synonyms);
            described
        };
        self.all_brokers().iter().map(describe).collect()
    }

    fn describe_broker_key(&self, name: &str, text: Option<Str>) -> Described {
        let key = broker_key(name);
        // What is not known may be a secret of a plugin.
        let sensitive = key.is_none_or(ConfigKey::is_sensitive);
        let synonyms = self.synonyms(name, sensitive);
        Described {
            name: name.into(),
            value: text.filter(|_| !sensitive),
            source: source_of(&synonyms),
            read_only: !BROKER.get(name).is_some_and(ConfigKey::is_dynamic),
            sensitive,
            kind: key.map(|key| key.kind),
            synonyms,
            doc: BROKER.get(name).map(ConfigKey::doc),
        }
    }

    /// A topic with these settings of its own, and those keys of our own that are asked for.
    ///
    /// # Errors
    /// A setting that this version does not understand.
    pub fn describe_topic(
        &self,
        topic: &Settings,
        asked: &[Str],
    ) -> Result<Vec<Described>, ConfigError> {
        let values = TopicValues::resolve(self, topic)?;
        let is_listed = |key: &&ConfigKey| is_shown(key, asked) || topic.contains_key(key.name);
        let listed = TOPIC.iter().filter(is_listed);
        let describe = |key: &'static ConfigKey| {
            let inherited = key
                .synonyms
                .first()
                .map_or_else(Vec::new, |synonym| self.synonyms(synonym.name, key.is_sensitive()));
            let value = values.get(key.name).map(Value::to_text);
            let own = topic.contains_key(key.name).then_some(ConfigSource::Topic);
            describe_own(key, value, own, inherited)
        };
        Ok(listed.map(describe).collect())
    }

    /// A topic as the answer to its creation shows it: values and sources, without synonyms. Unlike
    /// [`NodeSettings::describe_topic`] a value from `log.roll.hours` and the like has its layer as
    /// source.
    ///
    /// # Errors
    /// A setting that this version does not understand.
    pub fn describe_created_topic(&self, topic: &Settings) -> Result<Vec<Described>, ConfigError> {
        let mut described = self.describe_topic(topic, &[])?;
        for key in &mut described {
            key.synonyms = Vec::new();
            let synonyms = TOPIC.get(&key.name).map_or(&[][..], |known| known.synonyms);
            let origin = synonyms
                .iter()
                .filter_map(|synonym| self.get(synonym.name))
                .find(|resolved| resolved.value.is_some())
                .map_or(Origin::Default, |resolved| resolved.origin);
            if !topic.contains_key(&key.name) {
                key.source = match origin {
                    Origin::Default => ConfigSource::Default,
                    Origin::File(_) => ConfigSource::StaticBroker,
                    Origin::AllBrokers => ConfigSource::DynamicDefaultBroker,
                    Origin::ThisBroker => ConfigSource::DynamicBroker,
                };
            }
        }
        Ok(described)
    }

    /// A group with these settings of its own.
    ///
    /// # Errors
    /// A setting that this version does not understand.
    pub fn describe_group(&self, group: &Settings) -> Result<Vec<Described>, ConfigError> {
        let is_listed = |key: &&ConfigKey| {
            let is_set_on_broker = || key.synonyms.iter().any(|s| self.is_set(s.name));
            key.is_described() || group.contains_key(key.name) || is_set_on_broker()
        };
        let describe = |key: &'static ConfigKey| {
            let value = match group.get(key.name) {
                Some(text) => Some(parse_checked(key, text)?.to_text()),
                None => self.group_default(key),
            };
            let inherited = match key.synonyms.first() {
                Some(synonym) => self.synonyms(synonym.name, key.is_sensitive()),
                None => key.default.value().map(|v| v.to_text()).map_or_else(Vec::new, |text| {
                    vec![SynonymValue {
                        name: key.name.into(),
                        value: Some(text),
                        source: ConfigSource::Default,
                    }]
                }),
            };
            let own = group.contains_key(key.name).then_some(ConfigSource::Group);
            Ok(describe_own(key, value, own, inherited))
        };
        GROUP.iter().filter(is_listed).map(describe).collect()
    }

    /// What a group inherits. The broker lists assignors; of these a group uses the first.
    fn group_default(&self, key: &ConfigKey) -> Option<Str> {
        let Some(synonym) = key.synonyms.first() else {
            return key.default.value().map(|value| value.to_text());
        };
        match (key.kind, self.get(synonym.name).and_then(|r| r.value.as_ref())) {
            (Kind::String, Some(Value::List(items))) => items.first().cloned(),
            (_, value) => value.map(Value::to_text),
        }
    }

    /// The settings that count for a broker key, from the strongest layer to the weakest, and
    /// within a layer in the order of the key's family. The list begins with the key itself.
    fn synonyms(&self, name: &str, sensitive: bool) -> Vec<SynonymValue> {
        let names = family(name);
        let mut synonyms = Vec::new();
        let mut add = |name: &str, text: Option<&str>, source| {
            if let Some(text) = text {
                let value = if sensitive { None } else { Some(text.into()) };
                synonyms.push(SynonymValue { name: name.into(), value, source });
            }
        };
        let layers = [
            ConfigSource::DynamicBroker,
            ConfigSource::DynamicDefaultBroker,
            ConfigSource::StaticBroker,
        ];
        for (layer, source) in layers.into_iter().enumerate() {
            for name in &names {
                add(name, self.layered(name)[layer], source);
            }
        }
        for name in &names {
            let key = BROKER.get(name).filter(|key| key.visibility != Visibility::DynamicOnly);
            let default = key.and_then(|key| key.default.value()).map(|value| value.to_text());
            add(name, default.as_deref(), ConfigSource::Default);
        }
        let start = synonyms.iter().position(|s| s.name == name).unwrap_or(synonyms.len());
        synonyms.split_off(start)
    }
}

/// A subscription to client metrics with these settings.
///
/// # Errors
/// A setting that this version does not understand.
pub fn describe_client_metrics(subscription: &Settings) -> Result<Vec<Described>, ConfigError> {
    let describe = |key: &'static ConfigKey| {
        let value = match subscription.get(key.name) {
            Some(text) => Some(parse_checked(key, text)?),
            None => key.default.value(),
        };
        let own = subscription.contains_key(key.name).then_some(ConfigSource::ClientMetrics);
        Ok(describe_own(key, value.map(|value| value.to_text()), own, Vec::new()))
    };
    CLIENT_METRICS.iter().map(describe).collect()
}

/// One key of a resource other than a broker.
fn describe_own(
    key: &'static ConfigKey,
    value: Option<Str>,
    own: Option<ConfigSource>,
    inherited: Vec<SynonymValue>,
) -> Described {
    let sensitive = key.is_sensitive();
    let value = value.filter(|_| !sensitive);
    let own =
        own.map(|source| SynonymValue { name: key.name.into(), value: value.clone(), source });
    let synonyms: Vec<_> = own.into_iter().chain(inherited).collect();
    Described {
        name: key.name.into(),
        value,
        source: source_of(&synonyms),
        read_only: false,
        sensitive,
        kind: Some(key.kind),
        synonyms,
        doc: Some(key.doc()),
    }
}

/// Whether a key is described that nobody set.
fn is_shown(key: &ConfigKey, asked: &[Str]) -> bool {
    key.is_described() || key.is_own() && asked.iter().any(|name| *name == *key.name)
}

fn source_of(synonyms: &[SynonymValue]) -> ConfigSource {
    synonyms.first().map_or(ConfigSource::Default, |synonym| synonym.source)
}

/// The names that count for a broker key: its family if it has one, and for a listener's own key
/// also the key that it overrides.
fn family(name: &str) -> Vec<&str> {
    match (BROKER.get(name).map_or(&[][..], |key| key.synonyms), listener_override(name)) {
        ([], None) => vec![name],
        ([], Some(Some(key))) => vec![name, key.name],
        // `listener.name.LISTENER.` and something that is not known.
        ([], Some(None)) => [name].into_iter().chain(name.splitn(4, '.').nth(3)).collect(),
        (family, _) => family.iter().map(|synonym| synonym.name).collect(),
    }
}

#[cfg(test)]
mod tests;
