//! The monitors of the operator's machine: where a window becomes full screen.

/// A monitor in physical pixels.
pub(super) struct Monitor {
    /// Its left upper corner on the desktop.
    pub(super) at: (isize, isize),
    /// Width and height.
    pub(super) size: (usize, usize),
}

impl Monitor {
    /// The monitor that a window at this position is on.
    pub(super) fn around(position: (isize, isize)) -> Option<Self> {
        let all = xcap::Monitor::all().ok()?;
        let monitors: Vec<Self> = all.iter().filter_map(|m| Self::of(m).ok()).collect();
        let within = |at: isize, start: isize, length: usize| {
            (start..start.saturating_add_unsigned(length)).contains(&at)
        };
        let on = monitors.iter().position(|s| {
            within(position.0, s.at.0, s.size.0) && within(position.1, s.at.1, s.size.1)
        });
        monitors.into_iter().nth(on.unwrap_or(0))
    }

    fn of(monitor: &xcap::Monitor) -> xcap::XCapResult<Self> {
        // xcap gives places and sizes divided by the desktop's scale; minifb wants pixels.
        let scale = monitor.scale_factor()?;
        let pixels = |n: f32| (n * scale).round() as isize;
        let at = (pixels(monitor.x()? as f32), pixels(monitor.y()? as f32));
        let size = (pixels(monitor.width()? as f32), pixels(monitor.height()? as f32));
        Ok(Self { at, size: (size.0.unsigned_abs().max(1), size.1.unsigned_abs().max(1)) })
    }
}
