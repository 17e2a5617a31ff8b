//! Resource: a path of the hub, and what it takes there. Pages, the interface for programs and those who
//! dial in all have theirs by this, so each answers HEAD, and says to whoever tries something else what
//! there is (RFC 9110, section 15.5.6).

use super::problem::Problem;
use actix_web::http::header::{self, HeaderValue};
use actix_web::http::{Method, StatusCode};
use actix_web::{Resource, ResponseError, Route, guard, web};

/// A resource, which says what it takes to whoever tries something else.
pub(super) fn at<const N: usize>(path: &str, routes: [(Method, Route); N]) -> Resource {
    let mut resource = web::resource(path);
    let mut allowed = Vec::new();
    for (method, route) in routes {
        allowed.push(method.to_string());
        resource = resource.route(match method {
            Method::GET => {
                allowed.push("HEAD".into());
                route.guard(guard::Any(guard::Get()).or(guard::Head()))
            }
            other => route.method(other),
        });
    }
    let allowed = allowed.join(", ");
    resource.default_service(web::to(move || {
        let problem = Problem::new(
            StatusCode::METHOD_NOT_ALLOWED,
            format_args!("what is here takes {allowed}"),
        );
        let mut answer = problem.error_response();
        if let Ok(allowed) = HeaderValue::from_str(&allowed) {
            answer.headers_mut().insert(header::ALLOW, allowed);
        }
        async { answer }
    }))
}
