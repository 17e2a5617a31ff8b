//! `hightower audit verify`.

use crate::audit::{self, Verified};
use crate::trust::Place;
use anyhow::{Context, Result};
use clap::{Args, Subcommand};
use std::io::Write;
use std::path::PathBuf;
use std::process::ExitCode;

/// The audit log of this machine's agent.
///
/// It is a line of JSON an event: who did what, from where, and what came of it. Each line has the
/// hash of the one before.
#[derive(Debug, Args)]
pub(super) struct AuditArgs {
    #[command(subcommand)]
    task: Task,
}

#[derive(Debug, Subcommand)]
enum Task {
    /// Find out whether a line was changed or taken out.
    ///
    /// The head is the hash of the newest line. Kept elsewhere, it tells later whether the newest
    /// lines were taken away, or all of them replaced: `grep` for it as the "before" of a line.
    Verify {
        /// The log's folder, if not audit in Hightower's folder.
        #[arg(value_name = "DIR")]
        folder: Option<PathBuf>,
        /// Print one line of JSON.
        #[arg(long)]
        json: bool,
    },
}

pub(super) fn run(args: AuditArgs) -> Result<ExitCode> {
    let Task::Verify { folder, json } = args.task;
    let folder = match folder {
        Some(folder) => folder,
        None => Place::find()?.audit(),
    };
    let found = audit::verify(&folder)
        .with_context(|| format!("can't read the audit log in {}", folder.display()))?;
    let Verified { lines, numbers, head, faults } = &found;
    let mut out = std::io::stdout().lock();
    let mut write = || {
        if json {
            let faults: Vec<String> = faults.iter().map(ToString::to_string).collect();
            let ok = faults.is_empty();
            let line = serde_json::json!({
                "ok": ok, "lines": lines, "first": numbers.map(|n| n.0),
                "last": numbers.map(|n| n.1), "head": head, "faults": faults,
            });
            return writeln!(out, "{line}");
        }
        for fault in faults {
            writeln!(out, "{fault}")?;
        }
        let words = if faults.is_empty() { "whole" } else { "NOT WHOLE" };
        writeln!(out, "{words}: {lines} events, head {head}")
    };
    write().context("can't write to standard output")?;
    Ok(if faults.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}
