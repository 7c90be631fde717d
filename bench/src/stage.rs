//! A database with people, servers in front of it, and the cost of a load.

use crate::load::{Load, Seen, name};
use crate::process::{Memory, Tree};
use crate::sample::{Measured, Sample, Scenario};
use crate::server::{Name, Programs, Server};
use std::path::Path;
use std::thread::{scope, sleep};
use std::time::Duration;
use tempfile::TempDir;
use test_support::cluster::Cluster;

pub struct Stage {
    pub servers: Vec<Server>,
    pub load: Load,
    pub people: u32,
    database: Tree,
    _folder: TempDir,
    // It must be dropped last.
    pub cluster: Cluster,
}

impl Stage {
    /// Leaves out Spin, if it is not installed.
    pub fn new(names: &[Name], programs: &Programs, oha: &Path, people: u32) -> Self {
        let cluster = Cluster::start(&[
            "max_connections=300",
            "max_wal_size=8GB",
            // Ten million people do not fit into the default of 128 MB.
            "shared_buffers=2GB",
        ]);
        cluster.create_database("people");
        // The same table that our component creates.
        cluster.run_sql(
            "people",
            "CREATE TABLE people (\
             username text PRIMARY KEY CHECK (username ~ '^[A-Za-z]{1,64}$'), \
             date_of_birth date NOT NULL CHECK (date_of_birth >= DATE '0001-01-01'))",
        );
        cluster.run_sql(
            "people",
            &format!(
                "INSERT INTO people SELECT translate(lpad(number::text, 8, '0'), '0123456789', 'abcdefghij'), \
                 DATE '1950-01-01' + number % 20000 FROM generate_series(0, {people} - 1) AS number"
            ),
        );
        cluster.run_sql("people", "VACUUM ANALYZE people");
        cluster.run_sql("people", "CHECKPOINT");
        let last = format!(
            "SELECT count(*) FROM people WHERE username = '{}'",
            name(people - 1)
        );
        assert_eq!(cluster.run_sql("people", &last), "1");
        let folder = TempDir::with_prefix("birthday-bench-").expect("a temporary folder");
        let load = Load::new(oha.to_owned(), people);
        let start = |name: &Name| {
            let server = Server::start(*name, programs, &cluster, folder.path());
            if server.is_none() {
                eprintln!("skipped: {}: there is no spin on PATH", name.text());
            }
            server
        };
        let servers: Vec<Server> = names.iter().filter_map(start).collect();
        for server in &servers {
            if matches!(server.name, Name::Sqlite | Name::Memory) {
                load.fill(&server.url);
            }
        }
        Self {
            servers,
            load,
            people,
            database: Tree::of(cluster.pid().expect("it was started")),
            _folder: folder,
            cluster,
        }
    }

    pub fn of(&self, names: &[Name]) -> impl Iterator<Item = &Server> {
        self.servers
            .iter()
            .filter(|server| names.contains(&server.name))
    }

    /// The cost of `ask` for `server` and the database.
    ///
    /// # Panics
    /// If too many requests get a wrong answer or none: a server that fails is not fast.
    pub fn measure(
        &self,
        server: &Server,
        scenario: Scenario,
        connections: u32,
        round: u32,
        ask: impl FnOnce() -> Seen,
    ) -> Sample {
        let used = || (server.tree().cpu_seconds(), self.database.cpu_seconds());
        let before = used();
        let seen = ask();
        let after = used();
        assert!(seen.is_fine(), "{}: {seen:?}", server.name.text());
        Sample {
            scenario,
            server: server.name.text().to_owned(),
            connections,
            people: self.people,
            round,
            measured: Measured::Load {
                seen,
                server_cpu: after.0 - before.0,
                database_cpu: after.1 - before.1,
            },
        }
    }

    /// The most memory that `server` had during the load.
    pub fn memory_under_load(&self, server: &Server, ask: impl FnOnce() + Send) -> Memory {
        scope(|scope| {
            let asking = scope.spawn(ask);
            let mut most = Memory::default();
            while !asking.is_finished() {
                most = most.max(server.tree().memory());
                sleep(Duration::from_millis(100));
            }
            most
        })
    }
}
