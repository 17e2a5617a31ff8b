//! Metrics: what a program that runs has done, counted, for whoever looks after it.
//!
//! An agent and a hub each have figures of their own, which their parts count in: atomics, which cost
//! next to nothing whether somebody reads them or not. They travel with what counts in them, so that
//! several agents of one process don't count in each other's. What is read seldom, like how many
//! watch, is looked up when somebody asks.
//!
//! | file | what |
//! |---|---|
//! | `few` | one metric for each of a few cases: a label of which strangers choose nothing |
//! | `times` | how long something took, how often |
//! | `process` | memory and processor time of this process |
//! | `health` | whether it is alive, and ready |
//! | `server` | the listener that all this is read from |

mod few;
mod health;
mod process;
mod server;
mod times;

pub(crate) use few::{Case, Few};
pub(crate) use health::{answer, words};
pub(crate) use server::{Server, Subject};
pub(crate) use times::Times;

use prometheus_client::metrics::info::Info;
use prometheus_client::registry::Registry;

/// A registry with what is known of every program of this kind.
pub(crate) fn registry() -> Registry {
    let mut registry = Registry::default();
    let about = Info::new([("version", env!("CARGO_PKG_VERSION"))]);
    registry.register("hightower_build", "Which Hightower this is", about);
    registry.register_collector(Box::new(process::Process::new()));
    registry
}
