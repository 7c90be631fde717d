//! What this process uses of the machine, read for each scrape.

use procfs::process;
use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric};
use prometheus_client::metrics::counter::ConstCounter;
use prometheus_client::metrics::gauge::ConstGauge;
use prometheus_client::registry::Unit;
use std::fmt;

/// The metrics that every Prometheus client has: `process_…`. Those that cannot be read are left out.
#[derive(Debug)]
pub struct Process;

impl Collector for Process {
    fn encode(&self, mut encoder: DescriptorEncoder) -> fmt::Result {
        let Ok(process) = process::Process::myself() else {
            return Ok(());
        };
        let mut gauge = |name: &str, help: &str, unit: Option<&Unit>, value: f64| {
            let gauge = ConstGauge::new(value);
            gauge.encode(encoder.encode_descriptor(name, help, unit, gauge.metric_type())?)
        };
        if let Ok(stat) = process.stat() {
            let ticks = procfs::ticks_per_second() as f64;
            let resident = (stat.rss * procfs::page_size()) as f64;
            gauge(
                "process_resident_memory",
                "Memory in RAM",
                Some(&Unit::Bytes),
                resident,
            )?;
            let virtual_memory = stat.vsize as f64;
            gauge(
                "process_virtual_memory",
                "Memory mapped",
                Some(&Unit::Bytes),
                virtual_memory,
            )?;
            gauge("process_threads", "Threads", None, stat.num_threads as f64)?;
            if let Ok(boot) = procfs::boot_time_secs() {
                let started = boot as f64 + stat.starttime as f64 / ticks;
                gauge(
                    "process_start_time",
                    "When the process started, since 1970",
                    Some(&Unit::Seconds),
                    started,
                )?;
            }
        }
        if let Ok(open) = process.fd_count() {
            gauge(
                "process_open_fds",
                "File descriptors in use",
                None,
                open as f64,
            )?;
        }
        if let Ok(limits) = process.limits()
            && let process::LimitValue::Value(max) = limits.max_open_files.soft_limit
        {
            gauge(
                "process_max_fds",
                "File descriptors that may be in use",
                None,
                max as f64,
            )?;
        }
        if let Ok(stat) = process.stat() {
            let seconds = (stat.utime + stat.stime) as f64 / procfs::ticks_per_second() as f64;
            let counter = ConstCounter::new(seconds);
            let encoder = encoder.encode_descriptor(
                "process_cpu",
                "CPU time, user and system",
                Some(&Unit::Seconds),
                counter.metric_type(),
            )?;
            counter.encode(encoder)?;
        }
        Ok(())
    }
}
