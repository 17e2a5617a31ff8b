//! `hightower view`: watch a machine's screen, in a window or from a script.

use super::machines;
use super::signal::interruption;
use super::trust::TrustArgs;
use crate::address::Target;
use crate::text::printable;
use crate::viewer::headless::{self, HeadlessOptions};
use crate::viewer::window::{self, WindowOptions};
use crate::viewer::{Client, ClientOptions, Folders};
use anyhow::Context;
use std::io::IsTerminal;
use std::path::PathBuf;
use std::process::ExitCode;
use std::str::FromStr;
use std::time::Duration;

const EXAMPLES: &str = "\
Examples:
  hightower view lab-7                      watch lab-7 in a window; H shows the keys
  hightower view 192.168.1.5:4000           another port
  hightower view lab-7 --no-start           watch without starting the monitoring
  hightower view lab-7 --headless --save screen.png --timeout 5
                                            one picture into a file, no window
  hightower view lab-7 --headless --frames 100 --json
                                            a line of JSON for each of 100 pictures

Exit code: 0 when what was asked for was done, 1 when not (standard error says why),
130 when Ctrl-C came first.";

/// Watch a machine's screen
///
/// Connects to the agent on HOST, starts the monitoring, and shows its screen. When the connection
/// is lost it is made again, for as long as it takes; the last picture stays, and the cause is
/// shown.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct ViewArgs {
    /// The machine: a name, an IPv4 address, an IPv6 address or [IPV6]:PORT
    #[arg(value_name = "HOST[:PORT]", value_parser = one)]
    target: Target,

    /// Leave the monitoring as it is: never start it on connecting
    #[arg(long)]
    no_start: bool,

    /// End when the connection is lost or can't be made
    #[arg(long)]
    no_reconnect: bool,

    /// Skip bytes that are neither a frame nor a packet, for plain servers that send such
    #[arg(long)]
    tolerant: bool,

    /// Ask for 1/N of the screen's width and height, N from 1 to 16
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=16))]
    scale: u32,

    /// Ask for so many pictures a second at most; the agent has a limit of its own
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    max_fps: Option<u32>,

    /// The window's size at first, in pixels
    #[arg(long, value_name = "WxH", conflicts_with = "headless")]
    size: Option<Size>,

    /// Where the key P puts its screenshots
    #[arg(long, value_name = "DIR", default_value = ".", conflicts_with = "headless")]
    screenshots: PathBuf,

    /// Where the key R puts its recordings
    #[arg(long, value_name = "DIR", default_value = ".", conflicts_with = "headless")]
    recordings: PathBuf,

    /// No window: lines on standard output instead
    ///
    /// Without a terminal it ends when the agent is not known: nobody makes it known meanwhile.
    #[arg(long)]
    headless: bool,

    /// End after so many pictures
    ///
    /// Without it, a viewer without a window runs until Ctrl-C; with --save it ends after one.
    #[arg(long, value_name = "N", requires = "headless", value_parser = clap::value_parser!(u64).range(1..))]
    frames: Option<u64>,

    /// Write the last picture there, as a lossless PNG
    #[arg(long, value_name = "FILE.png", requires = "headless")]
    save: Option<PathBuf>,

    /// End after this time at the latest
    #[arg(long, value_name = "TIME", requires = "headless", value_parser = super::duration)]
    timeout: Option<Duration>,

    /// One JSON object a line on standard output, and nothing else there
    #[arg(long, requires = "headless")]
    json: bool,

    #[command(flatten)]
    trust: TrustArgs,
}

fn one(text: &str) -> Result<Target, String> {
    let group = printable(text);
    machines::alone(text, &format!("`hightower wall {group}` shows many in one window"))
}

/// A size in pixels, written `WxH`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Size {
    /// Width.
    pub(super) width: usize,
    /// Height.
    pub(super) height: usize,
}

impl FromStr for Size {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let bad = || format!("'{text}' is no size: give WxH, from 160x120 to 16384x16384");
        let (width, height) = text.split_once(['x', 'X']).ok_or_else(bad)?;
        let number = |text: &str| text.parse::<usize>().map_err(|_| bad());
        let (width, height) = (number(width)?, number(height)?);
        let fits = (160..=16_384).contains(&width) && (120..=16_384).contains(&height);
        if fits { Ok(Self { width, height }) } else { Err(bad()) }
    }
}

/// Runs `hightower view`. The window, when there is one, belongs to the calling thread, which
/// should be the main one.
///
/// # Errors
/// When what was asked for was not done, in words for the user.
pub(super) fn run(args: ViewArgs) -> anyhow::Result<ExitCode> {
    let options = ClientOptions {
        security: args.trust.security(std::slice::from_ref(&args.target))?,
        start: !args.no_start,
        reconnect: !args.no_reconnect,
        // A script makes nobody known while it waits.
        await_trust: !args.headless || std::io::stdin().is_terminal(),
        tolerant: args.tolerant,
        scale: args.scale,
        max_fps: args.max_fps.unwrap_or(0),
        ..ClientOptions::default()
    };
    let interrupted = interruption().context("can't listen for Ctrl-C")?;
    if args.headless {
        let frames = args.frames.or(args.save.is_some().then_some(1));
        let (save, timeout, json) = (args.save, args.timeout, args.json);
        let wanted = HeadlessOptions { frames, save, timeout, json };
        headless::prepare(&wanted)?;
        let client = Client::start(args.target.clone(), options)?;
        return headless::run(&client, &args.target, &wanted, &interrupted);
    }
    let size = args.size.map(|size| (size.width, size.height));
    let folders = Folders { screenshots: args.screenshots, recordings: args.recordings };
    let wanted = WindowOptions { size, folders };
    window::run(args.target, options, wanted, &interrupted)
}
