//! Files to machines, which take them into their inboxes.

use super::body::late;
use super::machines::said;
use super::transfers::{Named, OWN, PATIENCE, Progress, called, many};
use super::{Answer, find};
use crate::files::clean;
use crate::hub::House;
use crate::hub::problem::Problem;
use crate::hub::roster::Member;
use crate::hub::spool::{Folder, LONGEST, Spool};
use crate::hub::turns::Turn;
use crate::hub::visitor::Visitor;
use crate::text::printable;
use crate::transfer::{self, Carried, Parcel, TransferError};
use crate::trust::Role;
use actix_multipart::{Field, Multipart, MultipartError};
use actix_web::http::StatusCode;
use actix_web::http::header;
use actix_web::{HttpRequest, HttpResponse, ResponseError, web};
use futures_util::{Stream, StreamExt, TryStreamExt, stream};
use serde::{Deserialize, Serialize};
use serde_json::json;
use std::io;
use std::path::Path;
use std::time::Duration;
use tokio::io::AsyncWriteExt;
use tokio::time::timeout;

/// Machines that are sent to at a time, files in one request, and the machines of one.
const AT_ONCE: usize = 8;
const FILES: usize = 1000;
const HOSTS: usize = 1000;

/// How long the next piece of a file may take to come.
const PIECE_TIME: Duration = Duration::from_secs(30);

/// After how many bytes it is looked whether the disk has room.
const LOOK: u64 = 16 << 20;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Several {
    id: Option<String>,
    /// Machines, and `@` before groups, with commas between.
    hosts: String,
}

/// What a machine did with files.
#[derive(Serialize)]
struct Sent {
    name: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    done: Option<String>,
    /// What the files are called there.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    files: Vec<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<String>,
    /// Whether the machine itself has refused.
    #[serde(skip)]
    refused: bool,
}

/// Sends what a form brings to a machine.
pub(super) async fn send(
    visitor: Visitor,
    house: web::Data<House>,
    name: web::Path<String>,
    named: web::Query<Named>,
    request: HttpRequest,
    body: web::Payload,
) -> Answer {
    visitor.may(Role::Files)?;
    let member = find(&house, &name)?;
    let (by, id) = (&visitor.person.name, called(named.id.as_ref())?);
    let _place = house.uploads.take_of(by, OWN).ok_or_else(many)?;
    let (parcels, _kept) = receive(&house, &request, body).await?;
    let mut sent = deliver(&house, vec![member], &parcels, by, id).await;
    match sent.pop() {
        Some(Sent { name, error: Some(why), refused: true, .. }) => {
            Err(Problem::refused(said(&name, why)))
        }
        Some(Sent { error: Some(why), .. }) => Err(Problem::machine(why)),
        Some(sent) => Ok(HttpResponse::Created().json(sent)),
        None => Err(Problem::own("no machine was sent anything")),
    }
}

/// Sends what a form brings to several machines, each of which may take it or not.
pub(super) async fn send_to_several(
    visitor: Visitor,
    house: web::Data<House>,
    several: web::Query<Several>,
    request: HttpRequest,
    body: web::Payload,
) -> Answer {
    visitor.may(Role::Files)?;
    let members = members(&house, &several.hosts)?;
    let (by, id) = (&visitor.person.name, called(several.id.as_ref())?);
    let _place = house.uploads.take_of(by, OWN).ok_or_else(many)?;
    let (parcels, _kept) = receive(&house, &request, body).await?;
    let sent = deliver(&house, members, &parcels, by, id).await;
    Ok(HttpResponse::Ok().json(json!({ "hosts": sent })))
}

/// The machines of a list.
fn members(house: &House, list: &str) -> Result<Vec<Member>, Problem> {
    let mut members: Vec<Member> = Vec::new();
    for name in list.split(',') {
        let found: Vec<Member> = match name.strip_prefix('@') {
            Some(group) => {
                let all = house.roster.members();
                all.into_iter().filter(|member| member.groups.contains(group)).collect()
            }
            None => vec![find(house, name)?],
        };
        if found.is_empty() {
            return Err(Problem::missing(format!("nobody is in a group called '{name}'")));
        }
        let new = found.into_iter().filter(|one| members.iter().all(|had| had.name != one.name));
        members.extend(new.collect::<Vec<_>>());
        if members.len() > HOSTS {
            return Err(Problem::bad(format!(
                "{HOSTS} machines are as many as there may be at once"
            )));
        }
    }
    Ok(members)
}

