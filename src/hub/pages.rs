//! Pages: what a browser is given, all of it within this program.

use super::problem::Problem;
use super::resource::at;
use super::visitor::is_own;
use actix_web::http::Method;
use actix_web::http::header::{CACHE_CONTROL, ETAG, IF_NONE_MATCH};
use actix_web::{HttpRequest, HttpResponse, web};

/// A file of the pages.
struct Page {
    path: &'static str,
    kind: &'static str,
    bytes: &'static [u8],
}

macro_rules! page {
    ($path:literal, $file:literal, $kind:literal) => {
        Page {
            path: $path,
            kind: concat!($kind, "; charset=utf-8"),
            bytes: include_bytes!(concat!("../../web/", $file)),
        }
    };
}

static PAGES: &[Page] = &[
    page!("/", "index.html", "text/html"),
    page!("/style.css", "style.css", "text/css"),
    page!("/app.js", "app.js", "text/javascript"),
    page!("/api.js", "api.js", "text/javascript"),
    page!("/chat.js", "chat.js", "text/javascript"),
    page!("/events.js", "events.js", "text/javascript"),
    page!("/notice.js", "notice.js", "text/javascript"),
    page!("/talks.js", "talks.js", "text/javascript"),
    page!("/turns.js", "turns.js", "text/javascript"),
    page!("/transfers.js", "transfers.js", "text/javascript"),
    page!("/screen.js", "screen.js", "text/javascript"),
    page!("/stream.js", "stream.js", "text/javascript"),
    page!("/frame.js", "frame.js", "text/javascript"),
    page!("/icon.svg", "icon.svg", "image/svg+xml"),
];

/// Where what is.
pub(super) fn routes(config: &mut web::ServiceConfig) {
    for page in PAGES {
        let give = web::route().to(move |request| give(page, request));
        config.service(at(page.path, [(Method::GET, give)]));
    }
}

async fn give(page: &'static Page, request: HttpRequest) -> Result<HttpResponse, Problem> {
    is_own(&request)?;
    let tag = format!("\"{}\"", &blake3::hash(page.bytes).to_hex()[..16]);
    let has = request.headers().get(IF_NONE_MATCH).map(|value| value.as_bytes());
    let mut answer = match has == Some(tag.as_bytes()) {
        true => HttpResponse::NotModified(),
        false => HttpResponse::Ok(),
    };
    // Asked for each time, and seldom sent: after an update nobody runs half of the old pages.
    answer.insert_header((ETAG, tag.clone())).insert_header((CACHE_CONTROL, "no-cache"));
    Ok(match has == Some(tag.as_bytes()) {
        true => answer.finish(),
        false => answer.content_type(page.kind).body(page.bytes),
    })
}
