//! What logind does for this user: `org.freedesktop.login1` on the system's bus.
//!
//! Its rules (polkit) say who may; a user in front of the machine usually may. Everything here waits
//! for the bus, and is not for an async thread.

use hightower_proto::message::Act;

/// Whether the act could be done by this user.
///
/// # Errors
/// Why not, in words.
#[cfg(target_os = "linux")]
pub(super) fn may(act: Act) -> Result<(), String> {
    linux::Manager::find()?.may(act)
}

/// Does it.
///
/// # Errors
/// Why it was not done, in words.
#[cfg(target_os = "linux")]
pub(super) fn run(act: Act) -> Result<(), String> {
    linux::Manager::find()?.run(act)
}

#[cfg(not(target_os = "linux"))]
pub(super) fn may(_: Act) -> Result<(), String> {
    Err("the agent's system has no logind, by which this is done".into())
}

#[cfg(not(target_os = "linux"))]
pub(super) fn run(act: Act) -> Result<(), String> {
    may(act)
}

#[cfg(target_os = "linux")]
mod linux {
    use super::Act;
    use std::time::Duration;
    use zbus::blocking::{Connection, Proxy, connection::Builder};
    use zbus::zvariant::OwnedObjectPath;

    const SERVICE: &str = "org.freedesktop.login1";

    /// How long logind may take to answer.
    const PATIENCE: Duration = Duration::from_secs(10);

    /// logind's manager of sessions.
    pub(super) struct Manager {
        bus: Connection,
        proxy: Proxy<'static>,
    }

    impl Manager {
        pub(super) fn find() -> Result<Self, String> {
            let bus = Builder::system().and_then(|bus| bus.method_timeout(PATIENCE).build());
            let bus = bus.map_err(|e| format!("the agent can't reach the system's bus: {e}"))?;
            let interface = "org.freedesktop.login1.Manager";
            let proxy = Proxy::new(&bus, SERVICE, "/org/freedesktop/login1", interface)
                .map_err(|e| unheard(&e))?;
            Ok(Self { bus, proxy })
        }

        pub(super) fn may(&self, act: Act) -> Result<(), String> {
            let question = match act {
                Act::Reboot => "CanReboot",
                Act::Shutdown => "CanPowerOff",
                Act::Logoff | Act::LockScreen => return self.session().map(drop),
                Act::Cancel => return Ok(()),
            };
            let said: String = self.proxy.call(question, &()).map_err(|e| unheard(&e))?;
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

        pub(super) fn run(&self, act: Act) -> Result<(), String> {
            // Nobody is there to be asked for a password.
            let interactive = false;
            let done: zbus::Result<()> = match act {
                Act::Reboot => self.proxy.call("Reboot", &interactive),
                Act::Shutdown => self.proxy.call("PowerOff", &interactive),
                Act::Logoff => self.proxy.call("TerminateSession", &self.session()?),
                Act::LockScreen => self.proxy.call("LockSession", &self.session()?),
                Act::Cancel => Ok(()),
            };
            done.map_err(|e| unheard(&e))
        }

        /// The session on the screen of this user.
        fn session(&self) -> Result<String, String> {
            let user = rustix::process::getuid().as_raw();
            let none = |e| format!("logind knows no session of the agent's user: {}", unheard(&e));
            let path: OwnedObjectPath = self.proxy.call("GetUser", &user).map_err(none)?;
            let user = Proxy::new(&self.bus, SERVICE, path, "org.freedesktop.login1.User")
                .map_err(|e| unheard(&e))?;
            let (session, _): (String, OwnedObjectPath) =
                user.get_property("Display").map_err(|e| unheard(&e))?;
            if session.is_empty() {
                return Err("the agent's user has no session on a screen".into());
            }
            Ok(session)
        }
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
