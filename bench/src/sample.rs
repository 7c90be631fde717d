//! The figures of each measurement.

use crate::load::Seen;
use crate::process::Memory;
use clap::ValueEnum;
use serde::{Deserialize, Serialize};

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, ValueEnum, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Scenario {
    /// GET of a person, from 64 connections.
    Get,
    /// PUT of a person, from 64 connections.
    Put,
    /// A route without the database, from 64 connections.
    Health,
    /// GET at 70 % of what the server takes.
    Rate,
    /// GET at 70 % of what the slowest server takes.
    SameRate,
    /// GET from 1 to 1,024 connections.
    Sweep,
    /// From the start of the process to the first 200.
    Start,
    /// Resident memory.
    Memory,
    /// GET with a thousand people, or ten million.
    Size,
}

/// One measurement of one server.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Sample {
    pub scenario: Scenario,
    pub server: String,
    pub connections: u32,
    pub people: u32,
    pub round: u32,
    #[serde(flatten)]
    pub measured: Measured,
}

#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Measured {
    Load {
        #[serde(flatten)]
        seen: Seen,
        /// User and system time, in seconds.
        server_cpu: f64,
        database_cpu: f64,
    },
    /// From the start of the process to the first 200.
    Start {
        start_ms: f64,
    },
    Memory(Memory),
}

impl Sample {
    /// `None` if the sample does not have this figure.
    pub fn get(&self, figure: Figure) -> Option<f64> {
        match (self.measured, figure) {
            (Measured::Load { seen, .. }, Figure::PerSecond) => Some(seen.per_second()),
            (Measured::Load { seen, .. }, Figure::P50) => Some(seen.p50_us),
            (Measured::Load { seen, .. }, Figure::P99) => Some(seen.p99_us),
            (Measured::Load { seen, .. }, Figure::P999) => Some(seen.p999_us),
            (
                Measured::Load {
                    seen, server_cpu, ..
                },
                Figure::ServerCpu,
            ) => Some(server_cpu * 1e6 / seen.count()),
            (
                Measured::Load {
                    seen, database_cpu, ..
                },
                Figure::DatabaseCpu,
            ) => Some(database_cpu * 1e6 / seen.count()),
            (
                Measured::Load {
                    seen,
                    server_cpu,
                    database_cpu,
                },
                Figure::Cpu,
            ) => Some((server_cpu + database_cpu) * 1e6 / seen.count()),
            (Measured::Start { start_ms }, Figure::StartMs) => Some(start_ms),
            (Measured::Memory(memory), Figure::MemoryMb) => Some(memory.proportional_mb),
            (Measured::Memory(memory), Figure::ResidentMb) => Some(memory.resident_mb),
            _ => None,
        }
    }

    /// One line for the terminal.
    pub fn line(&self) -> String {
        let Self {
            scenario,
            server,
            connections,
            round,
            ..
        } = self;
        let figure = |figure| self.get(figure).unwrap_or(f64::NAN);
        let measured = match self.measured {
            Measured::Load { .. } => format!(
                "{:8.0}/s {:7.1} µs CPU {:7.1} µs of the database, p50 {:.0} p99 {:.0} p99.9 {:.0} µs",
                figure(Figure::PerSecond),
                figure(Figure::ServerCpu),
                figure(Figure::DatabaseCpu),
                figure(Figure::P50),
                figure(Figure::P99),
                figure(Figure::P999),
            ),
            Measured::Start { start_ms } => format!("{start_ms:.1} ms"),
            Measured::Memory(memory) => format!(
                "{:.1} MB ({:.1} MB resident)",
                memory.proportional_mb, memory.resident_mb
            ),
        };
        format!("{scenario:?} {round} {server:26} {connections:5} {measured}")
    }
}

/// The figures that a sample may have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Figure {
    PerSecond,
    /// In µs for each request, like all times without a unit in their names.
    ServerCpu,
    DatabaseCpu,
    /// Of server and database.
    Cpu,
    P50,
    P99,
    P999,
    StartMs,
    /// A shared page counts once.
    MemoryMb,
    /// A shared page counts as often as it is mapped.
    ResidentMb,
}
