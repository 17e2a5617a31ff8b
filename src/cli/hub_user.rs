//! `hightower hub-user`: who may sign in at a hub by a password.

use crate::hub::Users;
use crate::trust::{Place, Roles};
use anyhow::{Context, Result, bail, ensure};
use clap::Args;
use std::io::{BufRead, IsTerminal, Write};
use std::process::ExitCode;
use zeroize::Zeroizing;

/// Let somebody sign in at this hub by a password
///
/// Asks for the password, twice; without a terminal, takes the first line of standard input. A name
/// that is there already gets another password and other roles. It counts within a second, while
/// the hub runs.
#[derive(Debug, Args)]
pub(super) struct HubUserArgs {
    /// What they are called; without a name, all are listed.
    #[arg(value_name = "NAME")]
    name: Option<String>,
    /// What they may have done: view, control, message, files, some of these with commas, or all.
    #[arg(long, value_name = "ROLES", default_value = "all", conflicts_with = "remove")]
    roles: Roles,
    /// Take them off the list: they are signed out at once.
    #[arg(long, requires = "name")]
    remove: bool,
}

pub(super) fn run(args: HubUserArgs) -> Result<ExitCode> {
    let place = Place::find()?;
    let path = place.hub_users();
    let Some(name) = args.name else {
        let mut out = std::io::stdout().lock();
        for user in Users::load(&path)?.list() {
            writeln!(out, "{}  {}", user.name, user.roles).context("can't write")?;
        }
        return Ok(ExitCode::SUCCESS);
    };
    if args.remove {
        ensure!(
            Users::remove(&path, &name)?,
            "no user is called '{}'",
            crate::text::printable(&name)
        );
        return Ok(ExitCode::SUCCESS);
    }
    place.make()?;
    Users::set(&path, &name, args.roles, &password(&name)?)?;
    Ok(ExitCode::SUCCESS)
}

fn password(name: &str) -> Result<Zeroizing<String>> {
    if !std::io::stdin().is_terminal() {
        let mut line = Zeroizing::new(String::new());
        std::io::stdin().lock().read_line(&mut line).context("can't read standard input")?;
        let length = line.trim_end_matches(['\r', '\n']).len();
        line.truncate(length);
        return Ok(line);
    }
    let ask = |what: String| rpassword::prompt_password(what).map(Zeroizing::new);
    let first = ask(format!("Password for {}: ", crate::text::printable(name)))?;
    let again = ask("Once more: ".into())?;
    if *first != *again {
        bail!("the two are not the same, and nothing was changed");
    }
    Ok(first)
}
