//! CPU and memory of a process and all its descendants.

use procfs::process::{Process, Stat, all_processes};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// A process and its descendants: a server may have a process per worker, or per connection.
#[derive(Clone, Copy)]
pub struct Tree(i32);

/// Pages in memory, in MB (10^6 bytes).
#[derive(Clone, Copy, Debug, Default, Serialize, Deserialize)]
pub struct Memory {
    /// Like `ps` (RSS): a page that is mapped in a thousand places counts a thousand times. The image from which
    /// all instances of a component start has such pages.
    pub resident_mb: f64,
    /// Each page counts once (PSS), as for the memory limit of a container.
    pub proportional_mb: f64,
}

impl Memory {
    pub fn max(self, other: Self) -> Self {
        Self {
            resident_mb: self.resident_mb.max(other.resident_mb),
            proportional_mb: self.proportional_mb.max(other.proportional_mb),
        }
    }
}

impl Tree {
    pub fn of(pid: u32) -> Self {
        Self(pid.try_into().expect("Linux has fewer than 2^22 processes"))
    }

    /// User and system time since its start, also of children that have ended, in seconds.
    pub fn cpu_seconds(self) -> f64 {
        let ticks: i64 = self
            .processes()
            .iter()
            .map(|stat| {
                let own = i64::try_from(stat.utime + stat.stime).unwrap_or_default();
                own + stat.cutime + stat.cstime
            })
            .sum();
        #[expect(
            clippy::cast_precision_loss,
            reason = "2^53 ticks are three million years"
        )]
        let ticks = ticks as f64;
        ticks / procfs::ticks_per_second() as f64
    }

    /// Its memory now.
    pub fn memory(self) -> Memory {
        let mut memory = Memory::default();
        for stat in self.processes() {
            // A process may end while it is read.
            let Ok(rollup) = Process::new(stat.pid).and_then(|process| process.smaps_rollup())
            else {
                continue;
            };
            let maps = rollup.memory_map_rollup.0.iter();
            for map in maps.map(|map| &map.extension.map) {
                let mb = |name| map.get(name).map_or(0.0, |bytes| to_mb(*bytes));
                memory.resident_mb += mb("Rss");
                memory.proportional_mb += mb("Pss");
            }
        }
        memory
    }

    fn processes(self) -> Vec<Stat> {
        let all = all_processes().expect("/proc can be read");
        // A process may end while it is read.
        let all: BTreeMap<i32, Stat> = all
            .filter_map(|process| process.ok()?.stat().ok())
            .map(|stat| (stat.pid, stat))
            .collect();
        let ours = |stat: &Stat| {
            let mut pid = stat.pid;
            while pid != self.0 {
                match all.get(&pid) {
                    Some(stat) if stat.ppid != 0 => pid = stat.ppid,
                    _ => return false,
                }
            }
            true
        };
        all.values().filter(|stat| ours(stat)).cloned().collect()
    }
}

fn to_mb(bytes: u64) -> f64 {
    #[expect(clippy::cast_precision_loss, reason = "far fewer than 2^53 bytes")]
    let bytes = bytes as f64;
    bytes / 1e6
}
