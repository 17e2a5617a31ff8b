//! Request: each that comes to a hub is counted, and has a number by which its lines in the log are
//! found. What goes on after its answer, as what a page looks by does, has that of the request by which
//! it began.

use super::House;
use super::visitor::origin;
use crate::text::printable;
use actix_web::body::MessageBody;
use actix_web::dev::{ServiceRequest, ServiceResponse};
use actix_web::middleware::Next;
use actix_web::{Error, web};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;
use tracing::Instrument;

/// Numbers requests.
#[derive(Debug, Default)]
pub(super) struct Numbers(AtomicU64);

impl Numbers {
    fn next(&self) -> u64 {
        self.0.fetch_add(1, Ordering::Relaxed) + 1
    }
}

/// Has a request answered.
pub(super) async fn attend(
    request: ServiceRequest,
    next: Next<impl MessageBody>,
) -> Result<ServiceResponse<impl MessageBody>, Error> {
    let Some(house) = request.app_data::<web::Data<House>>().cloned() else {
        return next.call(request).await;
    };
    let begun = Instant::now();
    // Of the highest level, so that it is there whatever is logged.
    let from = origin(request.request());
    let span = tracing::error_span!("request", id = house.requests.next(), %from);
    // As it came, without what is asked behind the path.
    let line = tracing::enabled!(tracing::Level::DEBUG)
        .then(|| format!("{} {}", request.method(), printable(request.path())));
    let peer = request.peer_addr();
    let answered = next.call(request).instrument(span.clone()).await;
    let status = match &answered {
        Ok(answer) => answer.status(),
        Err(e) => e.as_response_error().status_code(),
    };
    house.figures.requests.of(status.into()).inc();
    house.figures.answers.took(begun.elapsed());
    if let (Some(line), Some(peer)) = (line, peer) {
        tracing::debug!(parent: &span, %peer, "{line}: {}", status.as_u16());
    }
    answered
}
