//! The machines, what they are, and what they are to do.

use super::body::{Body, some};
use super::{Answer, find};
use crate::call::Call;
use crate::hub::House;
use crate::hub::events::Event;
use crate::hub::problem::Problem;
use crate::hub::turns::Place;
use crate::hub::visitor::Visitor;
use crate::order::{self, OrderError};
use crate::saying::{self, Saying, Unheard};
use crate::trust::Role;
use crate::viewer::{Cause, harmless};
use actix_web::{HttpResponse, web};
use hightower_proto::Message;
use serde::Deserialize;
use serde_json::json;

/// The machines that there are.
///
/// Their names are for everybody who is signed in: whoever may do anything there has to name one.
pub(super) async fn all(_: Visitor, house: web::Data<House>) -> Answer {
    Ok(HttpResponse::Ok().json(house.roster.members()))
}

/// Calls of one person to one machine at a time: an agent takes all of a hub for one caller, and takes
/// so many a second of one.
const CALLS: usize = 4;

/// A call of somebody's, until it is dropped.
fn calling(house: &House, visitor: &Visitor, machine: &str) -> Result<Place, Problem> {
    let many = || Problem::often(format!("you call '{machine}' {CALLS} times already"));
    let own = format!("{} {machine}", visitor.person.name);
    house.calls.take_of(&own, CALLS).ok_or_else(many)
}

/// What a machine says to the hub: whoever reads "your key" in it should not think of their own.
pub(super) fn said(machine: &str, words: impl std::fmt::Display) -> String {
    format!("{machine} says to this hub: {words}")
}

/// What a machine is.
pub(super) async fn one(
    visitor: Visitor,
    house: web::Data<House>,
    name: web::Path<String>,
) -> Answer {
    visitor.may(Role::View)?;
    let member = find(&house, &name)?;
    let _place = calling(&house, &visitor, &member.name)?;
    let call = Call::to(&member.target, &house.security).await.map_err(|e| match e {
        // It was reached, and says why it does not take this hub.
        Cause::Goodbye(_) => Problem::refused(said(&member.name, e)),
        e => Problem::machine(e),
    })?;
    let welcome = harmless::welcome(call.welcome.clone());
    drop(call.close("asked what there was to ask").await);
    Ok(HttpResponse::Ok().json(json!({
        "name": member.name, "groups": member.groups, "host": welcome.host,
        "software": welcome.software, "source": welcome.source, "state": welcome.state,
        "facts": welcome.facts,
    })))
}

async fn order(house: &House, visitor: &Visitor, name: &str, message: Message) -> Answer {
    let member = find(house, name)?;
    let _place = calling(house, visitor, &member.name)?;
    let command = message.packet().command;
    let by = &visitor.person.name;
    let failed = |e: &dyn std::fmt::Display| {
        tracing::warn!(by, machine = member.name, "{command} failed: {e}");
    };
    let reply = order::send(&member.target, &message, &house.security).await;
    let reply = reply.inspect_err(|e| failed(e)).map_err(|e| match e {
        OrderError::Denied(_) => Problem::refused(said(&member.name, e)),
        e => Problem::machine(e),
    })?;
    let (done, lease_ms) = (order::outcome(command, &reply), reply.lease_ms);
    tracing::info!(by, machine = member.name, "{command}: {done}");
    let what = command.name().to_lowercase();
    house.events.tell(Event::Order {
        host: member.name.clone(),
        by: by.clone(),
        order: what,
        done: done.clone(),
    });
    Ok(HttpResponse::Ok().json(json!({ "name": member.name, "done": done, "lease_ms": lease_ms })))
}

pub(super) async fn start(
    visitor: Visitor,
    house: web::Data<House>,
    name: web::Path<String>,
    _: web::Query<Nothing>,
) -> Answer {
    visitor.may(Role::View)?;
    order(&house, &visitor, &name, Message::StartMonitor).await
}

pub(super) async fn stop(
    visitor: Visitor,
    house: web::Data<House>,
    name: web::Path<String>,
    _: web::Query<Nothing>,
) -> Answer {
    visitor.may(Role::View)?;
    order(&house, &visitor, &name, Message::StopMonitor).await
}

/// What is not in the body is not meant.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Nothing {}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Lease {
    /// For how long; without, for as long as the agent thinks right.
    #[serde(default, deserialize_with = "some")]
    seconds: Option<f64>,
}

pub(super) async fn lock(
    visitor: Visitor,
    house: web::Data<House>,
    name: web::Path<String>,
    _: web::Query<Nothing>,
    Body(lease): Body<Lease>,
) -> Answer {
    visitor.may(Role::Control)?;
    let lease_ms = match lease.seconds {
        Some(seconds) if (0.001..1e6).contains(&seconds) => Some((seconds * 1000.0) as u32),
        Some(other) => {
            return Err(Problem::bad(format!("'{other}' seconds: from 0.001 to below 1000000")));
        }
        None => None,
    };
    order(&house, &visitor, &name, Message::LockMouse { lease_ms }).await
}

pub(super) async fn unlock(
    visitor: Visitor,
    house: web::Data<House>,
    name: web::Path<String>,
    _: web::Query<Nothing>,
) -> Answer {
    visitor.may(Role::Control)?;
    order(&house, &visitor, &name, Message::UnlockMouse).await
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Words {
    text: String,
}

/// Says something to who sits there.
pub(super) async fn say(
    visitor: Visitor,
    house: web::Data<House>,
    name: web::Path<String>,
    _: web::Query<Nothing>,
    Body(words): Body<Words>,
) -> Answer {
    visitor.may(Role::Message)?;
    let member = find(&house, &name)?;
    let _place = calling(&house, &visitor, &member.name)?;
    let behalf = Some(visitor.person.name.clone());
    let saying = Saying::on_behalf(words.text, behalf).map_err(Problem::bad)?;
    let heard = saying.deliver(&member.target, &house.security).await.map_err(|e| match e {
        Unheard::Refused(_) => Problem::refused(said(&member.name, e)),
        Unheard::Lost(_) => Problem::machine(e),
    })?;
    let done = saying::words(heard);
    tracing::info!(by = visitor.person.name, machine = member.name, "a message: {done}");
    Ok(HttpResponse::Ok().json(json!({ "name": member.name, "done": done, "heard_by": heard })))
}
