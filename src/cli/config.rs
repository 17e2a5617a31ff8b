//! `hightower config`, and what the configuration file says to every command.

use crate::config::{ConfigFile, FILE, Fault, Given, Setting};
use crate::directory::Directory;
use crate::text::printable;
use crate::trust::Place;
use anyhow::{Context, Result, bail};
use clap::builder::Resettable;
use clap::error::ErrorKind;
use clap::{ArgAction, Args, Command, Subcommand};
use std::fs::OpenOptions;
use std::io::Write;
use std::path::PathBuf;
use std::process::ExitCode;

/// What `hightower config init` writes: all of it is commented out.
const TEMPLATE: &str = include_str!("../../assets/hightower.toml");

/// Flags that say for whom or how once a command is given: in a file they would make another
/// command of it.
const ONCE: [&str; 10] = [
    "all",
    "append",
    "fingerprint",
    "force",
    "forget",
    "help",
    "pair",
    "pause",
    "resume",
    "version",
];

/// Says that nobody on the networks is to be asked for anything.
const NO_DISCOVERY: &str = "HIGHTOWER_NO_DISCOVERY";

/// Names, groups and settings: the file hightower.toml.
///
/// It is in Hightower's folder (~/.config/hightower, or HIGHTOWER_CONFIG). A flag counts for more
/// than an environment variable, that for more than the file, and the file for more than what is
/// usual. A switch that the file sets is taken back by its variable (HIGHTOWER_AUTOSTART=false).
#[derive(Debug, Args)]
pub(super) struct ConfigArgs {
    #[command(subcommand)]
    task: Task,
}

#[derive(Debug, Subcommand)]
enum Task {
    /// Write the file, with everything in it explained and nothing set.
    Init {
        /// Write over the file that is there.
        #[arg(long)]
        force: bool,
    },
    /// Read the file and say what is wrong with it.
    Check,
    /// Print where the file is.
    Path,
}

/// Where the file is.
fn path() -> Result<PathBuf> {
    Ok(Place::find()?.folder().join(FILE))
}

/// The file as it is now; nothing where there is none, or no home for it.
pub(super) fn load() -> Result<ConfigFile> {
    match path() {
        Ok(path) => Ok(ConfigFile::load(&path)?),
        Err(_) => Ok(ConfigFile::default()),
    }
}

/// Whether the networks may be asked for machines.
pub(super) fn discovers() -> bool {
    let off = std::env::var(NO_DISCOVERY).unwrap_or_default();
    matches!(off.as_str(), "" | "0" | "false" | "no" | "off")
}

/// The program's command with what the file sets, and the file's names known to the program.
///
/// # Errors
/// What is wrong with the file.
pub(super) fn follow(command: Command) -> Result<Command> {
    let file = load()?;
    let command = set(command, &file).map_err(|fault| match path() {
        Ok(path) => fault.of(&path).into(),
        Err(e) => e,
    })?;
    Directory::open(file.hosts, discovers());
    Ok(command)
}

/// Makes what the file sets the usual for the commands' flags.
fn set(mut command: Command, file: &ConfigFile) -> Result<Command, Fault> {
    for setting in &file.settings {
        let whole = command.clone();
        let Setting { command: name, flag, given, at: (key, value) } = setting;
        let Some(sub) = whole.find_subcommand(name).filter(|sub| !sub.is_hide_set()) else {
            let fault = format!("there is no command '{}', and no such section", printable(name));
            return Err(file.fault(key, fault));
        };
        let for_whom = [("fetch", "from"), ("send", "to")]
            .contains(&(name.as_str(), flag.as_str()))
            || flag == "group" && name != "agent";
        if ONCE.contains(&flag.as_str()) || for_whom {
            return Err(
                file.fault(key, format!("--{flag} is for when `hightower {name}` is typed"))
            );
        }
        let arg = sub.get_arguments().find(|arg| arg.get_long() == Some(flag));
        let Some(arg) = arg.cloned() else {
            let fault = format!("`hightower {name}` has no flag --{}", printable(flag));
            return Err(file.fault(key, fault));
        };
        let takes_value = arg.get_action().takes_values();
        let values = match given {
            Given::Switch(on) if !takes_value => {
                if !on || !matches!(arg.get_action(), ArgAction::SetTrue) {
                    continue;
                }
                vec!["true".to_owned()]
            }
            Given::Switch(_) => {
                return Err(file.fault(value, format!("--{flag} is set to a value")));
            }
            Given::Values(_) if !takes_value => {
                return Err(file.fault(value, format!("--{flag} is true or false")));
            }
            Given::Values(values) if matches!(arg.get_action(), ArgAction::Append) => {
                values.clone()
            }
            Given::Values(values) if values.len() == 1 => values.clone(),
            Given::Values(_) => return Err(file.fault(value, format!("--{flag} has one value"))),
        };
        if takes_value {
            for one in &values {
                try_value(sub, flag, one).map_err(|why| file.fault(value, why))?;
            }
        }
        let id = arg.get_id().clone();
        command = command
            .mut_subcommand(name.clone(), |sub| sub.mut_arg(id, |arg| arg.default_values(values)));
    }
    Ok(command)
}

