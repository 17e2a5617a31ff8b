//! Health: whether a program is alive and ready, for whoever starts it anew or sends it no work.

use actix_web::HttpResponse;
use actix_web::http::header::{CACHE_CONTROL, HeaderValue};

/// A word that says how it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Words {
    /// It is well.
    pub(crate) well: &'static str,
    /// It is not.
    pub(crate) ill: &'static str,
}

/// What is said of whether it is alive, and ready.
pub(crate) mod words {
    use super::Words;

    pub(crate) const ALIVE: Words = Words { well: "alive", ill: "stuck" };
    pub(crate) const READY: Words = Words { well: "ready", ill: "unready" };
}

/// Whether it is well: a status and a word, and nothing else for strangers.
pub(crate) fn answer(words: Words, well: bool) -> HttpResponse {
    let (mut answer, word) = match well {
        true => (HttpResponse::Ok(), words.well),
        false => (HttpResponse::ServiceUnavailable(), words.ill),
    };
    answer.insert_header((CACHE_CONTROL, HeaderValue::from_static("no-store")));
    answer.content_type("text/plain; charset=utf-8").body(format!("{word}\n"))
}
