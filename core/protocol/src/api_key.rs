//! The table of APIs: which exist, in which versions, where they are served.
//!
//! Filled from the schemas of the requests, so that there is one place where a version is written.

#[cfg(test)]
mod tests;

macro_rules! api_keys {
    ($($name:ident = $key:literal, $first:literal, $last:literal, $advertised:literal, $flexible:expr,
        $broker:literal, $controller:literal, $unstable:literal, $forwardable:literal, $cluster:literal;)*) => {
        /// An API of Kafka 4.4.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        #[repr(i16)]
        pub enum ApiKey {
            $(#[doc = concat!("Key ", stringify!($key), ", versions ", stringify!($first), " to ", stringify!($last), ".")] $name = $key,)*
        }

        impl ApiKey {
            /// Every API, in ascending order of keys.
            pub const ALL: &'static [Self] = &[$(Self::$name),*];

            fn row(self) -> &'static Row {
                match self { $(Self::$name => {
                    static ROW: Row = Row {
                        name: stringify!($name), first: $first, last: $last, advertised: $advertised,
                        flexible: $flexible, on_broker: $broker, on_controller: $controller,
                        latest_unstable: $unstable, forwardable: $forwardable, cluster_action: $cluster,
                    };
                    &ROW
                })* }
            }

            /// The API of that number, if Kafka 4.4 has it.
            pub fn from_key(key: i16) -> Option<Self> {
                match key { $($key => Some(Self::$name),)* _ => None }
            }
        }
    };
}

/// What the table says about one API.
struct Row {
    name: &'static str,
    first: i16,
    last: i16,
    advertised: i16,
    flexible: Option<i16>,
    on_broker: bool,
    on_controller: bool,
    latest_unstable: bool,
    forwardable: bool,
    cluster_action: bool,
}

include!(concat!(env!("OUT_DIR"), "/api_keys.rs"));

impl ApiKey {
    /// The number on the wire.
    pub fn key(self) -> i16 {
        self as i16
    }

    /// Kafka's name, such as `Produce`.
    pub fn name(self) -> &'static str {
        self.row().name
    }

    /// The oldest version that is decoded.
    pub fn min_version(self) -> i16 {
        self.row().first
    }

    /// The newest version, stable or not.
    pub fn max_version(self) -> i16 {
        self.row().last
    }

    /// The newest version that is offered to peers unless unstable ones are enabled.
    pub fn max_stable_version(self) -> i16 {
        self.max_version() - i16::from(self.latest_unstable())
    }

    /// The oldest version that is offered to peers: for Produce 0, although only 3 and up are
    /// decoded. Source: KAFKA-18659, an old client that demands it.
    pub fn advertised_min_version(self) -> i16 {
        self.row().advertised
    }

    /// Whether requests of this version can be decoded.
    pub fn supports(self, version: i16) -> bool {
        (self.min_version()..=self.max_version()).contains(&version)
    }

    /// The first version with compact forms and tagged fields.
    pub fn flexible_from(self) -> Option<i16> {
        self.row().flexible
    }

    /// Whether the newest version is hidden by default.
    pub fn latest_unstable(self) -> bool {
        self.row().latest_unstable
    }

    /// Whether brokers serve it.
    pub fn on_broker(self) -> bool {
        self.row().on_broker
    }

    /// Whether controllers serve it.
    pub fn on_controller(self) -> bool {
        self.row().on_controller
    }

    /// Whether a broker hands it on to the active controller, in an envelope.
    pub fn forwardable(self) -> bool {
        self.row().forwardable
    }

    /// Whether it needs the right of acting for the cluster.
    pub fn cluster_action(self) -> bool {
        self.row().cluster_action
    }

    /// The version of the header in front of a request of `version`, also of one that is unknown.
    pub fn request_header_version(self, version: i16) -> i16 {
        if self.flexible_from().is_some_and(|first| version >= first) { 2 } else { 1 }
    }

    /// The version of the header in front of a response of `version`. Always 0 for ApiVersions: who
    /// asks for the versions cannot know them yet.
    pub fn response_header_version(self, version: i16) -> i16 {
        let flexible = self.flexible_from().is_some_and(|first| version >= first);
        i16::from(flexible && self != Self::ApiVersions)
    }
}
