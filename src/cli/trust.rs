//! Whom a command trusts: the flags for it, `hightower trust`, and the question to the user.

use super::machines::{self, Outcome, Whom};
use crate::address::Target;
use crate::rendezvous::{HubUrl, Via};
use crate::trust::hubs::{HubTls, KnownHubs};
use crate::trust::{KnownAgent, KnownAgents, Place, PublicKey, SecretKey, Standing, load_public};
use crate::viewer::{Credentials, Detour, PlainWith, Security};
use anyhow::{Context, Result, bail, ensure};
use clap::Args;
use futures_util::stream::{self, StreamExt};
use std::collections::HashMap;
use std::io::{self, BufRead, IsTerminal, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::TcpStream;
use tokio::time::timeout;
use zeroize::Zeroizing;

/// How long an agent has to show its key.
const PATIENCE: Duration = Duration::from_secs(5);

/// Which key is yours.
#[derive(Debug, Args)]
#[command(next_help_heading = "Trust")]
pub(super) struct KeyArgs {
    /// Your secret key, if not operator_key in Hightower's folder.
    #[arg(long, value_name = "FILE", env = "HIGHTOWER_KEY")]
    key: Option<PathBuf>,
    /// The first line of this file is your key's passphrase.
    #[arg(long, value_name = "FILE", env = "HIGHTOWER_PASSPHRASE_FILE")]
    passphrase_file: Option<PathBuf>,
}

/// How many unknown agents are asked for their key at a time.
const AT_ONCE: usize = 64;

/// How to make sure who an agent is.
#[derive(Debug, Args)]
#[command(next_help_heading = "Trust")]
pub(super) struct TrustArgs {
    #[command(flatten)]
    key: KeyArgs,
    /// Take agents at their word that are not known yet, and remember them.
    #[arg(long, env = "HIGHTOWER_ACCEPT_NEW")]
    accept_new: bool,
    /// Use TLS and keys on this machine's loopback too.
    #[arg(long, env = "HIGHTOWER_TLS", conflicts_with = "insecure")]
    tls: bool,
    /// Encrypt nothing and make sure of nothing, for agents that were started so.
    #[arg(long, env = "HIGHTOWER_INSECURE")]
    insecure: bool,
    #[command(flatten)]
    way: WayArgs,
}

/// By which way machines are reached.
#[derive(Debug, Args)]
#[command(next_help_heading = "Trust")]
struct WayArgs {
    /// Ask this hub, https://HOST:PORT, for machines that dial in there: they are called directly
    /// where they can be, and through the hub where not. It sees nothing of what is said.
    #[arg(long, value_name = "URL", env = "HIGHTOWER_VIA")]
    via: Option<HubUrl>,
    /// The hub's certificate, or that of an authority which vouches for it, in PEM.
    #[arg(long, value_name = "FILE", env = "HIGHTOWER_HUB_CERTIFICATE")]
    hub_certificate: Option<PathBuf>,
}

impl WayArgs {
    /// By a hub, for the operator with this key.
    fn by(&self, hub: &HubUrl, key: &SecretKey, place: &Place) -> Result<Arc<dyn Detour>> {
        Ok(Arc::new(Via::new(hub.clone(), self.tls(hub, place)?, key.clone())))
    }

    /// How it is made sure which hub it is.
    fn tls(&self, hub: &HubUrl, place: &Place) -> Result<HubTls> {
        let known = KnownHubs::at(place.known_hubs());
        Ok(HubTls::of(&hub.name(), &known, self.hub_certificate.as_deref())?)
    }
}

/// Get to know agents by their keys.
///
/// Shows the fingerprint of the key that the agent on HOST has. Compare it with what the agent
/// printed when it started, or with `hightower id` there. From then on, nobody else can pass for
/// it. Of several you are asked about each.
#[derive(Debug, Args)]
pub(super) struct KnowArgs {
    /// Machines: NAME, ADDRESS, NAME:PORT, [IPV6]:PORT, or @GROUP of hightower.toml.
    #[arg(value_name = "HOST", required = true)]
    hosts: Vec<Whom>,
    /// The fingerprint that one machine must have; then nobody is asked.
    #[arg(long, value_name = "SHA256:…", conflicts_with_all = ["accept_new", "forget"])]
    fingerprint: Option<String>,
    /// Take them at their word.
    #[arg(long, env = "HIGHTOWER_ACCEPT_NEW", conflicts_with = "forget")]
    accept_new: bool,
    /// The key that one machine has, as `hightower id --json` there prints it; it is not called then,
    /// as one that dials in can't be.
    #[arg(long, value_name = "ssh-ed25519 …")]
    #[arg(conflicts_with_all = ["accept_new", "forget", "fingerprint"])]
    public_key: Option<PublicKey>,
    /// Forget the keys that they are known by.
    #[arg(long)]
    forget: bool,
    #[command(flatten)]
    own: KeyArgs,
    #[command(flatten)]
    way: WayArgs,
}

impl TrustArgs {
    /// What a client needs to talk to these machines. Where an agent is not known and somebody can
    /// be asked, they are asked now.
    pub(super) fn security(&self, targets: &[Target]) -> Result<Security> {
        // Where the file says one thing and a flag the other, the safer counts.
        let plain = match (self.tls, self.insecure) {
            (true, _) => PlainWith::Nobody,
            (_, true) => PlainWith::Anyone,
            _ => PlainWith::Loopback,
        };
        if let Some(hub) = &self.way.via {
            return self.via(hub, targets);
        }
        let open = Security { plain, credentials: None };
        let runtime = runtime()?;
        let found =
            stream::iter(targets).map(Target::resolve).buffered(AT_ONCE).collect::<Vec<_>>();
        let found = runtime.block_on(found);
        let known = Place::find().ok().map(|place| KnownAgents::at(place.known_agents()));
        let pinned = |target: &Target| {
            // A file that can't be read is told of when it is used.
            let key = known.as_ref().map(|known| known.key_of(target));
            plain == PlainWith::Loopback && !matches!(key, None | Some(Ok(None)))
        };
        let ask = targets.iter().zip(found).filter(|(target, found)| match found {
            _ if pinned(target) => true,
            // Such a server has no key.
            _ if plain == PlainWith::Loopback && target.is_historical() => false,
            Ok(found) => found.iter().any(|peer| open.asks(peer)),
            // A name that is not found now may be found later.
            Err(_) => plain != PlainWith::Anyone,
        });
        let ask: Vec<&Target> = ask.map(|(target, _)| target).collect();
        if ask.is_empty() {
            return Ok(open);
        }
        let place = Place::find()?;
        if self.key.key.is_none() && !self.key.path(&place).exists() {
            // It is said when it is needed.
            return Ok(open);
        }
        let key = self.key.load(&place)?;
        place.make()?;
        let known = KnownAgents::at(place.known_agents());
        let mut new = Vec::new();
        for target in ask {
            if known.key_of(target)?.is_none() {
                new.push(target);
            }
        }
        introduce(&runtime, new, &known, self.accept_new, None)?;
        let credentials = Credentials::new(&key, known, self.accept_new)?;
        Ok(Security { plain, credentials: Some(Arc::new(credentials)) })
    }

    /// What a client needs to talk to machines by a hub: who they are is always made sure of.
    fn via(&self, hub: &HubUrl, targets: &[Target]) -> Result<Security> {
        // Where the file says so, and not a flag.
        ensure!(
            !self.insecure,
            "by a hub it is always made sure who is there: leave --insecure away"
        );
        let place = Place::find()?;
        let key = self.key.load(&place)?;
        place.make()?;
        let via = self.way.by(hub, &key, &place)?;
        let known = KnownAgents::at(place.known_agents());
        let mut new = Vec::new();
        for target in targets {
            if known.key_of(target)?.is_none() {
                new.push(target);
            }
        }
        introduce(&runtime()?, new, &known, self.accept_new, Some(&*via))?;
        let credentials = Credentials::new(&key, known, self.accept_new)?;
        let plain = PlainWith::Nobody;
        Ok(Security { plain, credentials: Some(Arc::new(credentials)) }.by(via))
    }

    /// What it takes to sign in at a hub: the key, and how the hub is made sure of. Which hub that is
    /// was typed with the machine, so `--via` means nothing here.
    pub(super) fn at_hub(&self, hub: &HubUrl) -> Result<(SecretKey, HubTls)> {
        let place = Place::find()?;
        Ok((self.key.load(&place)?, self.way.tls(hub, &place)?))
    }

    /// Whether machines are reached by a hub alone.
    pub(super) fn is_via(&self) -> bool {
        self.way.via.is_some()
    }

    /// What a hub needs: the machines that dial in have to be known by a key, where there is one to
    /// show them.
    pub(super) fn of_hub(&self, targets: &[Target]) -> Result<Security> {
        ensure!(!self.is_via(), "a hub calls its machines itself: leave --via away");
        let security = self.security(targets)?;
        if security.credentials.is_some() || !self.has_key() {
            return Ok(security);
        }
        Ok(Security { credentials: Some(Arc::new(self.credentials()?)), ..security })
    }

    /// The operator's key and the agents that they know, where there is a key that needs no
    /// passphrase, or one was given: nobody is asked for what is not needed.
    pub(super) fn if_there_is_a_key(&self) -> Result<Option<Credentials>> {
        let Ok(place) = Place::find() else { return Ok(None) };
        let path = self.key.path(&place);
        if self.insecure || self.key.key.is_none() && !path.exists() {
            return Ok(None);
        }
        let passphrase = |key: &Path| match &self.key.passphrase_file {
            Some(_) => self.key.passphrase(key),
            None => Err(io::ErrorKind::Unsupported.into()),
        };
        let key = match SecretKey::load(&path, passphrase) {
            Ok(key) => key,
            Err(e) if self.key.key.is_some() || self.key.passphrase_file.is_some() => {
                return Err(e.into());
            }
            Err(e) => {
                tracing::warn!("asks without a key: {e}");
                return Ok(None);
            }
        };
        let known = KnownAgents::at(place.known_agents());
        Ok(Some(Credentials::new(&key, known, self.accept_new)?))
    }

    /// Whether there is a key, and it may be used.
    pub(super) fn has_key(&self) -> bool {
        let is_there = |place: Place| self.key.path(&place).exists();
        !self.insecure && (self.key.key.is_some() || Place::find().is_ok_and(is_there))
    }

    /// The operator's key and the agents that they know, for what is always signed.
    pub(super) fn credentials(&self) -> Result<Credentials> {
        ensure!(!self.insecure, "an order to a room is always signed: leave --insecure away");
        let place = Place::find()?;
        let (key, known) = (self.key.load(&place)?, KnownAgents::at(place.known_agents()));
        Ok(Credentials::new(&key, known, self.accept_new)?)
    }
}

impl KeyArgs {
    fn path(&self, place: &Place) -> PathBuf {
        self.key.clone().unwrap_or_else(|| place.operator_key())
    }

    fn load(&self, place: &Place) -> Result<SecretKey> {
        Ok(SecretKey::load(&self.path(place), |path| self.passphrase(path))?)
    }

    /// The key, and the name that goes with it.
    pub(super) fn load_named(&self, place: &Place) -> Result<(SecretKey, String)> {
        let key = self.load(place)?;
        let (_, name) = load_public(&self.path(place))?;
        Ok((key, name))
    }

    fn passphrase(&self, key: &Path) -> io::Result<Zeroizing<String>> {
        if let Some(path) = &self.passphrase_file {
            return super::key::first_line(path).map_err(io::Error::other);
        }
        let asked = format!("Passphrase of {}: ", key.display());
        rpassword::prompt_password(asked).map(Zeroizing::new)
    }
}

/// The names of the agents that are known, by the fingerprints of their keys: the first name of
/// each.
pub(super) fn known_by_fingerprint() -> Result<HashMap<String, Target>> {
    let Ok(place) = Place::find() else { return Ok(HashMap::new()) };
    let known = KnownAgents::at(place.known_agents()).list()?;
    let named = |agent: KnownAgent| {
        let name = agent.names.iter().find_map(|name| name.parse().ok())?;
        Some((agent.key.fingerprint(), name))
    };
    Ok(known.into_iter().filter_map(named).collect())
}

pub(super) fn runtime() -> Result<tokio::runtime::Runtime> {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .context("can't start the network")
}

/// The key that the agent shows. That it has the secret half is proven later, when it counts.
async fn meet(target: &Target, detour: Option<&dyn Detour>) -> Result<PublicKey> {
    let stranger =
        Credentials::new(&SecretKey::generate(), KnownAgents::at(PathBuf::new()), false)?;
    if let Some(detour) = detour
        && let Some(lead) = detour.find(target, PATIENCE).await?
    {
        let (stream, peer) = lead.open.await?;
        let met = timeout(PATIENCE, stranger.meet(stream)).await;
        return Ok(met.with_context(|| format!("{peer} joins with nobody who answers"))??);
    }
    let mut failed = None;
    for peer in target.resolve().await? {
        let met = timeout(PATIENCE, async {
            let stream = TcpStream::connect(peer).await?;
            anyhow::Ok(stranger.meet(stream).await?)
        });
        match met.await {
            Ok(Ok(key)) => return Ok(key),
            Ok(Err(e)) => failed = failed.or(Some(e.context(format!("{peer} shows no key")))),
            Err(_) => failed = failed.or(Some(anyhow::anyhow!("{peer} does not answer"))),
        }
    }
    Err(failed.unwrap_or_else(|| anyhow::anyhow!("{target} has no address")))
}

/// Takes agents at their word that are not known, or asks the user about them, one after another,
/// if there are both.
fn introduce(
    runtime: &tokio::runtime::Runtime,
    targets: Vec<&Target>,
    known: &KnownAgents,
    accept_new: bool,
    detour: Option<&dyn Detour>,
) -> Result<()> {
    let asks = io::stdin().is_terminal() && io::stderr().is_terminal();
    if !asks && !accept_new {
        return Ok(());
    }
    // Those that are not there cost their time at once, and not one after another.
    let meet = async |target| (target, meet(target, detour).await);
    let met = stream::iter(targets).map(meet).buffered(AT_ONCE).collect::<Vec<_>>();
    for (target, key) in runtime.block_on(met) {
        // An agent that is not there now may be later; whoever connects says why it is not.
        let Ok(key) = key else { continue };
        if !accept_new {
            let names = known.names_of(&key)?;
            ensure!(ask(target, &key, &names)?, "not trusted, and nothing was sent");
        }
        known.add(target, &key)?;
    }
    Ok(())
}

/// Shows the fingerprint and asks; only 'yes' is a yes.
fn ask(target: &Target, key: &PublicKey, names: &[String]) -> Result<bool> {
    let mut to = io::stderr().lock();
    writeln!(to, "{target} is not known yet. The key that it shows is")?;
    writeln!(to, "  {}", key.fingerprint())?;
    if !names.is_empty() {
        writeln!(to, "which you know as {}.", crate::text::printable(&names.join(", ")))?;
    }
    write!(to, "Is that what `hightower id` prints there? (yes/no) ")?;
    to.flush()?;
    let mut answer = String::new();
    io::stdin().lock().read_line(&mut answer)?;
    Ok(answer.trim() == "yes")
}

pub(super) fn know(args: KnowArgs) -> Result<ExitCode> {
    let (targets, place) = (machines::expand(&args.hosts)?, Place::find()?);
    ensure!(
        args.fingerprint.is_none() || targets.len() == 1,
        "a fingerprint is one machine's: name one with --fingerprint"
    );
    ensure!(
        args.public_key.is_none() || targets.len() == 1,
        "a key is one machine's: name one with --public-key"
    );
    let known = KnownAgents::at(place.known_agents());
    if !args.forget {
        place.make()?;
    }
    let via = match args.way.via.as_ref().filter(|_| !args.forget && args.public_key.is_none()) {
        Some(hub) => Some(args.way.by(hub, &args.own.load(&place)?, &place)?),
        None => None,
    };
    // Those that are not there cost their time at once, and not one after another.
    let meet = async |target| match (args.forget, args.public_key) {
        (true, _) => (target, None),
        (false, Some(key)) => (target, Some(Ok(key))),
        (false, None) => (target, Some(meet(target, via.as_deref()).await)),
    };
    let met = stream::iter(&targets).map(meet).buffered(AT_ONCE).collect::<Vec<_>>();
    let mut done = 0;
    for (target, met) in runtime()?.block_on(met) {
        let words = match met {
            None => forget(target, &known),
            Some(met) => met.and_then(|key| know_one(&args, target, &key, &known)),
        };
        let words = match words {
            Err(e) if targets.len() == 1 => return Err(e),
            Err(e) => Outcome::failed(format!("{e:#}")).line(&target.to_string(), 0, false),
            Ok(words) => {
                done += 1;
                words
            }
        };
        say(&words)?;
    }
    machines::summary(targets.len(), done);
    Ok(if done == targets.len() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn forget(target: &Target, known: &KnownAgents) -> Result<String> {
    ensure!(known.forget(target)?, "{target} is not known");
    Ok(format!("{target} is forgotten"))
}

/// Makes an agent known by the key that it shows, if that is right; gives what there is to say.
fn know_one(
    args: &KnowArgs,
    target: &Target,
    key: &PublicKey,
    known: &KnownAgents,
) -> Result<String> {
    let fingerprint = key.fingerprint();
    match known.standing(target, key)? {
        Standing::Known => return Ok(format!("{target} is known already, {fingerprint}")),
        Standing::Changed(other) => bail!(
            "{target} is known by another key, {}, and shows {fingerprint}: when you are sure that \
             this is right, `hightower trust --forget {target}`",
            other.fingerprint()
        ),
        Standing::New => {}
    }
    if let Some(expected) = &args.fingerprint {
        ensure!(*expected == fingerprint, "{target} shows another key, {fingerprint}");
    } else if !args.accept_new && args.public_key.is_none() {
        ensure!(
            io::stdin().is_terminal(),
            "{target} shows {fingerprint}, and there is nobody to ask: give --fingerprint or \
             --accept-new"
        );
        ensure!(ask(target, key, &known.names_of(key)?)?, "not trusted");
    }
    known.add(target, key)?;
    Ok(format!("{target} is known by {fingerprint}"))
}

fn say(line: &str) -> Result<()> {
    writeln!(io::stdout(), "{line}").context("can't write to standard output")
}
