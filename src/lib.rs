//! Hightower watches over a room of machines.
//!
//! | module | what |
//! |---|---|
//! | [`agent`] | captures a machine's screen and serves it: the actors |
//! | [`saying`] | one message to machines, which each takes once |
//! | [`source`] | where the picture of the screen comes from |
//! | [`call`] | a connection to an agent by somebody who does not watch |
//! | [`chat`] | the room in which an agent's operators and the person at its machine talk |
//! | [`canvas`] | the agent's copy of the screen: versions, damage, moves |
//! | [`rect`] | rectangles of whole pixels |
//! | [`png`] | the agent's encoder of frames |
//! | [`viewer`] | connects to an agent, decodes its frames, shows or saves them |
//! | [`recording`] | an agent's stream in a file, and what can be made of it |
//! | [`address`] | a machine as a user names it |
//! | [`console`] | how the person at a machine asks its agent who watches, and has a say |
//! | [`config`] | the configuration file: machines, groups, what flags are set to |
//! | [`directory`] | names of machines that this program knows beside the name system's |
//! | [`discovery`] | which agents are on the networks of this machine |
//! | `frames` | the way of a picture from its source to the bytes that a viewer is sent |
//! | [`facts`] | what this machine is |
//! | [`files`] | files that are sent: names, the inbox, the outbox |
//! | [`hub`] | the machines of a room in a browser, and for programs that speak HTTP |
//! | `metrics` | what was done, counted, and how it is read |
//! | [`order`] | commands to an agent by UDP |
//! | [`pairing`] | how an operator and an agent who share a code exchange their keys |
//! | [`picture`] | a picture that somebody has sent, in a window |
//! | [`question`] | asks the person at a machine, in a window |
//! | [`wire`] | the networks that this machine is on |
//! | [`rendezvous`] | how those who only know a hub find each other by it |
//! | [`text`] | words drawn into pixels, and words from the network made harmless |
//! | [`transfer`] | an operator's end of files that are sent and fetched |
//! | [`trust`] | keys, and who may do what |
//! | [`audit`] | who did what to this machine |
//! | [`cli`] | the command line |
//!
//! The wire format is a crate of its own, [`hightower_proto`].

pub mod address;
pub mod agent;
pub mod audit;
pub mod call;
pub mod canvas;
pub mod chat;
pub mod cli;
pub mod config;
pub mod console;
mod crowd;
pub mod directory;
pub mod discovery;
pub mod facts;
pub mod files;
mod frames;
pub mod hub;
mod metrics;
mod multicast;
pub mod order;
pub mod pairing;
pub mod picture;
pub mod png;
pub mod question;
mod rates;
pub mod recording;
pub mod rect;
pub mod rendezvous;
pub mod saying;
pub mod source;
mod stride;
mod talk;
pub mod text;
mod throttle;
pub mod transfer;
pub mod trust;
pub mod viewer;
pub mod wire;
