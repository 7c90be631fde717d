//! The scenarios, and their order.

use crate::load::Kind;
use crate::sample::{Measured, Sample, Scenario};
use crate::server::{Name, Programs, Server, host, host_compiling};
use crate::stage::Stage;
use crate::summary::spread;
use birthday_tests::client;
use birthday_tests::service::Service;
use std::path::PathBuf;
use std::thread::sleep;
use std::time::{Duration, Instant};
use tempfile::TempDir;

/// The extent of a run.
pub struct Plan {
    pub rounds: u32,
    pub seconds: u32,
    pub people: u32,
    pub long: bool,
    pub only: Vec<Scenario>,
    pub servers: Vec<Name>,
}

const CONNECTIONS: u32 = 64;
pub const SWEEP: [u32; 6] = [1, 4, 16, 64, 256, 1024];

pub struct Bench<'a> {
    plan: &'a Plan,
    programs: Programs,
    oha: PathBuf,
    samples: Vec<Sample>,
}

impl<'a> Bench<'a> {
    pub fn new(plan: &'a Plan, programs: Programs, oha: PathBuf) -> Self {
        Self {
            plan,
            programs,
            oha,
            samples: Vec::new(),
        }
    }

    pub fn run(mut self) -> Vec<Sample> {
        use Name::{Deadpool, FastApi, Memory, Postgres, Spin, Sqlite, Sqlx};

        if self.wanted(Scenario::Start) {
            self.starts();
        }
        if self.wanted(Scenario::Memory) {
            self.memory();
        }
        let stage = self.stage(&Name::ALL, self.plan.people);
        let everybody = [Postgres, Sqlite, Memory, Deadpool, Sqlx, Spin, FastApi];
        self.turns(&stage, Scenario::Get, Kind::Get, &everybody);
        let durable = [Postgres, Sqlite, Deadpool, Sqlx, Spin, FastApi];
        self.turns(&stage, Scenario::Put, Kind::Put, &durable);
        self.turns(
            &stage,
            Scenario::Health,
            Kind::Health,
            &[Memory, Deadpool, FastApi],
        );
        if self.wanted(Scenario::Rate) {
            self.rates(&stage, &[Postgres, Deadpool, Sqlx]);
        }
        if self.wanted(Scenario::Sweep) {
            self.sweep(&stage, &[Postgres, Sqlite, Deadpool, Sqlx]);
        }
        drop(stage);
        if self.plan.long {
            self.sizes(&[Postgres, Deadpool]);
        }
        self.samples
    }

    fn wanted(&self, scenario: Scenario) -> bool {
        self.plan.only.is_empty() || self.plan.only.contains(&scenario)
    }

    fn stage(&self, names: &[Name], people: u32) -> Stage {
        let is_wanted =
            |name: &Name| self.plan.servers.is_empty() || self.plan.servers.contains(name);
        let names: Vec<Name> = names.iter().copied().filter(is_wanted).collect();
        Stage::new(&names, &self.programs, &self.oha, people)
    }

    /// Measures each of `names` in every round.
    fn turns(&mut self, stage: &Stage, scenario: Scenario, kind: Kind, names: &[Name]) {
        if !self.wanted(scenario) {
            return;
        }
        for round in 1..=self.plan.rounds {
            for server in stage.of(names) {
                self.turn(stage, server, scenario, kind, CONNECTIONS, round);
            }
        }
    }

    /// As many requests of `kind` as `server` takes, after a second of warming up.
    fn turn(
        &mut self,
        stage: &Stage,
        server: &Server,
        scenario: Scenario,
        kind: Kind,
        connections: u32,
        round: u32,
    ) {
        let ask = |seconds| stage.load.closed(&server.url, kind, connections, seconds);
        ask(1);
        let seconds = self.plan.seconds;
        let sample = stage.measure(server, scenario, connections, round, || ask(seconds));
        self.keep_sample(sample);
    }

