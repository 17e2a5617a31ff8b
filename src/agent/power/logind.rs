//! What logind does for this user: `org.freedesktop.login1` on the system's bus.
//!
//! Its rules (polkit) say who may; a user in front of the machine usually may. A bus that says
//! nothing is given up: the connection is dropped, and nothing is asked on it later.

use hightower_proto::message::Act;

/// Whether the act could be done by this user.
///
/// # Errors
/// Why not, in words.
#[cfg(target_os = "linux")]
pub(super) async fn may(act: Act) -> Result<(), String> {
    linux::may(act).await
}

/// Does it, unless it is not wanted any more once logind can be asked.
///
/// # Errors
/// Why it was not done, in words.
#[cfg(target_os = "linux")]
pub(super) async fn run(act: Act, wanted: impl Fn() -> bool) -> Result<(), String> {
    linux::run(act, wanted).await
}

#[cfg(not(target_os = "linux"))]
pub(super) async fn may(_: Act) -> Result<(), String> {
    Err("the agent's system has no logind, by which this is done".into())
}

#[cfg(not(target_os = "linux"))]
pub(super) async fn run(act: Act, _: impl Fn() -> bool) -> Result<(), String> {
    may(act).await
}

#[cfg(target_os = "linux")]
mod linux {
    use super::Act;
    use std::cell::Cell;
    use std::time::Duration;
    use tokio::time::{Instant, sleep, timeout};
    use zbus::proxy::{Builder, CacheProperties};
    use zbus::zvariant::OwnedObjectPath;
    use zbus::{Connection, Proxy, connection};

    const SERVICE: &str = "org.freedesktop.login1";

    /// How long the bus and logind may take in all, from the connection on.
    const PATIENCE: Duration = Duration::from_secs(8);

    /// How long a screen may take to be locked, and how often it is looked at meanwhile.
    const LOCKS: Duration = Duration::from_secs(2);
    const LOOK: Duration = Duration::from_millis(100);

    pub(super) async fn may(act: Act) -> Result<(), String> {
        let asked = async { Manager::find().await?.may(act).await };
        timeout(PATIENCE, asked).await.unwrap_or_else(|_| Err(silence()))
    }

    pub(super) async fn run(act: Act, wanted: impl Fn() -> bool) -> Result<(), String> {
        let asked = Cell::new(false);
        let done = async {
            let manager = Manager::find().await?;
            let session = match act {
                Act::Logoff | Act::LockScreen => Some(manager.session().await?),
                Act::Reboot | Act::Shutdown | Act::Cancel => None,
            };
            if !wanted() {
                return Err("whoever wanted it is gone".into());
            }
            asked.set(true);
            manager.run(act, session.as_ref()).await
        };
        match timeout(PATIENCE, done).await {
            Ok(done) => done,
            Err(_) if asked.get() => Err(format!(
                "logind was asked, and has not answered within {} s: it may be done yet",
                PATIENCE.as_secs()
            )),
            Err(_) => Err(silence()),
        }
    }

    fn silence() -> String {
        let seconds = PATIENCE.as_secs();
        format!("the system's bus there has said nothing for {seconds} s, so nothing was done")
    }

    /// logind's manager of sessions.
    struct Manager {
        bus: Connection,
        proxy: Proxy<'static>,
    }

    /// A session of logind's, of the agent's user on a screen.
    struct Session {
        id: String,
        proxy: Proxy<'static>,
    }

    impl Manager {
        async fn find() -> Result<Self, String> {
            let bus = async { connection::Builder::system()?.build().await };
            let bus =
                bus.await.map_err(|e| format!("the agent can't reach the system's bus: {e}"))?;
            let path = OwnedObjectPath::try_from("/org/freedesktop/login1")
                .map_err(|e| format!("logind can't be asked: {e}"))?;
            let proxy = proxy(&bus, path, "org.freedesktop.login1.Manager").await?;
            Ok(Self { bus, proxy })
        }

        async fn may(&self, act: Act) -> Result<(), String> {
            let question = match act {
                Act::Reboot => "CanReboot",
                Act::Shutdown => "CanPowerOff",
                Act::Logoff | Act::LockScreen => return self.session().await.map(drop),
                Act::Cancel => return Ok(()),
            };
            let said: String = self.proxy.call(question, &()).await.map_err(|e| unheard(&e))?;
            match said.as_str() {
                "yes" => Ok(()),
                "na" => Err("logind says that this machine can't do that".into()),
                other => Err(format!(
                    "logind does not let the agent's user do that unasked ({}): polkit's rules \
                     there would have to allow it",
                    crate::text::printable(other)
                )),
            }
        }

