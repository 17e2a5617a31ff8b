//! The window that plays a recording. It is drawn by the same scene as a viewer's.

mod input;
mod transport;

use super::overlay::PLAY_KEYS;
use super::pane::{Pane, size_for};
use super::picture::Picture;
use super::scene::{BAR, Bar, Choice, Layout, Look, Playing, STATUS, Scene};
use super::status::Mood;
use super::view::Notice;
use super::window::demand_display;
use crate::recording::{Recording, clock};
use crate::text::printable;
use anyhow::bail;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};
use transport::Transport;

/// How long to wait before looking at keys and mouse again.
const INPUT: Duration = Duration::from_millis(15);

/// How long pictures are decoded in one turn: keys are not to wait longer.
const WORK: Duration = Duration::from_millis(30);

/// What can be done where there is no window.
const INSTEAD: &str = "`hightower export` makes pictures without one";

/// How many gaps the bar shows.
const GAPS: usize = 500;

/// What is asked of a player.
#[derive(Debug, Clone)]
pub struct PlayOptions {
    /// The window's size at first, in pixels; `None` goes by the picture.
    pub size: Option<(usize, usize)>,
    /// Where screenshots go.
    pub screenshots: PathBuf,
    /// Where to begin.
    pub from: Duration,
    /// Whether to rest there.
    pub paused: bool,
    /// How often the speed is doubled, or halved if it is negative.
    pub faster: i32,
}

/// Plays a recording in a window until that is closed, or `interrupted` is set.
///
/// # Errors
/// When there is no display to open a window on, or the directory for screenshots is none.
pub fn run(
    recording: Recording,
    options: PlayOptions,
    interrupted: &AtomicBool,
) -> anyhow::Result<ExitCode> {
    if !options.screenshots.is_dir() {
        bail!("screenshots can't go to {}: it is no directory", options.screenshots.display());
    }
    demand_display(INSTEAD)?;
    let mut player = Player::open(recording, options)?;
    while player.pane.is_open() && !player.quit && !interrupted.load(Ordering::Relaxed) {
        player.turn()?;
    }
    Ok(ExitCode::SUCCESS)
}

/// The window and what it plays.
struct Player {
    recording: Recording,
    transport: Transport,
    /// The picture that was stepped to; `None` goes by the time.
    stepped: Option<usize>,
    shown: Option<(usize, Arc<Picture>)>,
    /// Why there is no picture.
    failure: Option<String>,
    gaps: Vec<f32>,
    time_of_day: bool,

    options: PlayOptions,
    pane: Pane,
    choice: Choice,
    drag: Option<(f32, f32)>,
    quit: bool,
    scene: Scene,
    look: Option<Look>,
    notice: Option<Notice>,
}

impl Player {
    fn open(recording: Recording, options: PlayOptions) -> anyhow::Result<Self> {
        let index = recording.index();
        let (width, height) = index.size_of(index.at(options.from));
        let size = options
            .size
            .unwrap_or_else(|| size_for(Some((width as usize, height as usize)), STATUS + BAR));
        let name = recording.path().file_name().unwrap_or_default().to_string_lossy();
        let title = format!("{} – Hightower", printable(&name));
        let pane = Pane::open(&title, size, INSTEAD)?;
        let now = Instant::now();
        let mut transport = Transport::new(index.length(), options.from);
        transport.faster(options.faster, now);
        if !options.paused {
            transport.toggle(now);
        }
        let length = index.length().as_secs_f32().max(f32::MIN_POSITIVE);
        let gaps = index.marks.iter().take(GAPS).map(|mark| mark.at.as_secs_f32() / length);
        let text = match recording.shortfall() {
            Some(words) => printable(&words),
            None => "H shows the keys".into(),
        };
        Ok(Self {
            transport,
            stepped: None,
            shown: None,
            failure: None,
            gaps: gaps.collect(),
            time_of_day: false,
            pane,
            choice: Choice {
                layout: Layout::Fit,
                help: false,
                facts: false,
                status: true,
                keys: PLAY_KEYS,
            },
            drag: None,
            quit: false,
            scene: Scene::default(),
            look: None,
            notice: Some(Notice { text, at: now }),
            recording,
            options,
        })
    }

