//! What can go wrong with a request, by whose fault it is.

use dohle_base::{ErrorCode, Str};
use dohle_protocol::{ApiKey, DecodeError, EncodeError};

/// Why a request has no usable answer.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RequestError {
    /// The connection ended before the answer came. The broker may or may not have done it.
    #[error("the connection ended before the answer")]
    Disconnected,
    /// No answer in time. The broker may or may not have done it.
    #[error("no answer in time")]
    TimedOut,
    /// Broker and client have no version of the request in common; nothing was sent.
    #[error("the broker has no usable version of {}", api.name())]
    Unsupported {
        /// The request.
        api: ApiKey,
    },
    /// The request cannot be expressed in the version that the broker understands.
    #[error("the request does not fit version {version} of {}: {source}", api.name())]
    NotExpressible {
        /// The request.
        api: ApiKey,
        /// The version.
        version: i16,
        /// What does not fit.
        source: EncodeError,
    },
    /// The broker sent bytes that are not the answer.
    #[error("the answer to {} is malformed: {source}", api.name())]
    Malformed {
        /// The request.
        api: ApiKey,
        /// What is wrong.
        source: DecodeError,
    },
    /// The broker refused, or could not until the time was over.
    #[error("{0}")]
    Server(#[from] ServerError),
    /// The client was closed first.
    #[error("the client was closed")]
    Closed,
}

/// An error code of a broker, with its words if it had any.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServerError {
    /// The code.
    pub code: ErrorCode,
    /// What the broker said besides, if anything.
    pub message: Option<Str>,
}

impl ServerError {
    /// `Ok` if `code` is none.
    ///
    /// # Errors
    /// The code with the message.
    pub fn check(code: ErrorCode, message: Option<&Str>) -> Result<(), Self> {
        // Some brokers send an empty message instead of none.
        let message = message.filter(|message| !message.is_empty()).cloned();
        if code.is_error() { Err(Self { code, message }) } else { Ok(()) }
    }
}

impl From<ErrorCode> for ServerError {
    fn from(code: ErrorCode) -> Self {
        Self { code, message: None }
    }
}

impl From<ErrorCode> for RequestError {
    fn from(code: ErrorCode) -> Self {
        Self::Server(code.into())
    }
}

impl std::error::Error for ServerError {}

impl std::fmt::Display for ServerError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match &self.message {
            Some(message) => write!(f, "{}: {message}", self.code),
            None => self.code.fmt(f),
        }
    }
}

impl RequestError {
    /// The broker's code, if it was the broker who refused.
    pub fn code(&self) -> Option<ErrorCode> {
        match self {
            Self::Server(error) => Some(error.code),
            _ => None,
        }
    }

    /// Whether the same request may succeed later, unless it must not be done twice.
    pub fn is_retriable(&self) -> bool {
        match self {
            Self::Disconnected | Self::TimedOut => true,
            Self::Server(error) => error.code.is_retriable(),
            Self::Unsupported { .. }
            | Self::NotExpressible { .. }
            | Self::Malformed { .. }
            | Self::Closed => false,
        }
    }
}
