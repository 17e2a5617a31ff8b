//! `hightower chat`: a talk with those who sit at machines, and with their other operators.

mod input;
mod output;
mod words;

use super::machines::{Machines, Whom};
use super::signal::Signals;
use super::trust::{TrustArgs, runtime};
use crate::chat::Unsaid;
use crate::talk::{Line, Place, State, Talk, Told, WAITING};
use anyhow::{Context, Result, bail};
use clap::Args;
use hightower_proto::message::{Member, What};
use input::{Input, Typed};
use output::Output;
use std::net::SocketAddr;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::mpsc::{self, error::TrySendError};
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep_until};
use words::Words;

/// News of talks that may wait to be shown.
const NEWS: usize = 64;

/// Those in a room who are kept in mind; an agent lets fewer in.
const PRESENT: usize = 256;

/// How long after Ctrl-C what there is to be shown may take.
const FAREWELL: Duration = Duration::from_secs(2);

/// Talk with those who sit at machines.
///
/// With a HOST or a @GROUP: with the person there and all other operators in the agent's room; what
/// you type goes to each of the machines. It takes the role message. Without one: the person at this
/// machine talks with the operators of the agent that runs here.
///
/// On a terminal, /who says who is present, and /quit or Ctrl-D ends it; what is to begin with a slash
/// is typed with two. Otherwise each line of the input is
/// said, each event printed as a line, and the exit code says whether all was said to all. After
/// Ctrl-C each line that was not said is named, and so is each that perhaps was. When the network
/// breaks at the end, what is left to say waits half a minute for it.
#[derive(Debug, Args)]
pub(super) struct ChatArgs {
    /// Machines: NAME, ADDRESS, NAME:PORT, [IPV6]:PORT, or @GROUP of hightower.toml.
    #[arg(value_name = "HOST")]
    hosts: Vec<Whom>,
    /// Every machine of hightower.toml, and every agent that is found on this machine's networks.
    #[arg(long, conflicts_with = "hosts")]
    all: bool,
    /// Without a HOST, where several agents run here: the one that listens there.
    #[arg(long, value_name = "ADDR:PORT", conflicts_with_all = ["hosts", "all"])]
    listen: Option<SocketAddr>,
    /// Keep what you type for the next time, in chat_history in Hightower's folder.
    #[arg(long, env = "HIGHTOWER_CHAT_HISTORY")]
    history: bool,
    /// Print one line of JSON an event.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    trust: TrustArgs,
}

pub(super) fn run(args: ChatArgs) -> Result<ExitCode> {
    let places = args.places()?;
    // Asked for before the terminal is another's.
    let ends = Input::open(args.history, args.json)?;
    runtime()?.block_on(async { Chat::begin(places, ends, args.json).run().await })
}

impl ChatArgs {
    fn places(&self) -> Result<Vec<(String, Place)>> {
        if self.hosts.is_empty() && !self.all {
            #[cfg(unix)]
            {
                let none = "no agent of yours runs on this machine: name a HOST to talk with";
                let socket = super::status::socket(self.listen)?.context(none)?;
                return Ok(vec![("here".into(), Place::Here(socket))]);
            }
            #[cfg(not(unix))]
            anyhow::bail!("name a HOST to talk with");
        }
        let machines = Machines { hosts: self.hosts.clone(), all: self.all };
        let targets = machines.targets()?;
        let security = self.trust.security(&targets)?;
        let place = |target: crate::address::Target| {
            (target.to_string(), Place::Machine(target, security.clone()))
        };
        Ok(targets.into_iter().map(place).collect())
    }
}

/// One of the rooms.
struct Room {
    name: String,
    lines: Option<mpsc::Sender<Line>>,
    you: u64,
    /// `None` while it is not connected.
    present: Option<Vec<Member>>,
    /// `present` is as after this event.
    as_of: u64,
}

/// All of the rooms.
struct Chat {
    rooms: Vec<Room>,
    told: mpsc::Receiver<(usize, Told)>,
    talks: Vec<JoinHandle<()>>,
    /// The talks go on as long as it is here.
    going: Option<watch::Sender<()>>,
    input: Input,
    output: Output,
    words: Words,
    typed: u64,
    /// When it ends at the latest, once it was told to.
    until: Option<Instant>,
    /// Whether something was not said, or a talk failed.
    failed: bool,
}

impl Chat {
    /// Begins all talks. Must be called inside a tokio runtime.
    fn begin(places: Vec<(String, Place)>, (input, output): (Input, Output), json: bool) -> Self {
        let (tell, told) = mpsc::channel(NEWS);
        let (goes, going) = watch::channel(());
        let patient = places.len() > 1;
        let (mut rooms, mut talks) = (Vec::new(), Vec::new());
        for (index, (name, place)) in places.into_iter().enumerate() {
            let (lines, typed) = mpsc::channel(WAITING);
            let (told, going, state) = (tell.clone(), going.clone(), State::new());
            let behalf = None;
            let talk = Talk { place, lines: typed, told, index, patient, behalf, going, state };
            talks.push(tokio::spawn(talk.run()));
            rooms.push(Room { name, lines: Some(lines), you: 0, present: None, as_of: 0 });
        }
        let names = rooms.iter().map(|room| room.name.clone()).collect();
        let words = Words::new(names, json, output.is_terminal());
        let (going, typed, until, failed) = (Some(goes), 0, None, false);
        Self { rooms, told, talks, going, input, output, words, typed, until, failed }
    }

