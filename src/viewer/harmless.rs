//! What an agent says of itself, with its texts made harmless for terminals and windows.

use crate::text::printable;
use hightower_proto::message::{Capture, Facts, State, Welcome};

/// A welcome.
pub(crate) fn welcome(welcome: Welcome) -> Welcome {
    Welcome {
        software: printable(&welcome.software),
        host: printable(&welcome.host),
        source: printable(&welcome.source),
        state: state(welcome.state),
        facts: facts(welcome.facts),
        ..welcome
    }
}

/// How things stand.
pub(crate) fn state(mut state: State) -> State {
    if let Capture::Failed { cause } = &mut state.capture {
        *cause = printable(cause);
    }
    state
}

/// What a machine is.
pub(crate) fn facts(mut facts: Facts) -> Facts {
    for text in [&mut facts.host, &mut facts.os, &mut facts.user] {
        *text = printable(text);
    }
    for interface in &mut facts.interfaces {
        interface.name = printable(&interface.name);
        interface.mac = interface.mac.as_deref().map(printable);
    }
    for monitor in &mut facts.monitors {
        monitor.name = printable(&monitor.name);
    }
    facts
}
