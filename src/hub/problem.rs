//! Problem: what went wrong, as RFC 9457 has it.

use actix_web::http::{StatusCode, header};
use actix_web::{HttpResponse, ResponseError};
use serde::Serialize;
use std::fmt;
use std::time::Duration;

/// After how many seconds something may be tried again that was tried too often.
const AGAIN: u64 = 2;

/// An answer that says why there is no other.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(super) struct Problem {
    #[serde(serialize_with = "code")]
    status: StatusCode,
    title: &'static str,
    detail: String,
    /// After how many seconds it may be tried again, where that is known.
    #[serde(skip)]
    again: Option<u64>,
}

fn code<S: serde::Serializer>(status: &StatusCode, to: S) -> Result<S::Ok, S::Error> {
    to.serialize_u16(status.as_u16())
}

impl Problem {
    pub(super) fn new(status: StatusCode, detail: impl fmt::Display) -> Self {
        let title = status.canonical_reason().unwrap_or("Error");
        let again = (status == StatusCode::TOO_MANY_REQUESTS).then_some(AGAIN);
        Self { status, title, detail: crate::text::printable(&detail.to_string()), again }
    }

    /// What actix-web makes of a request that it can't read.
    pub(super) fn of(error: &actix_web::Error) -> Self {
        Self::new(error.as_response_error().status_code(), error)
    }

    /// What was asked for makes no sense.
    pub(super) fn bad(detail: impl fmt::Display) -> Self {
        Self::new(StatusCode::BAD_REQUEST, detail)
    }

    /// Whoever asks has not said who they are, or not truly.
    pub(super) fn unknown(detail: impl fmt::Display) -> Self {
        Self::new(StatusCode::UNAUTHORIZED, detail)
    }

    /// Whoever asks may not do that, or not from there.
    pub(super) fn forbidden(detail: impl fmt::Display) -> Self {
        Self::new(StatusCode::FORBIDDEN, detail)
    }

    /// There is no such thing.
    pub(super) fn missing(detail: impl fmt::Display) -> Self {
        Self::new(StatusCode::NOT_FOUND, detail)
    }

    /// It was tried too often.
    pub(super) fn often(detail: impl fmt::Display) -> Self {
        Self::new(StatusCode::TOO_MANY_REQUESTS, detail)
    }

    /// It was tried too often, and is to rest for so long.
    pub(super) fn rest(detail: impl fmt::Display, pause: Duration) -> Self {
        Self { again: Some(pause.as_secs()), ..Self::often(detail) }
    }

    /// The machine was reached, and does not do it.
    pub(super) fn refused(detail: impl fmt::Display) -> Self {
        Self::new(StatusCode::CONFLICT, detail)
    }

    /// The machine was not reached, or makes no sense.
    pub(super) fn machine(detail: impl fmt::Display) -> Self {
        Self::new(StatusCode::BAD_GATEWAY, detail)
    }

    /// The hub itself has failed.
    pub(super) fn own(detail: impl fmt::Display) -> Self {
        Self::new(StatusCode::INTERNAL_SERVER_ERROR, detail)
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.detail)
    }
}

impl ResponseError for Problem {
    fn status_code(&self) -> StatusCode {
        self.status
    }

    fn error_response(&self) -> HttpResponse {
        let text = serde_json::to_string(self).unwrap_or_default();
        let mut answer = HttpResponse::build(self.status);
        if let Some(seconds) = self.again {
            answer.insert_header((header::RETRY_AFTER, seconds));
        }
        answer.content_type("application/problem+json").body(text)
    }
}
