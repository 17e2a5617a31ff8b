//! Hightower: a screen monitor for rooms of machines.

pub mod address;
pub mod cli;
pub mod text;
pub mod viewer;
