//! Runs the contract suite: against the service at `BASE_URL`, or against the container image in the archive
//! `BIRTHDAY_IMAGE` (with the other claims about it), or against every runtime and store that can be started here.
//! Then it checks the component and its WIT against the worlds that they are made for.
#![expect(
    clippy::unwrap_used,
    reason = "in a test, what is not there is a failure"
)]

mod container;
mod image;
mod migration;
mod shared;
mod spin;
mod world;

use birthday_tests::contract::{self, Setup};
use birthday_tests::operator;
use birthday_tests::service::{Service, host, root, spin_up, target};
use birthday_tests::upstream::Upstream;
use libtest_mimic::{Arguments, Trial};
use std::env;
use std::path::Path;
use tempfile::TempDir;
use test_support::cluster::Cluster;
use test_support::dynamodb::DynamoDb;
use test_support::machine::find_program;
use test_support::redis::Redis;

fn main() {
    let arguments = Arguments::from_args();
    if let Ok(base_url) = env::var("BASE_URL") {
        let trials = contract::trials(&base_url, Setup::Plain, &base_url);
        libtest_mimic::run(&arguments, trials).exit();
    }
    if let Some(archive) = env::var_os("BIRTHDAY_IMAGE") {
        let (trials, kept) = image::trials(&root().join(archive));
        let conclusion = libtest_mimic::run(&arguments, trials);
        drop(kept);
        conclusion.exit();
    }
    let mut runtimes = Runtimes::start();
    let trials = runtimes.trials();
    let conclusion = libtest_mimic::run(&arguments, trials);
    // Before the exit, which does not drop it.
    drop(runtimes);
    conclusion.exit();
}

/// The services that run during the trials.
struct Runtimes {
    services: Vec<Started>,
    folder: TempDir,
    cluster: Cluster,
    redis: Option<Redis>,
    dynamodb: Option<DynamoDb>,
    /// Trials that need none of the services.
    more: Vec<Trial>,
}

/// A service of the suite, and where it fetches people.
struct Started {
    name: String,
    setup: Setup,
    service: Service,
    upstream: Upstream,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Store {
    Memory,
    Sqlite,
    Postgres,
    Redis,
    DynamoDb,
}

impl Runtimes {
    fn start() -> Self {
        let mut runtimes = Self {
            services: Vec::new(),
            folder: TempDir::with_prefix("birthday-contract-").expect("a temporary folder"),
            cluster: Cluster::start(&["fsync=off"]),
            redis: Redis::start(&[]),
            dynamodb: DynamoDb::start(&target().join("tools")),
            more: Vec::new(),
        };
        let mut stores = vec![
            (Store::Memory, "memory"),
            (Store::Sqlite, "sqlite"),
            (Store::Postgres, "postgres"),
        ];
        match &runtimes.redis {
            Some(redis) => {
                // As the database of the suite: nothing here crashes.
                redis.run(&["CONFIG", "SET", "appendfsync", "no"]);
                stores.push((Store::Redis, "redis"));
            }
            None => runtimes.skip("host, redis (no redis-server on PATH)"),
        }
        match runtimes.dynamodb {
            Some(_) => stores.push((Store::DynamoDb, "dynamodb")),
            None => runtimes.skip("host, dynamodb (run scripts/install-dynalite)"),
        }
        for (store, name) in stores {
            for setup in [Setup::Plain, Setup::Token, Setup::Operator] {
                runtimes.start_with(&format!("host, {name}"), setup, |runtimes, upstream| {
                    runtimes.host(store, setup, upstream)
                });
            }
        }
        for setup in [Setup::Plain, Setup::Operator] {
            let name = "host, postgres as the chart makes it";
            runtimes.start_with(name, setup, |runtimes, upstream| {
                runtimes.host_after_migration(setup, upstream)
            });
        }
        runtimes.more.extend(shared::trials());
        match (find_program("spin"), find_program("faketime")) {
            (None, _) => runtimes.skip("spin (not on PATH)"),
            (Some(spin), faketime) => {
                for (store, name) in [(Store::Sqlite, "key-value"), (Store::Postgres, "postgres")] {
                    for setup in [Setup::Plain, Setup::Token, Setup::Operator, Setup::Nonsense] {
                        runtimes.start_with(
                            &format!("spin, {name}"),
                            setup,
                            |runtimes, upstream| runtimes.spin(&spin, store, setup, upstream),
                        );
                    }
                }
                runtimes.more.extend(spin::unreachable(&spin));
                match faketime {
                    Some(faketime) => runtimes.more.extend(spin::days(&spin, &faketime)),
                    None => runtimes.skip("days on spin (no faketime on PATH)"),
                }
            }
        }
        runtimes
    }

