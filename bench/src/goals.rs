//! The goals, and the figures that were measured.

use crate::sample::{Figure, Sample, Scenario};
use crate::scenario::SWEEP;
use crate::server::Name;
use crate::summary::Run;
use std::fmt;

pub struct Goal {
    pub what: String,
    pub bound: Bound,
    /// `None` if it was not measured.
    pub measured: Option<f64>,
}

#[derive(Clone, Copy)]
pub enum Bound {
    AtLeast(f64),
    AtMost(f64),
}

impl Goal {
    pub fn is_reached(&self) -> Option<bool> {
        Some(match self.bound {
            Bound::AtLeast(bound) => self.measured? >= bound,
            Bound::AtMost(bound) => self.measured? <= bound,
        })
    }
}

impl fmt::Display for Bound {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::AtLeast(bound) => write!(f, "≥ {bound}"),
            Self::AtMost(bound) => write!(f, "≤ {bound}"),
        }
    }
}

/// All goals, in the order in which they are shown.
pub fn goals(run: &Run) -> Vec<Goal> {
    use Bound::{AtLeast, AtMost};
    use Figure::{Cpu, MemoryMb, P99, PerSecond, StartMs};
    use Name::{Deadpool, FastApi, Memory, Postgres, Spin, Sqlite, Sqlx};
    use Scenario::{Get, Health, Put, Rate, SameRate, Size, Start};

    let ratio = |scenario, figure, ours, theirs| {
        let median = |server| Some(run.spread(scenario, server, figure)?.median);
        Some(median(ours)? / median(theirs)?)
    };
    let start = |way| Some(run.spread_where(Start, way, StartMs, |_| true)?.median);
    let memory = |connections| {
        let at = |sample: &Sample| sample.connections == connections;
        let server = Postgres.text();
        Some(
            run.spread_where(Scenario::Memory, server, MemoryMb, at)?
                .median,
        )
    };
    let size = |people| {
        let of = |sample: &Sample| sample.people == people;
        Some(run.spread_where(Size, Postgres.text(), Cpu, of)?.median)
    };
    let growth = || Some(size(10_000_000)? / size(1_000)?);
    let goal = |what: &str, bound, measured| Goal {
        what: what.to_owned(),
        bound,
        measured,
    };
    let to = |peer: Name| format!("GET over Postgres, requests/s, to {}", peer.text());
    let get = |peer| ratio(Get, PerSecond, Postgres, peer);
    vec![
        goal(&to(Sqlx), AtLeast(1.8), get(Sqlx)),
        goal(&to(Deadpool), AtLeast(1.3), get(Deadpool)),
        goal(&to(Spin), AtLeast(8.0), get(Spin)),
        goal(&to(FastApi), AtLeast(20.0), get(FastApi)),
        goal(
            "PUT over Postgres, requests/s, to axum + deadpool-postgres",
            AtLeast(1.0),
            ratio(Put, PerSecond, Postgres, Deadpool),
        ),
        goal(
            "CPU for a GET, server and database together, to axum + deadpool-postgres",
            AtMost(0.8),
            ratio(Get, Cpu, Postgres, Deadpool),
        ),
        goal(
            "p99 at 70 % of the highest load of each, to axum + deadpool-postgres",
            AtMost(1.1),
            ratio(Rate, P99, Postgres, Deadpool),
        ),
        goal(
            "p99 at the same load, 70 % of the highest load of the slowest, to axum + deadpool-postgres",
            AtMost(1.1),
            ratio(SameRate, P99, Postgres, Deadpool),
        ),
        goal(
            "route without database, requests/s, to axum",
            AtLeast(0.6),
            ratio(Health, PerSecond, Memory, Deadpool),
        ),
        goal(
            "GET over SQLite, requests/s, to our own over Postgres",
            AtLeast(1.5),
            ratio(Get, PerSecond, Sqlite, Postgres),
        ),
        goal(
            "start to first 200, precompiled, ms",
            AtMost(15.0),
            start("precompiled"),
        ),
        goal(
            "start to first 200, compiling, ms",
            AtMost(500.0),
            start("compiling"),
        ),
        goal("memory idle, MB", AtMost(20.0), memory(0)),
        goal("memory at 64 connections, MB", AtMost(60.0), memory(64)),
        goal(
            "memory at 1,000 connections, MB",
            AtMost(200.0),
            memory(1000),
        ),
        goal(
            "CPU for a GET, server and database, of 10,000,000 people to that of 1,000",
            AtMost(1.3),
            growth(),
        ),
        goal(
            "least requests/s from the peak to 1,024 connections, to the peak",
            AtLeast(0.8),
            after_peak(run, Postgres),
        ),
    ]
}

fn after_peak(run: &Run, server: Name) -> Option<f64> {
    let steps = steps(run, server);
    let best = steps.iter().map(|(_, rate)| *rate).fold(0.0, f64::max);
    let after = steps.iter().skip_while(|(_, rate)| *rate < best);
    let least = after.map(|(_, rate)| *rate).reduce(f64::min)?;
    Some(least / best)
}

/// Numbers of connections, and the requests per second with each.
pub fn steps(run: &Run, server: Name) -> Vec<(u32, f64)> {
    SWEEP
        .iter()
        .filter_map(|connections| {
            let at = |sample: &Sample| sample.connections == *connections;
            let figure = Figure::PerSecond;
            let spread = run.spread_where(Scenario::Sweep, server.text(), figure, at)?;
            Some((*connections, spread.median))
        })
        .collect()
}
