//! Files: to machines, which take them into their inboxes, and from their outboxes.

use super::body::late;
use super::range::{Part, goes_on, nothing};
use super::{Answer, find};
use crate::address::Target;
use crate::files::{Inbox, Source, clean, clean_path};
use crate::hub::House;
use crate::hub::events::{Event, Transfer};
use crate::hub::feed::{Feed, feed};
use crate::hub::problem::Problem;
use crate::hub::roster::Member;
use crate::hub::spool::{Fetched, Folder, LONGEST, Spool};
use crate::hub::turns::{Place, Turn};
use crate::hub::visitor::Visitor;
use crate::text::printable;
use crate::transfer::{self, Carried, Parcel, TransferError, Wanted, Watcher};
use crate::trust::Role;
use actix_multipart::{Field, Multipart, MultipartError};
use actix_web::body::SizedStream;
use actix_web::http::Method;
use actix_web::http::StatusCode;
use actix_web::http::header::{self, ContentDisposition, DispositionParam, EntityTag};
use actix_web::web::Bytes;
use actix_web::{HttpRequest, HttpResponse, ResponseError, web};
use futures_util::{Stream, StreamExt, TryStreamExt, stream};
use serde::{Deserialize, Serialize};
use serde_json::json;
use std::cell::RefCell;
use std::io::{self, Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;
use tokio::io::AsyncWriteExt;
use tokio::time::{Instant, timeout};
use tracing::Instrument;

/// How long a machine may be away while a file is on its way.
const PATIENCE: Duration = Duration::from_secs(60);

/// Machines that are sent to at a time, files in one request, and the machines of one.
const AT_ONCE: usize = 8;
const FILES: usize = 1000;
const HOSTS: usize = 1000;

/// Uploads and downloads of one person at a time.
const OWN: usize = 8;

/// How long the next piece of a file may take to come.
const PIECE_TIME: Duration = Duration::from_secs(30);

/// The longest that a transfer may be called, in characters.
const ID: usize = 200;

/// After how many bytes it is looked whether the disk has room, and how many are read at once.
const LOOK: u64 = 16 << 20;
const PIECE: usize = 256 << 10;

/// How often it is told how far a file has come.
const TELL: Duration = Duration::from_millis(100);

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Named {
    /// What events call this transfer.
    id: Option<String>,
}

/// What events are to call a transfer.
fn called(id: Option<&String>) -> Result<Option<&str>, Problem> {
    match id {
        Some(id) if id.chars().count() > ID => Err(Problem::bad("the id is too long")),
        id => Ok(id.map(String::as_str)),
    }
}

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
        Some(Sent { error: Some(why), refused: true, .. }) => Err(Problem::refused(why)),
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

/// Somebody wants more at a time than they may.
fn many() -> Problem {
    Problem::often(format!("{OWN} at a time are as many as you may send, or fetch"))
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
            tracing::info!(by, machine = name, "sent: {done}");
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

/// Tells whoever wants it how far files have come.
struct Progress<'a> {
    house: &'a House,
    now: RefCell<Transfer>,
    told: RefCell<Option<Instant>>,
    wanted: bool,
}

impl<'a> Progress<'a> {
    fn of(house: &'a House, by: &str, id: Option<&str>, host: &str) -> Self {
        let now = Transfer {
            id: printable(id.unwrap_or_default()),
            host: host.to_owned(),
            file: String::new(),
            size: 0,
            moved: 0,
            waits: None,
            by: by.to_owned(),
        };
        let (now, told) = (RefCell::new(now), RefCell::default());
        Self { house, now, told, wanted: id.is_some() }
    }

    fn tell(&self) {
        if self.wanted {
            self.house.events.tell(Event::Transfer(self.now.borrow().clone()));
            *self.told.borrow_mut() = Some(Instant::now());
        }
    }
}

impl Watcher for Progress<'_> {
    fn begins(&self, name: &str, size: u64, held: u64) {
        let mut now = self.now.borrow_mut();
        (now.file, now.size, now.moved, now.waits) = (printable(name), size, held, None);
        drop(now);
        self.tell();
    }

    fn moved(&self, held: u64) {
        let mut now = self.now.borrow_mut();
        (now.moved, now.waits) = (held, None);
        let is_whole = now.moved == now.size;
        drop(now);
        let due = self.told.borrow().is_none_or(|told| told.elapsed() >= TELL);
        if due || is_whole {
            self.tell();
        }
    }

    fn waits(&self, why: &str) {
        self.now.borrow_mut().waits = Some(printable(why));
        self.tell();
    }
}

/// Gives a file of a machine's outbox, or a part of it.
pub(super) async fn fetch(
    visitor: Visitor,
    house: web::Data<House>,
    path: web::Path<(String, String)>,
    named: web::Query<Named>,
    request: HttpRequest,
) -> Answer {
    visitor.may(Role::Files)?;
    let (name, path) = path.into_inner();
    let member = find(&house, &name)?;
    // What no file can be called is not there either.
    clean_path(&path).map_err(Problem::missing)?;
    let id = called(named.id.as_ref())?;
    let by = visitor.person.name;
    let place = house.downloads.take_of(&by, OWN).ok_or_else(many)?;
    // Whoever goes on gets the rest of what they have; everybody else what is there now.
    let key = (by, name, path);
    let kept = house.spool.find(&key).filter(|kept| goes_on(&request, &kept.mark));
    let found = match kept {
        Some(found) => found,
        None => {
            let (by, name, path) = &key;
            let watcher = Progress::of(&house, by, id, &member.name);
            let found = bring(&house, &member.target, path, &watcher).await?;
            tracing::info!(by, machine = name, "fetched: {} bytes", found.size);
            let found = Arc::new(found);
            house.spool.keep(key, Arc::clone(&found));
            found
        }
    };
    give(&request, found, place)
}