    fn skip(&mut self, what: &str) {
        eprintln!("skipped: {what}");
        let skipped = Trial::test(what, || Ok(())).with_ignored_flag(true);
        self.more.push(skipped);
    }

    fn start_with(
        &mut self,
        name: &str,
        setup: Setup,
        start: impl FnOnce(&Self, &Upstream) -> Service,
    ) {
        let upstream = Upstream::start();
        let service = start(self, &upstream);
        self.services.push(Started {
            name: name.to_owned(),
            setup,
            service,
            upstream,
        });
    }

    fn host(&self, store: Store, setup: Setup, upstream: &Upstream) -> Service {
        let mut command = host();
        let key_value = match store {
            Store::Sqlite => {
                let file = self.folder.path().join(format!("host-{setup:?}.db"));
                format!("sqlite:{}", file.display())
            }
            Store::Memory | Store::Postgres => "memory".to_owned(),
            Store::Redis => {
                let redis = self.redis.as_ref().expect("it is one of the stores");
                format!("redis://127.0.0.1:{}/{}", redis.port, setup as u8)
            }
            Store::DynamoDb => {
                let dynamodb = self.dynamodb.as_ref().expect("it is one of the stores");
                shared::use_test_credentials(&mut command);
                shared::dynamodb_address(dynamodb, &format!("people-{setup:?}"))
            }
        };
        command.args(["--key-value", &key_value]);
        for (name, value) in variables(setup, upstream) {
            command.arg("--variable").arg(format!("{name}={value}"));
        }
        if store == Store::Postgres {
            let address = self.database(&format!("host_{setup:?}"));
            command
                .arg("--variable")
                .arg(format!("database_url={address}"));
        }
        Service::start(&mut command)
    }

    /// The host with the table and the role of charts/postgres-db.
    fn host_after_migration(&self, setup: Setup, upstream: &Upstream) -> Service {
        let name = format!("migrated_{setup:?}").to_lowercase();
        let address = migration::database(&self.cluster, &name);
        let mut command = host();
        for (name, value) in variables(setup, upstream) {
            command.arg("--variable").arg(format!("{name}={value}"));
        }
        command
            .args(["--key-value", "memory", "--variable"])
            .arg(format!("database_url={address}"))
            .arg("--variable")
            .arg(format!("database_password={}", migration::PASSWORD));
        Service::start(&mut command)
    }

    fn spin(&self, spin: &Path, store: Store, setup: Setup, upstream: &Upstream) -> Service {
        let folder = match store {
            Store::Postgres => format!("spin-postgres-{setup:?}"),
            _ => format!("spin-{setup:?}"),
        };
        let mut command = spin_up(spin, &self.folder.path().join(folder));
        for (name, value) in variables(setup, upstream) {
            command.env(format!("SPIN_VARIABLE_{}", name.to_uppercase()), value);
        }
        if store == Store::Postgres {
            let address = self.database(&format!("spin_{setup:?}"));
            command.env("SPIN_VARIABLE_DATABASE_URL", address);
        }
        Service::start(&mut command)
    }

    fn database(&self, name: &str) -> String {
        let name = name.to_lowercase();
        self.cluster.create_database(&name);
        self.cluster.address(&name)
    }

    fn trials(&mut self) -> Vec<Trial> {
        let trials = self.services.iter().flat_map(|started| {
            let Started {
                name,
                setup,
                service,
                upstream,
            } = started;
            match setup {
                Setup::Operator => operator::trials(name, &service.url, upstream),
                _ => contract::trials(name, *setup, &service.url),
            }
        });
        trials
            .chain(world::trials())
            .chain(migration::trials())
            .chain(self.more.drain(..))
            .collect()
    }
}

/// The variables of `setup`, by name and value.
fn variables(setup: Setup, upstream: &Upstream) -> Vec<(&'static str, String)> {
    let fixed = setup.variables().iter();
    let mut variables: Vec<_> = fixed
        .map(|(name, value)| (*name, (*value).to_owned()))
        .collect();
    if setup == Setup::Operator {
        variables.push(("populate_url", upstream.url.clone()));
    }
    variables
}
