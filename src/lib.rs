//! Hightower watches over a room of machines.
//!
//! | module | what |
//! |---|---|
//! | [`agent`] | captures a machine's screen and serves it: the actors |
//! | [`source`] | where the picture of the screen comes from |
//! | [`canvas`] | the agent's copy of the screen: versions, damage, moves |
//! | [`rect`] | rectangles of whole pixels |
//! | [`png`] | the agent's encoder of frames |
//! | [`viewer`] | connects to an agent, decodes its frames, shows or saves them |
//! | [`recording`] | an agent's stream in a file, and what can be made of it |
//! | [`address`] | a machine as a user names it |
//! | [`console`] | how the person at a machine asks its agent who watches, and has a say |
//! | [`order`] | commands to an agent by UDP |
//! | [`pairing`] | how an operator and an agent who share a code exchange their keys |
//! | [`question`] | asks the person at a machine, in a window |
//! | [`wire`] | the networks that this machine is on |
//! | [`text`] | words drawn into pixels, and words from the network made harmless |
//! | [`trust`] | keys, and who may do what |
//! | [`audit`] | who did what to this machine |
//! | [`cli`] | the command line |
//!
//! The wire format is a crate of its own, [`hightower_proto`].

pub mod address;
pub mod agent;
pub mod audit;
pub mod canvas;
pub mod cli;
pub mod console;
pub mod order;
pub mod pairing;
pub mod png;
pub mod question;
mod rates;
pub mod recording;
pub mod rect;
pub mod source;
pub mod text;
pub mod trust;
pub mod viewer;
pub mod wire;
