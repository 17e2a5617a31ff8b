//! Progress bars on standard error: one for each machine, and one for all where there are several.

use crate::transfer::Watcher;
use indicatif::{MultiProgress, ProgressBar, ProgressDrawTarget, ProgressStyle};
use std::cell::{Cell, RefCell};
use std::io;

/// The most bars at a time; a room full of machines has the total.
const BARS: usize = 12;

/// All bars. Nothing is shown where standard error is no terminal, nor to scripts.
pub(super) struct Bars {
    all: MultiProgress,
    total: Option<ProgressBar>,
    /// How many bytes go to each machine, where that is known.
    each: u64,
    width: usize,
    open: Cell<usize>,
}

/// A machine's bar.
pub(super) struct Bar<'a> {
    bars: &'a Bars,
    bar: ProgressBar,
    shown: Cell<bool>,
    /// The file that is under way.
    name: RefCell<String>,
    /// What this machine has added to the total.
    counted: Cell<u64>,
    /// What is done of the files before this one.
    before: Cell<u64>,
    /// What this file has added.
    held: Cell<u64>,
}

/// A machine's bar, and that of all. They leave room for the name of a file in a line of 80
/// characters, beside an address.
const MACHINE: &str = "{prefix} [{bar:10}] {percent:>3}% of {binary_total_bytes} \
                       {binary_bytes_per_sec}, {eta}  {wide_msg}";
const ALL: &str = "{prefix} [{bar:10}] {percent:>3}% of {binary_total_bytes} \
                   {binary_bytes_per_sec}, {eta}";

fn style(template: &str) -> ProgressStyle {
    // A test reads both.
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
            let name = format!("{:width$}", "all");
            bar.set_style(style(ALL));
            bar.with_prefix(name)
        });
        Self { all, total, each: bytes.unwrap_or(0), width, open: Cell::new(0) }
    }

    /// A bar for a machine; it is shown once there is something to show.
    pub(super) fn bar(&self, name: &str) -> Bar<'_> {
        let bar = ProgressBar::with_draw_target(Some(0), ProgressDrawTarget::hidden());
        bar.set_style(style(MACHINE));
        bar.set_prefix(format!("{name:width$}", width = self.width));
        let (counted, before, held) = (Cell::new(0), Cell::new(0), Cell::new(0));
        let (shown, name) = (Cell::new(false), RefCell::default());
        Bar { bars: self, bar, shown, name, counted, before, held }
    }

    fn show(&self, bar: &ProgressBar) -> bool {
        if self.open.get() >= BARS {
            return false;
        }
        self.open.set(self.open.get() + 1);
        // The bar itself is the same; what comes back is another handle of it.
        drop(match &self.total {
            Some(total) => self.all.insert_before(total, bar.clone()),
            None => self.all.add(bar.clone()),
        });
        true
    }

    /// Prints something while the bars are out of the way.
    pub(super) fn aside(&self, print: &mut dyn FnMut() -> io::Result<()>) -> io::Result<()> {
        self.all.suspend(print)
    }
}

impl Bar<'_> {
    /// The machine is done with. All that goes there counts in the total, and of one that failed
    /// nothing does: so it comes to its end, and the time left is of those that are under way.
    pub(super) fn end(&self, well: bool) {
        let Some(total) = &self.bars.total else { return };
        let (each, counted) = (self.bars.each, self.counted.get());
        if well {
            // What was there already was never begun.
            total.inc(each.saturating_sub(counted));
            self.counted.set(counted.max(each));
        } else {
            total.dec(counted);
            total.dec_length(each);
            self.counted.set(0);
        }
    }

    fn count(&self) {
        let now = self.before.get().saturating_add(self.held.get());
        if let Some(total) = &self.bars.total {
            total.inc(now.saturating_sub(self.counted.get()));
        }
        self.counted.set(now.max(self.counted.get()));
    }
}

impl Watcher for Bar<'_> {
    fn begins(&self, name: &str, size: u64, held: u64) {
        self.before.set(self.counted.get().max(self.before.get()));
        let is_whole = self.bar.length() == Some(self.held.get());
        if !is_whole && *self.name.borrow() == name {
            // The same goes on.
            self.before.set(self.before.get() - self.held.get().min(self.before.get()));
        }
        self.held.set(held);
        if !self.shown.get() {
            self.shown.set(self.bars.show(&self.bar));
        }
        self.bar.set_length(size);
        self.bar.set_position(held);
        // Neither the rate nor the time left is of what was there already.
        self.bar.reset_eta();
        self.bar.set_message(name.to_owned());
        self.name.replace(name.to_owned());
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
        if self.shown.get() {
            self.bars.open.set(self.bars.open.get() - 1);
        }
        self.bar.finish_and_clear();
        self.bars.all.remove(&self.bar);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_total_counts_what_is_there_and_nothing_twice() {
        for template in [MACHINE, ALL] {
            assert!(ProgressStyle::with_template(template).is_ok(), "{template}");
        }
        let bars = Bars::new(2, Some(100), 5, true);
        let total = || bars.total.as_ref().map(ProgressBar::position);
        let (one, other) = (bars.bar("one"), bars.bar("other"));
        one.begins("a", 60, 0);
        one.moved(40);
        one.waits("it is gone");
        one.begins("a", 60, 30);
        assert_eq!(total(), Some(40));
        one.moved(60);
        // Another of the same name.
        one.begins("a", 40, 10);
        one.moved(40);
        assert_eq!(total(), Some(100));
        other.begins("a", 60, 50);
        assert_eq!(total(), Some(150));
        // One fails; of the other the rest was there.
        one.end(false);
        assert_eq!(
            (total(), bars.total.as_ref().and_then(ProgressBar::length)),
            (Some(50), Some(100))
        );
        other.end(true);
        assert_eq!(total(), Some(100));
        drop((one, other));
        assert_eq!(bars.open.get(), 0);
    }
}
