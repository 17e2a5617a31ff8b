//! Why a hub did not do what was asked of it.

use crate::files::FileError;
use crate::rendezvous::{HubUrl, LineError};
use crate::text::printable;
use reqwest::StatusCode;
use std::error::Error;
use std::io;
use std::time::Duration;

/// Why a hub did not do it.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// It was not reached, or is not the one that is known.
    #[error("the hub {hub} is not reached: {why}")]
    Unreached {
        /// The hub.
        hub: HubUrl,
        /// The library's words, and those of what is beneath.
        why: String,
        /// Whether there was a connection.
        connected: bool,
    },
    /// It is not known by its certificate.
    #[error(transparent)]
    Unknown(LineError),
    /// It does not do it.
    #[error("{hub} says: {why}")]
    Refused {
        /// The hub.
        hub: HubUrl,
        /// The status of its answer.
        status: StatusCode,
        /// In its words.
        why: String,
    },
    /// A file here.
    #[error("'{name}': {why}")]
    File {
        /// Which.
        name: String,
        /// What is wrong with it.
        why: FileError,
    },
    /// A file is another one each time that it is looked at.
    #[error("'{name}' is being changed there: it was another one {times} times")]
    Changes {
        /// Which.
        name: String,
        /// How often it was begun anew.
        times: u32,
    },
    /// It can't be asked so.
    #[error("the hub {hub} can't be asked for this: {why}")]
    Unasked {
        /// The hub.
        hub: HubUrl,
        /// The library's words.
        why: String,
    },
    /// The connection broke over and over, before the hub had all.
    #[error("it broke off {times} times on the way to the hub: {last}")]
    Broken {
        /// How often.
        times: u32,
        /// What went wrong last.
        last: Box<ClientError>,
    },
    /// The connection broke when the hub may have had all that was sent.
    #[error("{0}. All was on its way, so machines may have it")]
    Unsure(Box<ClientError>),
    /// The connection broke too often, or for too long.
    #[error("the connection could not be made anew for {:.0?}: {last}", .patience)]
    Lost {
        /// How long it was tried.
        patience: Duration,
        /// What went wrong last.
        last: Box<ClientError>,
    },
    /// It says what makes no sense.
    #[error("{hub} answers {status}, and not as a hub does")]
    Odd {
        /// The hub.
        hub: HubUrl,
        /// The status of its answer.
        status: StatusCode,
    },
}

impl ClientError {
    /// Whether the hub may have taken what was sent: it, or a gateway before it, has not said that it
    /// did not.
    pub(super) fn may_have_arrived(&self) -> bool {
        match self {
            Self::Unreached { connected, .. } => *connected,
            Self::Odd { status, .. } => status.is_success() || status.is_server_error(),
            _ => false,
        }
    }

    /// Whether a machine was not reached by the hub.
    pub(super) fn is_away(&self) -> bool {
        matches!(self, Self::Refused { status, .. } if *status == StatusCode::BAD_GATEWAY)
    }

    /// Whether it may be otherwise a moment later.
    #[must_use]
    pub fn may_pass(&self) -> bool {
        match self {
            Self::Unreached { .. } => true,
            // It has too much to do, or stood still.
            Self::Refused { status, .. } => {
                matches!(*status, StatusCode::REQUEST_TIMEOUT | StatusCode::TOO_MANY_REQUESTS)
            }
            // A gateway before it does not reach it.
            Self::Odd { status, .. } => matches!(
                *status,
                StatusCode::REQUEST_TIMEOUT
                    | StatusCode::TOO_MANY_REQUESTS
                    | StatusCode::BAD_GATEWAY
                    | StatusCode::SERVICE_UNAVAILABLE
                    | StatusCode::GATEWAY_TIMEOUT
            ),
            Self::Unknown(_)
            | Self::Unasked { .. }
            | Self::Unsure(_)
            | Self::Broken { .. }
            | Self::File { .. }
            | Self::Changes { .. }
            | Self::Lost { .. } => false,
        }
    }
}

/// Whether it is that nobody vouches for a certificate.
pub(super) fn is_unknown(error: &reqwest::Error) -> bool {
    let mut next = error.source();
    while let Some(one) = next {
        if matches!(one.downcast_ref(), Some(rustls::Error::InvalidCertificate(_))) {
            return true;
        }
        // What is in an error of the system's kind is not beneath it, but in its place.
        let inner = one.downcast_ref::<io::Error>().and_then(io::Error::get_ref);
        next = match inner {
            Some(inner) => Some(inner),
            None => one.source(),
        };
    }
    false
}

/// An error, and what is beneath it, which the library's own words leave out; not the address, which
/// whoever reads it has not typed so.
pub(super) fn words(error: reqwest::Error) -> String {
    let (mut words, error) = (String::new(), error.without_url());
    let mut next: Option<&dyn Error> = Some(&error);
    while let Some(one) = next {
        let one_words = one.to_string();
        if !words.ends_with(&one_words) {
            words += if words.is_empty() { "" } else { ": " };
            words += &one_words;
        }
        next = one.source();
    }
    printable(&words)
}
