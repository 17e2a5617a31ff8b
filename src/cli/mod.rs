//! The command line.

pub mod view;

/// Hightower: a screen monitor for rooms of machines.
#[derive(Debug, clap::Parser)]
#[command(name = "hightower", version)]
pub struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// What can be done.
#[derive(Debug, clap::Subcommand)]
pub enum Command {
    /// Watch a machine's screen
    ///
    /// Connects to the agent on HOST, starts the monitoring, and shows its screen. When the
    /// connection is lost it is made again, for as long as it takes; the last picture stays, and
    /// the cause is shown.
    View(view::ViewArgs),
}
