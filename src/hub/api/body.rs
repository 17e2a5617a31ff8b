//! What a request says: as JSON, or as a form.

use crate::hub::problem::Problem;
use actix_web::dev::Payload;
use actix_web::http::StatusCode;
use actix_web::{FromRequest, HttpMessage, HttpRequest, web};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Deserializer};
use serde_json::{Map, Value};
use std::future::Future;
use std::pin::Pin;
use std::time::Duration;
use tokio::time::timeout;

/// How long it may take to say it.
const PATIENCE: Duration = Duration::from_secs(10);

/// It takes too long.
pub(super) fn late() -> Problem {
    Problem::new(StatusCode::REQUEST_TIMEOUT, "what was announced has not come")
}

/// What a request says. Nothing at all says what `{}` does.
pub(super) struct Body<T>(pub(super) T);

impl<T: DeserializeOwned + 'static> FromRequest for Body<T> {
    type Error = Problem;
    type Future = Pin<Box<dyn Future<Output = Result<Self, Problem>>>>;

    fn from_request(request: &HttpRequest, payload: &mut Payload) -> Self::Future {
        let kind = request.content_type().to_ascii_lowercase();
        let bytes = web::Bytes::from_request(request, payload);
        Box::pin(async move {
            let bytes = timeout(PATIENCE, bytes).await.map_err(|_| late())?;
            let bytes = bytes.map_err(|e| Problem::of(&e))?;
            read(&kind, &bytes).map(Self)
        })
    }
}

/// Something that may be left out, and is not `null`: that is what a form can say, too.
pub(super) fn some<'de, D: Deserializer<'de>, T: Deserialize<'de>>(
    said: D,
) -> Result<Option<T>, D::Error> {
    T::deserialize(said).map(Some)
}

fn read<T: DeserializeOwned>(kind: &str, bytes: &[u8]) -> Result<T, Problem> {
    match kind {
        _ if bytes.is_empty() => serde_json::from_slice(b"{}").map_err(Problem::bad),
        "application/json" => {
            // A list is no object, whatever the library makes of it.
            let object =
                serde_json::from_slice::<Map<String, Value>>(bytes).map_err(Problem::bad)?;
            serde_json::from_value(object.into()).map_err(Problem::bad)
        }
        "application/x-www-form-urlencoded" => {
            serde_urlencoded::from_bytes(bytes).map_err(Problem::bad)
        }
        other => Err(Problem::new(
            StatusCode::UNSUPPORTED_MEDIA_TYPE,
            format_args!("'{other}' is neither application/json nor a form"),
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, Deserialize, PartialEq)]
    #[serde(deny_unknown_fields)]
    struct Lease {
        #[serde(default, deserialize_with = "some")]
        seconds: Option<f64>,
    }

    #[test]
    fn json_and_forms_say_the_same() {
        let said = |kind: &str, text: &str| read::<Lease>(kind, text.as_bytes());
        let (json, form) = ("application/json", "application/x-www-form-urlencoded");
        let five = Ok(Lease { seconds: Some(5.5) });
        assert_eq!(said(json, r#"{"seconds": 5.5}"#), five);
        assert_eq!(said(form, "seconds=5.5"), five);
        for (kind, nothing) in [(json, "{}"), (json, ""), (form, ""), ("", "")] {
            assert_eq!(said(kind, nothing), Ok(Lease { seconds: None }), "{kind}");
        }
        for (kind, odd) in [
            (json, "[5]"),
            (json, r#"{"second":5}"#),
            (json, r#"{"seconds":null}"#),
            (form, "seconds=null"),
            (form, "second=5"),
            (form, "seconds=soon"),
            ("text/plain", "5"),
            ("", "seconds=5"),
        ] {
            assert!(said(kind, odd).is_err(), "{kind}: {odd}");
        }
    }
}