/// Takes what a form brings, and keeps it as long as the turn and the folder are held.
async fn receive(
    house: &House,
    request: &HttpRequest,
    body: web::Payload,
) -> Result<(Vec<Parcel>, (Turn, Folder)), Problem> {
    let said = request.headers().get(header::CONTENT_LENGTH);
    let said = said.and_then(|length| length.to_str().ok()?.parse::<u64>().ok());
    if said.is_some_and(|length| length > LONGEST) {
        return Err(long());
    }
    let kept = house.spool.turn().await?;
    let (_, folder) = &kept;
    Spool::has_room(folder.path(), said.unwrap_or(0))?;
    let mut form = Multipart::new(request.headers(), body.into_inner());
    let (mut parcels, mut left) = (Vec::new(), LONGEST);
    while let Some(mut field) = piece(&mut form).await? {
        if parcels.len() == FILES {
            return Err(Problem::bad(format!("{FILES} files are as many as there may be at once")));
        }
        let about = field.content_disposition();
        let named = about.filter(|about| about.get_name() == Some("file"));
        let named = named.and_then(|about| about.get_filename());
        let words = "each part has to be called 'file', and to be a file with a name";
        let named = named.ok_or_else(|| Problem::bad(words))?;
        // A folder in it is nobody's idea of a name.
        let name = clean(named).map_err(Problem::bad)?;
        let path = folder.path().join(parcels.len().to_string());
        keep(&mut field, &path, &mut left).await?;
        let parcel = web::block(move || Parcel::of(&path)).await.map_err(Problem::own)?;
        let mut parcel = parcel.map_err(Problem::own)?;
        parcel.name = name;
        parcels.push(parcel);
    }
    match parcels.is_empty() {
        true => Err(Problem::bad("there is no file in it")),
        false => Ok((parcels, kept)),
    }
}

/// Writes what comes into a new file.
async fn keep(field: &mut Field, path: &Path, left: &mut u64) -> Result<(), Problem> {
    let failed = |e: io::Error| match e.kind() {
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => {
            Problem::new(StatusCode::INSUFFICIENT_STORAGE, "the hub's disk is full")
        }
        _ => Problem::own(format!("the hub can't keep a file: {e}")),
    };
    let mut file = tokio::fs::File::create_new(path).await.map_err(failed)?;
    let mut unlooked = 0;
    while let Some(bytes) = piece(field).await? {
        let length = bytes.len() as u64;
        *left = left.checked_sub(length).ok_or_else(long)?;
        unlooked += length;
        if unlooked >= LOOK {
            Spool::has_room(path, 0)?;
            unlooked = 0;
        }
        file.write_all(&bytes).await.map_err(failed)?;
    }
    file.flush().await.map_err(failed)
}

/// The next of what comes, which is not waited for without end.
async fn piece<T>(
    from: &mut (impl Stream<Item = Result<T, MultipartError>> + Unpin),
) -> Result<Option<T>, Problem> {
    let next = timeout(PIECE_TIME, from.try_next()).await;
    next.map_err(|_| late())?.map_err(odd)
}

fn long() -> Problem {
    let words = format!("{} are the most that one request may bring", crate::files::size(LONGEST));
    Problem::new(StatusCode::PAYLOAD_TOO_LARGE, words)
}

fn odd(e: MultipartError) -> Problem {
    Problem::new(e.status_code(), format!("this is no form with files: {e}"))
}

/// Sends all files to all machines.
async fn deliver(
    house: &House,
    members: Vec<Member>,
    parcels: &[Parcel],
    by: &str,
    id: Option<&str>,
) -> Vec<Sent> {
    let each = members.into_iter().map(async |member| {
        let watcher = Progress::of(house, by, id, &member.name);
        let sent =
            transfer::send(&member.target, &house.security, parcels, PATIENCE, &watcher).await;
        outcome(member.name, by, sent)
    });
    stream::iter(each).buffer_unordered(AT_ONCE).collect().await
}

fn outcome(name: String, by: &str, sent: Result<Carried, TransferError>) -> Sent {
    match sent {
        Ok(Carried { files, bytes, names, .. }) => {
            let many = if files == 1 { "file" } else { "files" };
            let done = format!("{files} {many}, {} verified", crate::files::size(bytes));
            tracing::info!(by, machine = name, "sent: {done} as {}", names.join(", "));
            Sent { name, done: Some(done), files: names, error: None, refused: false }
        }
        Err(e) => {
            let why = printable(&e.to_string());
            tracing::warn!(by, machine = name, "not sent: {why}");
            let refused = matches!(e, TransferError::Refused { .. });
            Sent { name, done: None, files: Vec::new(), error: Some(why), refused }
        }
    }
}