/// Whether a flag takes a value, as if it were typed.
fn try_value(sub: &Command, flag: &str, value: &str) -> Result<(), String> {
    let typed = [sub.get_name().to_owned(), format!("--{flag}={value}")];
    // What the environment says is another matter.
    let sub = sub.clone().mut_args(|arg| arg.env(Resettable::Reset));
    match sub.try_get_matches_from(typed) {
        Err(e) if matches!(e.kind(), ErrorKind::InvalidValue | ErrorKind::ValueValidation) => {
            let said = e.render().to_string();
            let said = said.lines().next().unwrap_or_default();
            Err(said.trim_start_matches("error: ").to_owned())
        }
        // What else is missing or in the way is for who types it.
        _ => Ok(()),
    }
}

/// Runs `hightower config`.
pub(super) fn run(args: ConfigArgs, program: Command) -> Result<ExitCode> {
    let path = path()?;
    match args.task {
        Task::Path => say(&path.display().to_string())?,
        Task::Check => {
            let file = ConfigFile::load(&path)?;
            set(program, &file).map_err(|fault| fault.of(&path))?;
            let (machines, settings) = (file.machines().len(), file.settings.len());
            let is_there = path.exists();
            say(&match is_there {
                true => format!("{}: {machines} machines, {settings} settings", path.display()),
                false => {
                    format!("{} is not there: `hightower config init` makes it", path.display())
                }
            })?;
        }
        Task::Init { force } => {
            Place::find()?.make()?;
            let mut options = OpenOptions::new();
            options.write(true).create(true).truncate(force).create_new(!force);
            let mut file = match options.open(&path) {
                Ok(file) => file,
                Err(e) if e.kind() == std::io::ErrorKind::AlreadyExists => {
                    bail!("{} is there already; --force writes over it", path.display())
                }
                Err(e) => return Err(e).context(format!("can't write {}", path.display())),
            };
            let written = file.write_all(TEMPLATE.as_bytes());
            written.with_context(|| format!("can't write {}", path.display()))?;
            say(&format!("wrote {}", path.display()))?;
        }
    }
    Ok(ExitCode::SUCCESS)
}

fn say(text: &str) -> Result<()> {
    writeln!(std::io::stdout(), "{text}").context("can't write to standard output")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::Cli;
    use clap::CommandFactory;

    fn matches(text: &str, typed: &[&str]) -> clap::ArgMatches {
        let file = ConfigFile::parse(text.into()).expect("a file");
        let command = set(Cli::command(), &file).expect("followed");
        let typed = [&["hightower"], typed].concat();
        command.try_get_matches_from(typed).expect("matches").remove_subcommand().expect("one").1
    }

    #[test]
    fn flags_count_for_more_than_the_file_and_that_for_more_than_what_is_usual() {
        let text = "[agent]\nmax-fps = 30\nautostart = true\ngroup = [\"a\", \"b\"]\n";
        let of = |matches: &clap::ArgMatches| {
            let groups = matches.get_many::<String>("groups").expect("some");
            let groups: Vec<_> = groups.cloned().collect();
            let fps = *matches.get_one::<f64>("max_fps").expect("usual");
            (fps, matches.get_flag("autostart"), groups.join(","))
        };
        assert_eq!(of(&matches(text, &["agent"])), (30.0, true, "a,b".into()));
        let typed = ["agent", "--max-fps", "5", "--group", "c"];
        assert_eq!(of(&matches(text, &typed)), (5.0, true, "c".into()));
        assert_eq!(matches("", &["agent"]).get_one::<f64>("max_fps"), Some(&60.0));
        // What the file says is not typed: it requires and excludes nothing.
        let both = "[agent]\ninsecure = true\n[view]\njson = true\n";
        assert!(matches(both, &["agent", "--require-keys"]).get_flag("require_keys"));
        assert!(matches(both, &["view", "lab-7"]).get_flag("json"));
    }

    #[test]
    fn what_no_command_knows_is_told_with_its_place() {
        for (text, line, column, what) in [
            ("[agnet]\nautostart = true", 2, 1, "no command 'agnet'"),
            ("[question]\nx = 1", 2, 1, "no command"),
            ("[agent]\nautostrat = true", 2, 1, "no flag --autostrat"),
            ("[agent]\nmax-fps = 1000", 2, 11, "from 0.1 to 240"),
            ("[agent]\nmax-fps = true", 2, 11, "a value"),
            ("[agent]\nautostart = 1", 2, 13, "true or false"),
            ("[lock]\nall = true", 2, 1, "--all is for when"),
            ("[start]\ngroup = \"a\"", 2, 1, "--group is for when"),
            ("[fetch]\nfrom = \"a\"", 2, 1, "--from is for when"),
            ("[agent]\nmax-fps = [1, 2]", 2, 11, "one value"),
            ("[agent]\nlisten = \"here\"", 2, 10, "invalid"),
        ] {
            let file = ConfigFile::parse(text.into()).expect("a file");
            let fault = set(Cli::command(), &file).expect_err(text);
            assert_eq!((fault.line, fault.column), (line, column), "{text}: {fault:?}");
            assert!(fault.what.contains(what), "{text}: {fault:?}");
        }
    }

    #[test]
    fn what_is_written_at_first_is_a_file_that_says_nothing_and_could_say_everything() {
        assert_eq!(ConfigFile::parse(TEMPLATE.into()).expect("a file").machines(), Vec::new(),);
        let uncommented: Vec<String> = TEMPLATE
            .lines()
            .map(|line| match line.strip_prefix("#") {
                Some(setting) if !setting.starts_with(' ') => setting.to_owned(),
                _ => line.to_owned(),
            })
            .collect();
        let file = ConfigFile::parse(uncommented.join("\n")).expect("a file");
        set(Cli::command(), &file).expect("followed");
        assert!(!file.settings.is_empty() && !file.machines().is_empty());
    }
}