    async fn run(mut self) -> Result<ExitCode> {
        let went = self.converse().await;
        self.talks.iter().for_each(JoinHandle::abort);
        self.input.close(matches!(went, Ok(true)));
        let shown = went?;
        // A terminal that takes no more takes no word of that either.
        if !shown && !self.output.is_terminal() {
            bail!("interrupted before all that happened could be shown");
        }
        Ok(if self.failed || !shown { ExitCode::FAILURE } else { ExitCode::SUCCESS })
    }

    /// Goes on until nothing more is typed and all is said, or every talk is over; whether all of it
    /// was shown, too.
    async fn converse(&mut self) -> Result<bool> {
        let mut signals = Signals::hear().context("can't hear Ctrl-C")?;
        let (mut open, mut talking) = (true, true);
        loop {
            // Nothing is taken that brings more to be shown than waits already.
            let shows = self.output.has_room();
            let until = self.until;
            tokio::select! {
                typed = self.input.next(), if open && shows && self.has_room() => match typed {
                    Typed::Line(line) => open = self.line(line),
                    Typed::Bad(why) => self.refuse(&why),
                    Typed::End => open = false,
                    Typed::Stop => open = self.stop(),
                },
                told = self.told.recv(), if talking && shows => match told {
                    Some((index, told)) => self.heard(index, told),
                    None => {
                        (open, talking) = (false, false);
                        self.output.close();
                    }
                },
                shown = self.output.pass_on() => {
                    if shown? {
                        return Ok(true);
                    }
                }
                () = leaving(&mut signals, until) => {
                    if until.is_some() {
                        return Ok(false);
                    }
                    open = self.stop();
                }
            }
            if !open {
                // The talks end once all is said.
                self.rooms.iter_mut().for_each(|room| room.lines = None);
            }
        }
    }

    /// Whether another line may be typed: not while so many wait for a machine that is connected, or
    /// for each of them. One that is not holds up no others.
    fn has_room(&self) -> bool {
        let is_full = |room: &Room| {
            room.lines.as_ref().is_some_and(|lines| lines.capacity() == 0 && !lines.is_closed())
        };
        let connected = self.rooms.iter().filter(|room| room.present.is_some());
        !connected.into_iter().any(is_full) && !self.rooms.iter().all(is_full)
    }

    /// Ends all talks, each of which tells what it has not said: no more is typed.
    fn stop(&mut self) -> bool {
        (self.going, self.until) = (None, Some(Instant::now() + FAREWELL));
        false
    }

    /// Takes a line that was typed; whether there may be more.
    fn line(&mut self, mut line: String) -> bool {
        if self.output.is_terminal() {
            match line.trim() {
                "" => return true,
                "/quit" => return false,
                "/who" => {
                    for (index, room) in self.rooms.iter().enumerate() {
                        let present = room.present.as_deref();
                        self.words.who(&mut self.output, index, room.you, present);
                    }
                    return true;
                }
                // A slip is not said to everybody.
                other if other.starts_with('/') && !other.starts_with("//") => {
                    let why = "there are /who and /quit; to say what begins with a slash, type two";
                    self.words.refused(&mut self.output, why);
                    return true;
                }
                _ => {}
            }
            if line.starts_with("//") {
                line.remove(0);
            }
        }
        match Unsaid::check(&line) {
            // An empty line says nothing.
            Err(Unsaid::Empty) => return true,
            Err(why) => {
                self.refuse(&why.to_string());
                return true;
            }
            Ok(()) => {}
        }
        self.typed += 1;
        let line = Line { typed: self.typed, text: Arc::from(line) };
        for index in 0..self.rooms.len() {
            let Some(lines) = &self.rooms[index].lines else { continue };
            let why = match lines.try_send(line.clone()) {
                Ok(()) => continue,
                Err(TrySendError::Full(_)) => format!("{WAITING} lines wait to be said already"),
                Err(TrySendError::Closed(_)) => "the talk with it has ended".into(),
            };
            self.heard(index, Told::Unsaid(line.clone(), why));
        }
        true
    }

    /// Something that was typed can't be said.
    fn refuse(&mut self, why: &str) {
        self.failed = true;
        self.words.refused(&mut self.output, why);
    }

    fn heard(&mut self, index: usize, told: Told) {
        let room = &mut self.rooms[index];
        match &told {
            Told::In { you, present, newest, .. } => {
                (room.you, room.present, room.as_of) = (*you, Some(present.clone()), *newest);
            }
            Told::Happened(event) if event.number > room.as_of => {
                let present = room.present.get_or_insert_default();
                match event.what {
                    What::Joined if present.len() < PRESENT => present.push(event.who.clone()),
                    What::Left { .. } => present.retain(|member| member.id != event.who.id),
                    What::Joined | What::Said { .. } => {}
                }
            }
            Told::Lost(_) => room.present = None,
            Told::Over(_) => (room.present, self.failed) = (None, true),
            Told::Unsaid(..) | Told::Unanswered(..) => self.failed = true,
            _ => {}
        }
        self.words.told(&mut self.output, index, room.you, told);
    }
}

/// Waits for Ctrl-C, or until it is time to leave.
async fn leaving(signals: &mut Signals, until: Option<Instant>) {
    let late = async {
        match until {
            Some(until) => sleep_until(until).await,
            None => std::future::pending().await,
        }
    };
    tokio::select! {
        _ = signals.next() => {}
        () = late => {}
    }
}
