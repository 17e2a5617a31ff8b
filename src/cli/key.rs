//! `hightower keygen` and `hightower id`.

use crate::trust::{Place, PublicKey, SecretKey, load_public};
use anyhow::{Context, Result, bail, ensure};
use clap::Args;
use std::io::{self, IsTerminal, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use zeroize::Zeroizing;

/// The longest passphrase, in bytes.
const MAX_PASSPHRASE: u64 = 4096;

/// Make your key: agents know you by it.
///
/// It is written for you alone to read, in the form that `ssh-keygen` understands, with its public
/// half beside it. An agent makes a key of its own when it first starts.
#[derive(Debug, Args)]
pub(super) struct KeygenArgs {
    /// Where to write it, if not to operator_key in Hightower's folder.
    #[arg(long, value_name = "FILE")]
    file: Option<PathBuf>,
    /// The name that goes with it, if not USER@HOST.
    #[arg(long, value_name = "NAME")]
    name: Option<String>,
    /// Protect it by its file's mode alone, and don't ask for a passphrase.
    #[arg(long)]
    no_passphrase: bool,
    /// Take the passphrase from the first line of a file.
    #[arg(long, value_name = "FILE", conflicts_with = "no_passphrase")]
    passphrase_file: Option<PathBuf>,
    /// Print one line of JSON.
    #[arg(long)]
    json: bool,
}

/// Print the fingerprints of keys: of your own and this machine's agent's, or of files.
#[derive(Debug, Args)]
pub(super) struct IdArgs {
    /// Key files, secret or public.
    #[arg(value_name = "FILE")]
    files: Vec<PathBuf>,
    /// Print one line of JSON a key.
    #[arg(long)]
    json: bool,
}

pub(super) fn generate(args: KeygenArgs) -> Result<ExitCode> {
    let file = match args.file {
        Some(file) => file,
        None => {
            let place = Place::find()?;
            place.make()?;
            place.operator_key()
        }
    };
    // Said before anybody thinks of a passphrase.
    ensure!(!file.exists(), "{} exists already: keys are not overwritten", file.display());
    let passphrase = match args.passphrase_file {
        _ if args.no_passphrase => None,
        Some(path) => Some(first_line(&path)?),
        None => new_passphrase()?,
    };
    let name = args.name.unwrap_or_else(own_name);
    let key = SecretKey::generate();
    key.save(&file, &name, passphrase.as_ref().map(|p| p.as_str()))?;

    let public = key.public();
    let line = format!("all {public} {name}");
    let mut out = io::stdout().lock();
    let written = if args.json {
        let event = serde_json::json!({
            "file": file, "public": public.to_string(), "fingerprint": public.fingerprint(),
            "name": name, "line": line,
        });
        writeln!(out, "{event}")
    } else {
        writeln!(
            out,
            "key          {}\nfingerprint  {}\n\nAn agent obeys you once this line is in its \
             authorized_operators:\n\n{line}",
            file.display(),
            public.fingerprint()
        )
    };
    written.context("can't write to standard output")?;
    Ok(ExitCode::SUCCESS)
}

/// `USER@HOST`, as far as they are known.
fn own_name() -> String {
    let user = ["USER", "LOGNAME", "USERNAME"].iter().find_map(|name| std::env::var(name).ok());
    let host = gethostname::gethostname().to_string_lossy().into_owned();
    crate::text::printable(&user.map_or_else(|| host.clone(), |user| format!("{user}@{host}")))
}

/// Asks twice for a passphrase; an empty one is none.
fn new_passphrase() -> Result<Option<Zeroizing<String>>> {
    ensure!(
        io::stdin().is_terminal(),
        "there is no terminal to ask for a passphrase on: give --no-passphrase or --passphrase-file"
    );
    let ask = |words: &str| rpassword::prompt_password(words).map(Zeroizing::new);
    let first = ask("Passphrase (empty for none): ").context("can't ask for a passphrase")?;
    if first.is_empty() {
        return Ok(None);
    }
    let second = ask("The same again: ").context("can't ask for a passphrase")?;
    ensure!(first == second, "the two are not the same; no key was made");
    Ok(Some(first))
}

/// The first line of a file, without its end.
pub(super) fn first_line(path: &Path) -> Result<Zeroizing<String>> {
    use io::Read;
    let shown = path.display();
    let file = std::fs::File::open(path).with_context(|| format!("can't read {shown}"))?;
    let mut text = Zeroizing::new(String::new());
    file.take(MAX_PASSPHRASE)
        .read_to_string(&mut text)
        .with_context(|| format!("can't read {shown}"))?;
    match text.lines().next() {
        Some(line) if !line.is_empty() => Ok(Zeroizing::new(line.to_owned())),
        _ => bail!("the first line of {shown} is empty: it should be the passphrase"),
    }
}

pub(super) fn show(args: IdArgs) -> Result<ExitCode> {
    let mut keys: Vec<(&str, PathBuf)> = Vec::new();
    if args.files.is_empty() {
        let place = Place::find()?;
        let own = [("operator", place.operator_key()), ("agent", place.agent_key())];
        keys.extend(own.into_iter().filter(|(_, path)| path.exists()));
        ensure!(
            !keys.is_empty(),
            "there are no keys in {} yet: `hightower keygen` makes yours, and an agent makes its \
             own when it first starts",
            place.folder().display()
        );
    } else {
        keys.extend(args.files.into_iter().map(|path| ("key", path)));
    }
    let mut out = io::stdout().lock();
    let mut all_read = true;
    for (kind, path) in keys {
        match load_public(&path) {
            Ok((key, name)) => {
                let line = if args.json {
                    json(kind, &path, &key, &name)
                } else {
                    text(kind, &path, &key, &name)
                };
                writeln!(out, "{line}").context("can't write to standard output")?;
            }
            Err(e) => {
                all_read = false;
                eprintln!("hightower: {e}");
            }
        }
    }
    Ok(if all_read { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn json(kind: &str, path: &Path, key: &PublicKey, name: &str) -> String {
    let (fingerprint, public) = (key.fingerprint(), key.to_string());
    serde_json::json!({
        "kind": kind, "fingerprint": fingerprint, "public": public, "name": name, "file": path,
    })
    .to_string()
}

fn text(kind: &str, path: &Path, key: &PublicKey, name: &str) -> String {
    let name = crate::text::printable(name);
    let line = format!("{kind:8}  {}  {}  {name}", key.fingerprint(), path.display());
    line.trim_end().to_owned()
}
