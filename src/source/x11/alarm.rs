//! An alarm: the X server tells when a while is over, by the connection that everything else is
//! told by. A server that hangs rings no alarm, so nobody waits for it on account of one.

use super::display::Display;
use x11rb::connection::Connection as _;
use x11rb::errors::{ConnectionError, ReplyError, ReplyOrIdError};
use x11rb::protocol::sync::{
    self, ALARMSTATE, AlarmNotifyEvent, ChangeAlarmAux, ConnectionExt as _, Counter,
    CreateAlarmAux, Int64, TESTTYPE, VALUETYPE,
};

/// The server's own clock, in milliseconds.
const CLOCK: &[u8] = b"SERVERTIME";

/// An alarm that rings once each time it is set. What rings again and again by itself would pile
/// up while nobody listens.
pub(super) struct Alarm {
    id: sync::Alarm,
    clock: Counter,
    exists: bool,
}

impl Alarm {
    /// `None` where the server has no alarms.
    pub(super) fn new(display: &Display) -> Result<Option<Self>, ReplyOrIdError> {
        if !display.has(sync::X11_EXTENSION_NAME) {
            return Ok(None);
        }
        let connection = &display.connection;
        let version = connection.sync_initialize(3, 1)?.reply();
        let counters = match version.and(connection.sync_list_system_counters()?.reply()) {
            Ok(reply) => reply.counters,
            // A server that lets us use none.
            Err(ReplyError::X11Error(_)) => return Ok(None),
            Err(e) => return Err(e.into()),
        };
        let Some(clock) = counters.iter().find(|c| c.name == CLOCK).map(|c| c.counter) else {
            return Ok(None);
        };
        Ok(Some(Self { id: connection.generate_id()?, clock, exists: false }))
    }

    /// Rings after so many milliseconds.
    pub(super) fn set(&mut self, display: &Display, time: u32) -> Result<(), ConnectionError> {
        let connection = &display.connection;
        let time = Int64 { hi: 0, lo: time };
        if std::mem::replace(&mut self.exists, true) {
            let change = ChangeAlarmAux::new().value_type(VALUETYPE::RELATIVE).value(time);
            connection.sync_change_alarm(self.id, &change)?;
        } else {
            let once = CreateAlarmAux::new()
                .counter(self.clock)
                .value_type(VALUETYPE::RELATIVE)
                .value(time)
                .test_type(TESTTYPE::POSITIVE_COMPARISON)
                .delta(Int64 { hi: 0, lo: 0 })
                .events(1);
            connection.sync_create_alarm(self.id, &once)?;
        }
        Ok(())
    }

    /// Rings no more.
    pub(super) fn stop(&mut self, display: &Display) -> Result<(), ConnectionError> {
        if std::mem::take(&mut self.exists) {
            display.connection.sync_destroy_alarm(self.id)?;
        }
        Ok(())
    }

    /// Whether it is this one that rings; its end is told in the same way.
    pub(super) fn rings(&self, told: &AlarmNotifyEvent) -> bool {
        self.exists && told.alarm == self.id && told.state != ALARMSTATE::DESTROYED
    }
}
