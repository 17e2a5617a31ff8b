//! Files of machines' outboxes.

use super::machines::said;
use super::range::{Part, goes_on, nothing};
use super::transfers::{Named, OWN, PATIENCE, Progress, called, many};
use super::{Answer, find};
use crate::address::Target;
use crate::files::{FileError, Inbox, Source, clean_path};
use crate::hub::House;
use crate::hub::feed::{Feed, feed};
use crate::hub::problem::Problem;
use crate::hub::spool::{Fetched, Folder, LONGEST};
use crate::hub::turns::Place;
use crate::hub::visitor::Visitor;
use crate::text::printable;
use crate::transfer::{self, TransferError, Wanted};
use crate::trust::Role;
use actix_web::body::SizedStream;
use actix_web::http::header::{self, ContentDisposition, DispositionParam, EntityTag};
use actix_web::http::{Method, StatusCode};
use actix_web::web::Bytes;
use actix_web::{HttpRequest, HttpResponse, ResponseError, web};
use futures_util::stream;
use std::io::{self, Read, Seek, SeekFrom};
use std::path::PathBuf;
use std::sync::Arc;
use tracing::Instrument;

/// How much of a file is read at once, in bytes.
const PIECE: usize = 256 << 10;

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
        Some(found) => {
            tracing::info!(by = key.0, machine = key.1, "fetched on, '{}'", printable(&key.2));
            found
        }
        None => {
            let (by, name, path) = &key;
            let watcher = Progress::of(&house, by, id, &member.name);
            let failed = |e: &Problem| {
                tracing::warn!(by, machine = name, "not fetched, '{}': {e}", printable(path));
            };
            let found = bring(&house, (&member.name, &member.target), path, &watcher)
                .await
                .inspect_err(failed)?;
            tracing::info!(
                by,
                machine = name,
                "fetched '{}', {} bytes",
                printable(path),
                found.size
            );
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
    (machine, target): (&str, &Target),
    path: &str,
    watcher: &Progress<'_>,
) -> Result<Fetched, Problem> {
    let (_turn, folder) = house.spool.turn().await?;
    let inbox = Inbox::open(folder.path().join("in"), LONGEST).map_err(Problem::own)?;
    let into = inbox.folder().to_owned();
    let wanted = Wanted { name: path.to_owned(), into: inbox };
    let carried = transfer::fetch(target, &house.security, &wanted, PATIENCE, watcher).await;
    let carried = carried.map_err(|e| match &e {
        TransferError::Refused { why, .. } if is_missing(why, path) => Problem::missing(e),
        TransferError::Refused { .. } => Problem::refused(said(machine, e)),
        _ => Problem::machine(e),
    })?;
    let [name] = <[String; 1]>::try_from(carried.names)
        .map_err(|_| Problem::machine("it gave something else than a file"))?;
    let looked = web::block(move || look(into.join(&name), name, folder));
    looked.await.map_err(Problem::own)?
}

/// Whether a machine says that there is no such file.
fn is_missing(why: &str, path: &str) -> bool {
    why == FileError::Missing(path.into()).to_string()
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