        async fn run(&self, act: Act, session: Option<&Session>) -> Result<(), String> {
            // Nobody is there to be asked for a password.
            let interactive = false;
            let done: zbus::Result<()> = match (act, session) {
                (Act::Reboot, _) => self.proxy.call("Reboot", &interactive).await,
                (Act::Shutdown, _) => self.proxy.call("PowerOff", &interactive).await,
                (Act::Logoff, Some(session)) => {
                    self.proxy.call("TerminateSession", &session.id).await
                }
                (Act::LockScreen, Some(session)) => {
                    let asked: zbus::Result<()> = self.proxy.call("LockSession", &session.id).await;
                    asked.map_err(|e| unheard(&e))?;
                    return session.await_lock().await;
                }
                (Act::Logoff | Act::LockScreen | Act::Cancel, _) => Ok(()),
            };
            done.map_err(|e| unheard(&e))
        }

        /// The session of this user on a screen: the agent's own one, else the one that logind has
        /// for the user's display. Neither need be on a screen: the one may be of SSH, and the other
        /// is any that there is where there is no better one.
        async fn session(&self) -> Result<Session, String> {
            let mut found = Vec::new();
            if let Ok(id) = std::env::var("XDG_SESSION_ID") {
                // It may be of a session that is over.
                found
                    .extend(self.proxy.call::<_, _, OwnedObjectPath>("GetSession", &id).await.ok());
            }
            let process = std::process::id();
            let own = self.proxy.call::<_, _, OwnedObjectPath>("GetSessionByPID", &process).await;
            found.extend(own.ok());
            let user = rustix::process::getuid().as_raw();
            let none = |e| format!("logind knows no session of the agent's user: {}", unheard(&e));
            let about: Result<OwnedObjectPath, _> = self.proxy.call("GetUser", &user).await;
            match about {
                Ok(path) => {
                    let user = proxy(&self.bus, path, "org.freedesktop.login1.User").await?;
                    let display: (String, OwnedObjectPath) =
                        user.get_property("Display").await.map_err(|e| unheard(&e))?;
                    found.extend((!display.0.is_empty()).then_some(display.1));
                }
                Err(e) if found.is_empty() => return Err(none(e)),
                Err(_) => {}
            }
            let mut seen = Vec::new();
            for path in found {
                let session = proxy(&self.bus, path, "org.freedesktop.login1.Session").await?;
                match Session::on_screen(session, user).await? {
                    Ok(session) => return Ok(session),
                    Err(other) => seen.push(other),
                }
            }
            seen.dedup();
            let seen = if seen.is_empty() { "none".into() } else { seen.join(", ") };
            Err(format!("the agent's user has no session on a screen there, only: {seen}"))
        }
    }

    impl Session {
        /// `Err` says what it is, where it is not that user's on a screen.
        async fn on_screen(
            proxy: Proxy<'static>,
            user: u32,
        ) -> Result<Result<Self, String>, String> {
            let heard = |e: zbus::Error| unheard(&e);
            let id: String = proxy.get_property("Id").await.map_err(heard)?;
            let kind: String = proxy.get_property("Type").await.map_err(heard)?;
            let of: (u32, OwnedObjectPath) = proxy.get_property("User").await.map_err(heard)?;
            if of.0 == user && matches!(kind.as_str(), "x11" | "wayland" | "mir") {
                return Ok(Ok(Self { id, proxy }));
            }
            let whose = if of.0 == user { "" } else { " of another user" };
            Ok(Err(crate::text::printable(&format!("{id} ({kind}{whose})"))))
        }

        /// logind asks the desktop to lock the screen, and is told by most when that is done.
        async fn await_lock(&self) -> Result<(), String> {
            let end = Instant::now() + LOCKS;
            while Instant::now() < end {
                // A locker may be there whose desktop does not say so.
                if matches!(self.proxy.get_property("LockedHint").await, Ok(true)) {
                    return Ok(());
                }
                sleep(LOOK).await;
            }
            Err("asked; nothing there has locked it, or has said so".into())
        }
    }

    /// What is asked for is asked for anew each time.
    async fn proxy(
        bus: &Connection,
        path: OwnedObjectPath,
        interface: &'static str,
    ) -> Result<Proxy<'static>, String> {
        let proxy = async {
            let proxy = Builder::new(bus).destination(SERVICE)?.path(path)?.interface(interface)?;
            proxy.cache_properties(CacheProperties::No).build().await
        };
        proxy.await.map_err(|e: zbus::Error| unheard(&e))
    }

    /// What the bus or logind says, made harmless.
    fn unheard(error: &zbus::Error) -> String {
        match error {
            zbus::Error::MethodError(name, Some(words), _) => {
                crate::text::printable(&format!("logind refuses: {words} ({name})"))
            }
            other => crate::text::printable(&format!("logind can't be asked: {other}")),
        }
    }
}
