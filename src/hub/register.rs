//! Register: the files of whom a hub knows as they stand now, and the sessions on the disk.

use super::House;
use super::users::{Users, UsersError};
use actix_web::web;
use std::fs;
use std::path::PathBuf;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::{Duration, SystemTime};
use tokio::time::{MissedTickBehavior, interval};

/// How often it is looked whether something has changed.
const LOOK: Duration = Duration::from_secs(1);

/// The file of users.
pub(super) struct Register {
    path: PathBuf,
    users: RwLock<Arc<Users>>,
}

/// What tells one state of a file from another.
type Mark = Option<(SystemTime, u64)>;

impl Register {
    /// Reads the file.
    ///
    /// # Errors
    /// When it is there and can't be followed.
    pub(super) fn open(path: PathBuf) -> Result<Self, UsersError> {
        let users = RwLock::new(Arc::new(Users::load(&path)?));
        Ok(Self { path, users })
    }

    /// The users that there are.
    pub(super) fn users(&self) -> Arc<Users> {
        self.users.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn mark(&self) -> Mark {
        let about = fs::metadata(&self.path).ok()?;
        Some((about.modified().ok()?, about.len()))
    }

    /// Reads the file anew. Where it can't be followed nobody signs in by it: whoever was taken out
    /// of it would go on otherwise.
    fn read(&self) {
        let users = Users::load(&self.path).unwrap_or_else(|e| {
            tracing::error!("{e}: nobody is signed in by a password");
            Users::default()
        });
        *self.users.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(users);
    }
}

/// Follows the files of users, of operators and of known agents, and keeps the sessions and who has
/// dialled in, for as long as the house stands.
pub(super) async fn tend(house: web::Data<House>) {
    let mut look = interval(LOOK);
    look.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut last = (house.register.mark(), house.board.mark());
    loop {
        look.tick().await;
        let tended = house.clone();
        let looked = web::block(move || {
            if let Err(e) = tended.sessions.keep() {
                tracing::error!("sessions can't be kept, and end with the hub: {e}");
            }
            tended.spool.tidy();
            tended.looks.tidy();
            tended.board.operators().refresh();
            tended.board.keep();
            let now = (tended.register.mark(), tended.board.mark());
            if now.0 != last.0 {
                tended.register.read();
            }
            if now.1 != last.1 {
                tended.board.review();
            }
            now
        });
        match looked.await {
            Ok(now) => last = now,
            // The threads for that have ended: so does the hub.
            Err(_) => return,
        }
    }
}
