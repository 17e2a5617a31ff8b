//! The interface for programs, below `/api/v1`: JSON, or forms where something is said; described in
//! `openapi.json`.
//!
//! | file | what |
//! |---|---|
//! | `body` | what a request says |
//! | `session` | who is signed in |
//! | `machines` | the machines, what they are, and what they are to do |
//! | `screens` | what they show |
//! | `live` | the same as pictures one after another, for the simplest clients |
//! | `chat` | the talk with who sits there |
//! | `upload`, `download` | files to them, and from them |
//! | `transfers` | how far those are |
//! | `range` | a part of a file |
//! | `events` | what happens, as it does |

mod body;
mod chat;
mod download;
mod events;
mod live;
mod machines;
mod range;
mod screens;
mod session;
mod transfers;
mod upload;

use super::House;
use super::problem::Problem;
use super::resource::at;
use super::roster::Member;
use super::visitor::is_own;
use super::{agents, pipe};
use actix_web::http::Method;
use actix_web::http::header::ContentType;
use actix_web::{HttpRequest, HttpResponse, Route, web};

/// The longest body of a request that holds no file, in bytes.
const LONGEST: usize = 64 << 10;

type Answer = Result<HttpResponse, Problem>;

/// Where what is.
pub(super) fn routes(config: &mut web::ServiceConfig) {
    let query = web::QueryConfig::default().error_handler(|e, _| Problem::bad(e).into());
    let path = web::PathConfig::default().error_handler(|e, _| Problem::missing(e).into());
    let (get, post, delete) = (Method::GET, Method::POST, Method::DELETE);
    let on = |method: &Method, route: Route| (method.clone(), route);
    let to = web::route;
    let api = web::scope("/api/v1")
        .app_data(query)
        .app_data(path)
        .app_data(web::PayloadConfig::new(LONGEST))
        .service(at("/openapi.json", [on(&get, to().to(description))]))
        .service(at(
            "/session",
            [
                on(&get, to().to(session::who_am_i)),
                on(&post, to().to(session::sign_in)),
                on(&delete, to().to(session::sign_out)),
            ],
        ))
        .service(at("/session/challenge", [on(&get, to().to(session::challenge))]))
        .service(at("/events", [on(&get, to().to(events::follow))]))
        .service(at("/files", [on(&post, to().to(upload::send_to_several))]))
        .service(at("/hosts", [on(&get, to().to(machines::all))]))
        .service(at("/hosts/{name}", [on(&get, to().to(machines::one))]))
        .service(at("/hosts/{name}/stream", [on(&get, to().to(screens::stream))]))
        .service(at("/hosts/{name}/live", [on(&get, to().to(live::live))]))
        .service(at("/hosts/{name}/screen.png", [on(&get, to().to(screens::shot))]))
        .service(at("/hosts/{name}/start", [on(&post, to().to(machines::start))]))
        .service(at("/hosts/{name}/stop", [on(&post, to().to(machines::stop))]))
        .service(at("/hosts/{name}/lock", [on(&post, to().to(machines::lock))]))
        .service(at("/hosts/{name}/unlock", [on(&post, to().to(machines::unlock))]))
        .service(at("/hosts/{name}/messages", [on(&post, to().to(machines::say))]))
        .service(at("/hosts/{name}/chat", [on(&get, to().to(chat::chat))]))
        .service(at("/hosts/{name}/files", [on(&post, to().to(upload::send))]))
        .service(at("/hosts/{name}/files/{path:.+}", [on(&get, to().to(download::fetch))]))
        .configure(agents::routes)
        .configure(pipe::routes)
        .default_service(web::to(async || -> Answer {
            Err(Problem::missing("there is no such thing here"))
        }));
    config.service(api);
}

/// What there is here, as OpenAPI has it.
async fn description(request: HttpRequest) -> Answer {
    is_own(&request)?;
    let text = include_str!("openapi.json");
    Ok(HttpResponse::Ok().content_type(ContentType::json()).body(text))
}

fn find(house: &House, name: &str) -> Result<Member, Problem> {
    house
        .roster
        .find(name)
        .ok_or_else(|| Problem::missing(format!("no machine is called '{name}'")))
}
