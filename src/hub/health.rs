//! Health: whether a hub is alive and ready, for whoever balances its load or starts it anew. Nobody
//! signs in for that, and there is nothing to it but a word.

use crate::metrics::{answer, words};
use actix_web::web;

/// Where what is.
pub(super) fn routes(config: &mut web::ServiceConfig) {
    let pages = [("/healthz", words::ALIVE), ("/readyz", words::READY)];
    for (path, words) in pages {
        // Whoever answers is well.
        let well = move || async move { answer(words, true) };
        config.service(web::resource(path).route(web::get().to(well)).route(web::head().to(well)));
    }
}
