//! Progress bars on standard error: one for each machine, and one for all where there are several.

use crate::transfer::Watcher;
use indicatif::{MultiProgress, ProgressBar, ProgressDrawTarget, ProgressStyle};
use std::cell::Cell;
use std::io;

/// The most bars at a time; a room full of machines has the total.
const BARS: usize = 12;

/// All bars. Nothing is shown where standard error is no terminal, nor to scripts.
pub(super) struct Bars {
    all: MultiProgress,
    total: Option<ProgressBar>,
    width: usize,
    open: Cell<usize>,
}

/// A machine's bar.
pub(super) struct Bar<'a> {
    bars: &'a Bars,
    bar: ProgressBar,
    /// What this machine has added to the total.
    counted: Cell<u64>,
    /// What is done of the files before this one.
    before: Cell<u64>,
    /// What this file has added.
    held: Cell<u64>,
}

fn style(template: &str) -> ProgressStyle {
    // It is written here, and a test draws with it.
    let style = ProgressStyle::with_template(template);
    style.unwrap_or_else(|_| ProgressStyle::default_bar()).progress_chars("=> ")
}

impl Bars {
    /// For so many machines, to each of which so many bytes go, where that is known.
    pub(super) fn new(machines: usize, bytes: Option<u64>, width: usize, quiet: bool) -> Self {
        let target = match quiet {
            true => ProgressDrawTarget::hidden(),
            false => ProgressDrawTarget::stderr(),
        };
        let all = MultiProgress::with_draw_target(target);
        let total = bytes.filter(|_| machines > 1).map(|bytes| {
            let bar = all.add(ProgressBar::new(bytes.saturating_mul(machines as u64)));
            let name = format!("{:width$}", "all", width = width);
            bar.set_style(style(
                "{prefix} [{bar:24}] {percent:>3}% {binary_bytes}/{binary_total_bytes} {binary_bytes_per_sec}, {eta}",
            ));
            bar.with_prefix(name)
        });
        Self { all, total, width, open: Cell::new(0) }
    }

    /// A bar for a machine.
    pub(super) fn bar(&self, name: &str) -> Bar<'_> {
        let bar = ProgressBar::new(0);
        self.open.set(self.open.get() + 1);
        let bar = if self.open.get() > BARS {
            bar.set_draw_target(ProgressDrawTarget::hidden());
            bar
        } else {
            match &self.total {
                Some(total) => self.all.insert_before(total, bar),
                None => self.all.add(bar),
            }
        };
        bar.set_style(style(
            "{prefix} [{bar:24}] {percent:>3}% {binary_bytes}/{binary_total_bytes} {binary_bytes_per_sec}, {eta}  {wide_msg}",
        ));
        bar.set_prefix(format!("{name:width$}", width = self.width));
        Bar { bars: self, bar, counted: Cell::new(0), before: Cell::new(0), held: Cell::new(0) }
    }

    /// Prints something while the bars are out of the way.
    pub(super) fn aside(&self, print: &mut dyn FnMut() -> io::Result<()>) -> io::Result<()> {
        self.all.suspend(print)
    }
}

impl Bar<'_> {
    fn count(&self) {
        let now = self.before.get() + self.held.get();
        if let Some(total) = &self.bars.total {
            total.inc(now.saturating_sub(self.counted.get()));
        }
        self.counted.set(now.max(self.counted.get()));
    }
}

impl Watcher for Bar<'_> {
    fn begins(&self, name: &str, size: u64, held: u64) {
        self.before.set(self.counted.get().max(self.before.get()));
        if self.held.get() > 0 && self.bar.message() == name {
            // The same goes on.
            self.before.set(self.before.get() - self.held.get().min(self.before.get()));
        }
        self.held.set(held);
        self.bar.set_length(size);
        self.bar.set_position(held);
        // Neither the rate nor the time left is of what was there already.
        self.bar.reset_eta();
        self.bar.set_message(name.to_owned());
        self.count();
    }

    fn moved(&self, held: u64) {
        self.held.set(held);
        self.bar.set_position(held);
        self.count();
    }

    fn waits(&self, why: &str) {
        self.bar.set_message(format!("connecting again: {why}"));
    }
}

impl Drop for Bar<'_> {
    fn drop(&mut self) {
        self.bars.open.set(self.bars.open.get().saturating_sub(1));
        self.bar.finish_and_clear();
        self.bars.all.remove(&self.bar);
    }
}
