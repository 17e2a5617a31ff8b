//! Server: the listener that metrics and health are read from.
//!
//! Whoever reaches it reads all of it, so it is on the loopback unless it was told otherwise. It has a
//! thread of its own, a few connections at a time, and one answer for each connection: who is slow,
//! or takes nothing, keeps others of its kind waiting for some seconds, and nobody else.

use super::health::{answer, words};
use actix_web::dev::ServerHandle;
use actix_web::guard::{GuardContext, fn_guard};
use actix_web::http::header::{ACCEPT, HOST};
use actix_web::http::{KeepAlive, uri::Authority};
use actix_web::rt::net::TcpStream;
use actix_web::{App, HttpRequest, HttpResponse, HttpServer, Resource, Route, web};
use prometheus_client::encoding::{prometheus_text, text};
use prometheus_client::registry::Registry;
use std::future::Future;
use std::io;
use std::net::{IpAddr, SocketAddr, TcpListener};
use std::pin::Pin;
use std::time::Duration;
use tokio::time::timeout;

/// Connections at a time.
const CONNECTIONS: usize = 16;

/// How long a request may take to come, and an answer to be taken.
const PATIENCE: Duration = Duration::from_secs(3);

/// How long those that are served have to say how they are.
const ANSWER: Duration = Duration::from_secs(2);

/// The form that OpenMetrics has, for those who say that they read it.
const OPENMETRICS: &str = "application/openmetrics-text";
const OPENMETRICS_TYPE: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// A question to what is served; an error says that it is not well.
pub(crate) type Look =
    Box<dyn Fn() -> Pin<Box<dyn Future<Output = Result<(), String>>>> + Send + Sync>;

/// What is served.
pub(crate) struct Subject {
    /// Its figures.
    pub(crate) registry: Registry,
    /// Looks up those that are not counted all along. Who does not answer is not alive.
    pub(crate) look: Look,
    /// Finds out whether it can do its work.
    pub(crate) ready: Look,
}

/// A listener that runs; it ends with this.
pub(crate) struct Server {
    address: SocketAddr,
    handle: ServerHandle,
}

impl Server {
    /// Serves this there. Must be called inside an actix system.
    ///
    /// # Errors
    /// When the system gives no threads.
    pub(crate) fn start(listener: TcpListener, subject: Subject) -> io::Result<Self> {
        let address = listener.local_addr()?;
        let subject = web::Data::new(subject);
        let is_local = address.ip().to_canonical().is_loopback();
        let app = move || {
            let answers = move |request: &GuardContext<'_>| !is_local || is_local_name(request);
            let all = web::scope("")
                .guard(fn_guard(answers))
                .service(page("/metrics", web::get().to(metrics), web::head().to(metrics)))
                .service(page("/healthz", web::get().to(healthz), web::head().to(healthz)))
                .service(page("/readyz", web::get().to(readyz), web::head().to(readyz)));
            App::new().app_data(subject.clone()).service(all)
        };
        let server = HttpServer::new(app)
            .workers(1)
            .max_connections(CONNECTIONS)
            .keep_alive(KeepAlive::Disabled)
            .client_request_timeout(PATIENCE)
            .client_disconnect_timeout(PATIENCE)
            .on_connect(|connection, _| limit(connection.downcast_ref()))
            .shutdown_timeout(1)
            .disable_signals()
            .listen(listener)?
            .run();
        let handle = server.handle();
        actix_web::rt::spawn(async {
            if let Err(e) = server.await {
                tracing::error!("metrics are not served any more: {e}");
            }
        });
        Ok(Self { address, handle })
    }

    /// Where it listens.
    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // It is told at once; nobody is waited for who reads figures.
        drop(self.handle.stop(false));
    }
}

/// A page that can be asked for with what is on it, or without.
fn page(path: &str, get: Route, head: Route) -> Resource {
    web::resource(path).route(get).route(head)
}

/// Whether a request on the loopback is to an address or `localhost`. By a name that was made to lead
/// here, a page of any site could read in its visitor's browser whether somebody watches.
fn is_local_name(request: &GuardContext<'_>) -> bool {
    let host = request.head().headers().get(HOST).and_then(|host| host.to_str().ok());
    let Some(Ok(name)) = host.map(str::parse::<Authority>) else { return false };
    let name = name.host();
    let address = name.trim_start_matches('[').trim_end_matches(']');
    name.eq_ignore_ascii_case("localhost") || address.parse::<IpAddr>().is_ok()
}

/// Has the system give up a connection whose other end takes nothing.
fn limit(connection: Option<&TcpStream>) {
    #[cfg(target_os = "linux")]
    if let Some(connection) = connection {
        // It is one of a few, and given up all the same when it is not so.
        drop(socket2::SockRef::from(connection).set_tcp_user_timeout(Some(PATIENCE)));
    }
    #[cfg(not(target_os = "linux"))]
    let _ = connection;
}

/// Whether what is served answers, and well.
async fn is_well(look: &Look) -> bool {
    match timeout(ANSWER, look()).await {
        Ok(Ok(())) => true,
        Ok(Err(why)) => {
            tracing::debug!("not well: {why}");
            false
        }
        Err(_) => {
            tracing::warn!("no answer within {} s: is it stuck?", ANSWER.as_secs());
            false
        }
    }
}

async fn metrics(request: HttpRequest, subject: web::Data<Subject>) -> HttpResponse {
    if !is_well(&subject.look).await {
        return answer(words::ALIVE, false);
    }
    let wants = request.headers().get(ACCEPT).and_then(|value| value.to_str().ok());
    let openmetrics = wants.is_some_and(|wants| wants.contains(OPENMETRICS));
    let mut body = String::new();
    let (encoded, kind) = match openmetrics {
        true => (text::encode(&mut body, &subject.registry), OPENMETRICS_TYPE),
        false => {
            let encoded = prometheus_text::encode(&mut body, &subject.registry);
            (encoded, prometheus_text::CONTENT_TYPE)
        }
    };
    match encoded {
        Ok(()) => HttpResponse::Ok().content_type(kind).body(body),
        Err(_) => HttpResponse::InternalServerError().body("the figures can't be written\n"),
    }
}

async fn healthz(subject: web::Data<Subject>) -> HttpResponse {
    answer(words::ALIVE, is_well(&subject.look).await)
}

async fn readyz(subject: web::Data<Subject>) -> HttpResponse {
    answer(words::READY, is_well(&subject.ready).await)
}
