//! What has a configuration.

/// A kind of resource, as requests about configurations number it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Resource {
    /// A topic.
    Topic,
    /// A broker, or all of them.
    Broker,
    /// The levels at which a broker logs.
    BrokerLogger,
    /// A subscription to the metrics of clients.
    ClientMetrics,
    /// A group.
    Group,
}

impl Resource {
    /// The number in requests and in Config records. Source: Kafka 4.4.0.
    pub fn code(self) -> i8 {
        match self {
            Self::Topic => 2,
            Self::Broker => 4,
            Self::BrokerLogger => 8,
            Self::ClientMetrics => 16,
            Self::Group => 32,
        }
    }

    /// The resource of that number.
    pub fn from_code(code: i8) -> Option<Self> {
        [Self::Topic, Self::Broker, Self::BrokerLogger, Self::ClientMetrics, Self::Group]
            .into_iter()
            .find(|resource| resource.code() == code)
    }
}