/// Fetches a file from a machine.
async fn bring(
    house: &House,
    target: &Target,
    path: &str,
    watcher: &Progress<'_>,
) -> Result<Fetched, Problem> {
    let (_turn, folder) = house.spool.turn().await?;
    let inbox = Inbox::open(folder.path().join("in"), LONGEST).map_err(Problem::own)?;
    let into = inbox.folder().to_owned();
    let wanted = Wanted { name: path.to_owned(), into: inbox };
    let carried = transfer::fetch(target, &house.security, &wanted, PATIENCE, watcher).await;
    let carried = carried.map_err(|e| match e {
        TransferError::Refused { .. } => Problem::missing(e),
        e => Problem::machine(e),
    })?;
    let [name] = <[String; 1]>::try_from(carried.names)
        .map_err(|_| Problem::machine("it gave something else than a file"))?;
    let looked = web::block(move || look(into.join(&name), name, folder));
    looked.await.map_err(Problem::own)?
}

/// What a file is that has come.
fn look(path: PathBuf, name: String, folder: Folder) -> Result<Fetched, Problem> {
    if path.is_dir() {
        return Err(Problem::bad(format!("'{name}' is a folder: name a file in it")));
    }
    let source = Source::open(&path, &name).map_err(Problem::own)?;
    let mark = blake3::Hash::from_bytes(source.hash.0).to_hex().to_string();
    let fetched = std::time::Instant::now();
    Ok(Fetched { path, name, size: source.size, mark, fetched, _folder: folder })
}

/// Gives of it what is asked for. The place is held until it is taken.
fn give(request: &HttpRequest, found: Arc<Fetched>, place: Place) -> Answer {
    let mark = EntityTag::new_strong(found.mark.clone());
    let part = Part::of(request, found.size, &mark);
    let (status, from, length) = match part {
        Part::Whole => (StatusCode::OK, 0, found.size),
        Part::From(from, to) => (StatusCode::PARTIAL_CONTENT, from, to - from + 1),
        Part::Known => (StatusCode::NOT_MODIFIED, 0, 0),
        Part::Nothing => {
            let mut answer = nothing(found.size).error_response();
            let all = format!("bytes */{}", found.size);
            let all = header::HeaderValue::from_str(&all).map_err(Problem::own)?;
            answer.headers_mut().insert(header::CONTENT_RANGE, all);
            return Ok(answer);
        }
    };
    let mut answer = HttpResponse::build(status);
    answer.insert_header((header::ETAG, mark.to_string()));
    answer.insert_header((header::ACCEPT_RANGES, "bytes"));
    if part == Part::Known {
        return Ok(answer.finish());
    }
    // Whatever is in it is kept, and not shown as one of the hub's pages.
    answer.content_type("application/octet-stream");
    answer.insert_header(attachment(&found.name));
    if let Part::From(from, to) = part {
        answer.insert_header((header::CONTENT_RANGE, format!("bytes {from}-{to}/{}", found.size)));
    }
    if request.method() == Method::HEAD {
        let nothing = stream::empty::<Result<Bytes, io::Error>>();
        return Ok(answer.body(SizedStream::new(length, nothing)));
    }
    let (feed, body) = feed();
    let reading = Reading { found, file: None, at: from, left: length };
    let pour = async move {
        let _place = place;
        if let Err(e) = pour(reading, &feed).await {
            // Whoever gets it is told by its end, which comes too early.
            tracing::warn!("a file is not given to its end: {e}");
        }
    };
    actix_web::rt::spawn(pour.in_current_span());
    Ok(answer.body(SizedStream::new(length, body)))
}

/// Gives the bytes of a part as they are taken, for as long as they are.
async fn pour(mut reading: Reading, feed: &Feed) -> io::Result<()> {
    while reading.left > 0 {
        let read = web::block(move || reading.read()).await;
        let bytes;
        (bytes, reading) = read.map_err(io::Error::other)??;
        if feed.give(bytes).await.is_err() {
            break;
        }
    }
    Ok(())
}

/// What a file that is given is called: for all, and for those who know more letters.
fn attachment(name: &str) -> ContentDisposition {
    use actix_web::http::header::{Charset, ExtendedValue};
    let plain: String = name.chars().map(|c| if c.is_ascii() { c } else { '_' }).collect();
    let mut about = ContentDisposition::attachment(plain.clone());
    if plain != name {
        let value = name.as_bytes().to_vec();
        let charset = Charset::Ext("UTF-8".into());
        let whole = ExtendedValue { charset, language_tag: None, value };
        about.parameters.push(DispositionParam::FilenameExt(whole));
    }
    about
}

struct Reading {
    found: Arc<Fetched>,
    file: Option<std::fs::File>,
    at: u64,
    left: u64,
}

impl Reading {
    fn read(mut self) -> io::Result<(Bytes, Self)> {
        let mut file = match self.file.take() {
            Some(file) => file,
            None => {
                let mut file = std::fs::File::open(&self.found.path)?;
                file.seek(SeekFrom::Start(self.at))?;
                file
            }
        };
        let length = self.left.min(PIECE as u64) as usize;
        let mut bytes = vec![0; length];
        file.read_exact(&mut bytes)?;
        self.left -= length as u64;
        self.file = Some(file);
        Ok((bytes.into(), self))
    }
}
