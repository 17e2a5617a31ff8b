//! Process: what this process takes of its machine.

use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric};
use prometheus_client::metrics::counter::ConstCounter;
use prometheus_client::metrics::gauge::ConstGauge;
use prometheus_client::registry::Unit;
use std::fmt;
use std::sync::{Mutex, PoisonError};
use sysinfo::{Pid, ProcessRefreshKind, ProcessesToUpdate, System, get_current_pid};

/// Asks the system each time that it is read.
#[derive(Debug)]
pub(super) struct Process {
    /// `None` where the system does not say.
    asked: Option<(Pid, Mutex<System>)>,
}

impl Process {
    pub(super) fn new() -> Self {
        let asked = get_current_pid().and_then(|id| Ok((id, Mutex::new(System::new()?))));
        Self { asked: asked.ok() }
    }
}

impl Collector for Process {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let Some((id, system)) = &self.asked else { return Ok(()) };
        let mut system = system.lock().unwrap_or_else(PoisonError::into_inner);
        let what = ProcessRefreshKind::nothing().with_memory().with_cpu().without_tasks();
        system.refresh_processes_specifics(ProcessesToUpdate::Some(&[*id]), false, what);
        let Some(process) = system.process(*id) else { return Ok(()) };
        let mut gauge = |name, help, unit: &Unit, value: u64| {
            let gauge = ConstGauge::new(value);
            let metric = encoder.encode_descriptor(name, help, Some(unit), gauge.metric_type())?;
            gauge.encode(metric)
        };
        let begun = "When the process was started, in seconds since 1970.";
        gauge("process_start_time", begun, &Unit::Seconds, process.start_time())?;
        let memory = "Memory that it has, and that is not swapped out.";
        gauge("process_resident_memory", memory, &Unit::Bytes, process.memory())?;
        let time = ConstCounter::new(process.accumulated_cpu_time() as f64 / 1000.0);
        let help = "Processor time that it has used, its own and the system's for it.";
        let kind = time.metric_type();
        let metric = encoder.encode_descriptor("process_cpu", help, Some(&Unit::Seconds), kind)?;
        time.encode(metric)
    }
}