    /// One turn: keys, the picture of the time, and a drawing when that changed anything.
    fn turn(&mut self) -> anyhow::Result<()> {
        let begun = Instant::now();
        self.input();
        let position = self.transport.position(begun);
        let wanted = self.stepped.unwrap_or_else(|| self.recording.index().at(position));
        let reached = self.decode(wanted, begun + WORK);
        let size = self.pane.size();
        let picture = self.shown.as_ref().map(|(_, picture)| picture.clone());
        let look = Look::playing(self.playing(position), picture.as_deref(), size, self.choice);
        if let (Layout::Actual { .. }, Layout::Actual { .. }) = (self.choice.layout, look.layout) {
            self.choice.layout = look.layout;
        }
        let news = self.look.as_ref() != Some(&look);
        if news {
            self.scene.draw(&look, picture.as_ref());
        }
        if self.pane.show(self.scene.pixels(), size, news)? {
            self.look = Some(look);
        }
        if reached {
            self.rest(wanted, position);
        }
        Ok(())
    }

    /// Waits until the next picture is due, or it is time to look at the keys.
    fn rest(&self, shown: usize, position: Duration) {
        let mut wait = INPUT;
        if self.transport.plays() {
            let next = self.recording.index().time_of(shown + 1);
            wait = wait.min(self.transport.time_to(position, next));
        }
        std::thread::sleep(wait.max(Duration::from_millis(1)));
    }

    /// Decodes towards a picture for some time. False when it is not reached.
    fn decode(&mut self, wanted: usize, until: Instant) -> bool {
        if self.shown.as_ref().is_some_and(|(shown, _)| *shown == wanted) {
            return true;
        }
        let (before, _) = self.recording.broken();
        match self.recording.approach(wanted, Some(until)) {
            Ok(Some(picture)) => {
                self.shown = Some((wanted, picture));
                self.failure = None;
            }
            Ok(None) => self.shown = self.recording.newest().or(self.shown.take()),
            Err(error) => self.failure = Some(printable(&error.to_string())),
        }
        if let (now, Some(fault)) = self.recording.broken()
            && now > before
        {
            let text = format!("a picture can't be shown: {fault}");
            self.say(text);
        }
        self.failure.is_some() || self.shown.as_ref().is_some_and(|(shown, _)| *shown == wanted)
    }

    /// What is to be said beside the picture.
    fn playing(&self, position: Duration) -> Playing {
        let index = self.recording.index();
        let number = self.shown.as_ref().map_or(0, |(number, _)| *number);
        let missing = index.missing(number, position);
        let mut badges = Vec::new();
        if let Some(mark) = missing {
            badges.push((Mood::Bad, mark.cause.clone()));
        }
        badges.push(match self.transport.plays() {
            true => (Mood::Good, "playing".to_owned()),
            false if position >= index.length() => (Mood::Warning, "at the end".to_owned()),
            false => (Mood::Warning, "paused".to_owned()),
        });
        if self.transport.speed() != 1.0 {
            badges.push((Mood::Warning, format!("speed {}", self.transport.speed())));
        }
        let time = match index.began_us.filter(|_| self.time_of_day) {
            Some(began) => day(began, position),
            None => format!("{} / {}", clock(position), clock(index.length())),
        };
        let size = self.shown.as_ref().map(|(_, picture)| (picture.width, picture.height));
        let (width, height) = size.unwrap_or_default();
        let figures = format!("{time}  {}/{}  {width}x{height}", number + 1, index.len());
        let length = index.length().as_secs_f32();
        let part = if length > 0.0 { position.as_secs_f32() / length } else { 1.0 };
        let title = "there is no picture here".to_owned();
        Playing {
            host: self.recording.host(),
            badges,
            figures,
            message: self.failure.as_ref().map(|words| (title, vec![words.clone()])),
            notice: self.notice.clone(),
            bar: Bar { position: part, gaps: self.gaps.clone() },
        }
    }

    fn say(&mut self, text: String) {
        self.notice = Some(Notice { text, at: Instant::now() });
    }
}

/// Date and time of a place in a recording, here.
fn day(began_us: u64, position: Duration) -> String {
    let us = i64::try_from(began_us)
        .ok()
        .and_then(|began| began.checked_add(i64::try_from(position.as_micros()).ok()?));
    let time = us.and_then(|us| jiff::Timestamp::from_microsecond(us).ok());
    let zone = jiff::tz::TimeZone::system();
    time.map_or_else(
        || "?".to_owned(),
        |time| time.to_zoned(zone).strftime("%Y-%m-%d %H:%M:%S").to_string(),
    )
}