    /// The latency at 70 % of the highest load, which is measured just before, in the same way: once of the highest
    /// load of each server, and once of that of the slowest.
    fn rates(&mut self, stage: &Stage, names: &[Name]) {
        let mut highest = Vec::new();
        for server in stage.of(names) {
            let rates = (0..3).map(|_| {
                let seen = stage.load.open(&server.url, None, self.plan.seconds);
                seen.per_second()
            });
            let rates = spread(rates.collect()).expect("there were three");
            highest.push((server, rates.median));
        }
        let slowest = highest
            .iter()
            .map(|(_, rate)| *rate)
            .fold(f64::INFINITY, f64::min);
        for round in 1..=self.plan.rounds {
            for (server, highest) in &highest {
                for (scenario, of) in [(Scenario::Rate, *highest), (Scenario::SameRate, slowest)] {
                    let sample = stage.measure(server, scenario, CONNECTIONS, round, || {
                        stage
                            .load
                            .open(&server.url, Some(0.7 * of), self.plan.seconds)
                    });
                    self.keep_sample(sample);
                }
            }
        }
    }

    fn sweep(&mut self, stage: &Stage, names: &[Name]) {
        for round in 1..=self.plan.rounds {
            for connections in SWEEP {
                for server in stage.of(names) {
                    self.turn(
                        stage,
                        server,
                        Scenario::Sweep,
                        Kind::Get,
                        connections,
                        round,
                    );
                }
            }
        }
    }

    /// Both sizes in one round, so that they alternate.
    fn sizes(&mut self, names: &[Name]) {
        if !self.wanted(Scenario::Size) {
            return;
        }
        let stages = [1_000, 10_000_000].map(|people| self.stage(names, people));
        for round in 1..=self.plan.rounds {
            for stage in &stages {
                for server in &stage.servers {
                    self.turn(stage, server, Scenario::Size, Kind::Get, CONNECTIONS, round);
                }
            }
        }
    }

    /// With the precompiled component, and with one compiled at the start.
    fn starts(&mut self) {
        for round in 1..=3 * self.plan.rounds {
            for way in ["precompiled", "compiling"] {
                let mut command = match way {
                    "precompiled" => host(&self.programs),
                    _ => host_compiling(&self.programs),
                };
                command.args(["--key-value", "memory"]);
                let started = Instant::now();
                let service = Service::start_unlogged(&mut command);
                let answer = client::get(&format!("{}/health", service.url));
                assert_eq!(answer.expect("it listens").status, 200);
                let start_ms = started.elapsed().as_secs_f64() * 1e3;
                let measured = Measured::Start { start_ms };
                self.keep(Scenario::Start, way, 1, round, measured);
            }
        }
    }

    /// The memory of a new process in each round: idle, and at the end of a load.
    fn memory(&mut self) {
        let stage = self.stage(&[], self.plan.people);
        for round in 1..=self.plan.rounds {
            for name in [Name::Postgres, Name::Sqlite, Name::Deadpool] {
                let folder = TempDir::with_prefix("birthday-bench-").expect("a temporary folder");
                let server = Server::start(name, &self.programs, &stage.cluster, folder.path());
                let server = server.expect("Spin is not among them");
                for connections in [0, 64, 1000] {
                    let ask = || {
                        if connections == 0 {
                            return sleep(Duration::from_secs(1));
                        }
                        if name == Name::Sqlite && connections == 64 {
                            stage.load.fill(&server.url);
                        }
                        let seconds = self.plan.seconds;
                        let load = &stage.load;
                        let seen = load.closed(&server.url, Kind::Get, connections, seconds);
                        assert!(seen.is_fine(), "{}: {seen:?}", name.text());
                    };
                    let measured = Measured::Memory(stage.memory_under_load(&server, ask));
                    self.keep(Scenario::Memory, name.text(), connections, round, measured);
                }
            }
        }
    }

    fn keep(
        &mut self,
        scenario: Scenario,
        server: &str,
        connections: u32,
        round: u32,
        measured: Measured,
    ) {
        self.keep_sample(Sample {
            scenario,
            server: server.to_owned(),
            connections,
            people: self.plan.people,
            round,
            measured,
        });
    }

    fn keep_sample(&mut self, sample: Sample) {
        eprintln!("{}", sample.line());
        self.samples.push(sample);
    }
}
