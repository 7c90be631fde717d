//! The database goes away, comes back, moves, is slow, and asks for encryption.

use crate::support::{cluster_with_people, command, get, host_of_guest, host_on, put, try_put};
use birthday_tests::cluster::Cluster;
use birthday_tests::contract::new_username;
use birthday_tests::service::Service;
use birthday_tests::wait::wait_for;
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use std::fs;
use std::io::Write;
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};
use tempfile::TempDir;

const BORN: &str = "2000-10-01";
const SECOND: Duration = Duration::from_secs(1);
/// More than any test waits for a state that has to come.
const PATIENCE: Duration = Duration::from_secs(20);

fn health(service: &Service) -> u16 {
    get(service, "/health").status
}

#[track_caller]
fn check_unavailable(service: &Service) {
    let answer = get(service, "/health");
    assert_eq!(
        (answer.status, answer.problem().as_deref()),
        (503, Some("store-unavailable"))
    );
    assert!(answer.header("retry-after").is_some(), "{answer:?}");
}

#[test]
fn a_database_that_is_down_at_start_is_waited_for_and_logged_once() {
    let mut cluster = cluster_with_people(&["fsync=off"]);
    cluster.shut_down();
    let service = host_on(&cluster, &[]);
    thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| {
                for _ in 0..20 {
                    check_unavailable(&service);
                    let answer = put(&service, &new_username(), BORN);
                    assert_eq!(answer.problem().as_deref(), Some("store-unavailable"));
                }
            });
        }
    });
    cluster.start_server();
    let took = wait_for(PATIENCE, "recovery", || health(&service) == 200);
    assert!(took < SECOND, "{took:?} after the database was back");
    assert_eq!(put(&service, &new_username(), BORN).status, 204);
    let log = service.wait_for_log(": back");
    assert_eq!(log.matches("out of reach").count(), 1, "{log}");
    assert_eq!(log.matches(": back").count(), 1, "{log}");
    assert_eq!(log.lines().count(), 2, "{log}");
}

#[test]
fn a_crash_under_load_is_503_at_worst_and_over_within_a_second() {
    let mut cluster = cluster_with_people(&["fsync=off"]);
    let service = host_on(&cluster, &[]);
    assert_eq!(put(&service, &new_username(), BORN).status, 204);
    let until = Instant::now() + 3 * SECOND;
    thread::scope(|scope| {
        let clients: Vec<_> = (0..8)
            .map(|_| {
                scope.spawn(|| {
                    let mut answers = Vec::new();
                    while Instant::now() < until {
                        let start = Instant::now();
                        let status = put(&service, &new_username(), BORN).status;
                        answers.push((status, start.elapsed()));
                    }
                    answers
                })
            })
            .collect();
        thread::sleep(SECOND / 2);
        cluster.crash();
        thread::sleep(SECOND / 2);
        cluster.start_server();
        let took = wait_for(PATIENCE, "recovery", || health(&service) == 200);
        assert!(took < SECOND, "{took:?} after the database was back");
        let answers: Vec<_> = clients
            .into_iter()
            .flat_map(|client| client.join().unwrap())
            .collect();
        assert!(answers.iter().any(|(status, _)| *status == 503));
        for (status, took) in answers {
            assert!(matches!(status, 204 | 503), "{status}");
            assert!(took < 2 * SECOND, "{took:?}");
        }
    });
    let log = service.log();
    assert!(log.matches("out of reach").count() <= 1, "{log}");
    assert!(log.lines().count() <= 2, "{log}");
}

#[test]
fn after_a_quiet_restart_nobody_notices() {
    let mut cluster = cluster_with_people(&["fsync=off"]);
    let service = host_on(&cluster, &[]);
    for _ in 0..3 {
        // Enough to have used every thread's connection and several instances.
        for _ in 0..10 {
            assert_eq!(put(&service, &new_username(), BORN).status, 204);
        }
        cluster.shut_down();
        cluster.start_server();
    }
    assert_eq!(service.log(), "");
}

#[test]
fn a_server_that_accepts_and_says_nothing_is_given_up() {
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = silent.local_addr().unwrap().port();
    let variable = format!("database_url=postgres://u@127.0.0.1:{port}/db");
    let service = Service::start(&mut command(&["--variable", &variable]));
    let start = Instant::now();
    check_unavailable(&service);
    assert!(
        start.elapsed() < Duration::from_secs(8),
        "{:?}",
        start.elapsed()
    );
}

#[test]
fn a_slow_statement_holds_nobody_up() {
    let cluster = cluster_with_people(&["fsync=off"]);
    cluster.run_sql(
        "people",
        "CREATE VIEW slow AS SELECT pg_sleep(3)::text AS nothing",
    );
    let variable = format!("database_url={}", cluster.address("people"));
    let service = host_of_guest(&["--variable", &variable, "--request-timeout", "2s"]);
    assert_eq!(get(&service, "/postgres-one").status, 200);
    thread::scope(|scope| {
        // On every thread, and cut off before they end.
        let slow: Vec<_> = (0..4)
            .map(|_| scope.spawn(|| get(&service, "/postgres-sleep").status))
            .collect();
        thread::sleep(Duration::from_millis(200));
        let until = Instant::now() + 3 * SECOND;
        while Instant::now() < until {
            let start = Instant::now();
            assert_eq!(get(&service, "/postgres-one").status, 200);
            let took = start.elapsed();
            assert!(took < SECOND / 2, "{took:?}");
            thread::sleep(Duration::from_millis(20));
        }
        for slow in slow {
            assert_eq!(slow.join().unwrap(), 504);
        }
    });
}

#[test]
fn a_locked_table_does_not_pile_up_connections() {
    let cluster = cluster_with_people(&["fsync=off"]);
    let service = host_on(&cluster, &["--request-timeout", "300ms"]);
    assert_eq!(put(&service, &new_username(), BORN).status, 204);
    let connections = || {
        let count =
            "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'birthday-host'";
        cluster.run_sql("postgres", count).parse::<usize>().unwrap()
    };
    let until = Instant::now() + 6 * SECOND;
    let most = thread::scope(|scope| {
        scope.spawn(|| {
            let lock = "BEGIN; LOCK TABLE people; SELECT pg_sleep(6)";
            cluster.run_sql("people", lock);
        });
        for _ in 0..16 {
            scope.spawn(|| {
                while Instant::now() < until {
                    put(&service, &new_username(), BORN);
                }
            });
        }
        let mut most = 0;
        while Instant::now() < until {
            most = most.max(connections());
            thread::sleep(SECOND / 10);
        }
        most
    });
    let threads = thread::available_parallelism().unwrap().get();
    // Four for each thread, as many that are being given up, and two for writes that go together.
    assert!(most <= (2 * 4 + 2) * threads, "{most} connections");
    wait_for(PATIENCE, "an end of it", || {
        put(&service, &new_username(), BORN).status == 204 && connections() <= (4 + 2) * threads
    });
}

#[test]
fn a_caller_that_leaves_costs_no_other_caller_anything() {
    let cluster = cluster_with_people(&["fsync=off"]);
    let service = host_on(&cluster, &["--threads", "1"]);
    assert_eq!(put(&service, &new_username(), BORN).status, 204);
    thread::scope(|scope| {
        scope.spawn(|| {
            let lock = "BEGIN; LOCK TABLE people; SELECT pg_sleep(4)";
            cluster.run_sql("people", lock);
        });
        thread::sleep(SECOND / 2);
        let waiting = [(); 3].map(|()| scope.spawn(|| put(&service, &new_username(), BORN)));
        thread::sleep(SECOND / 5);
        let address = service.url.trim_start_matches("http://");
        let mut caller = TcpStream::connect(address).unwrap();
        let body = format!(r#"{{"dateOfBirth":"{BORN}"}}"#);
        let length = body.len();
        let name = new_username();
        let request = format!(
            "PUT /hello/{name} HTTP/1.1\r\nHost: a\r\nContent-Length: {length}\r\n\r\n{body}"
        );
        caller.write_all(request.as_bytes()).unwrap();
        thread::sleep(SECOND / 5);
        drop(caller);
        for waiting in waiting {
            assert_eq!(waiting.join().unwrap().status, 204, "{}", service.log());
        }
    });
}

#[test]
fn those_who_want_a_connection_of_their_own_get_one_in_turn() {
    let cluster = cluster_with_people(&["fsync=off"]);
    let service = host_on(
        &cluster,
        &["--threads", "1", "--postgres-sharing", "exclusive"],
    );
    let username = new_username();
    assert_eq!(put(&service, &username, BORN).status, 204);
    for _ in 0..2 {
        thread::scope(|scope| {
            for _ in 0..48 {
                scope.spawn(|| {
                    for _ in 0..10 {
                        let answer = get(&service, &format!("/hello/{username}"));
                        assert_eq!(answer.status, 200, "{}", service.log());
                    }
                });
            }
        });
    }
}

#[test]
fn a_server_that_takes_few_connections_is_enough() {
    let cluster = cluster_with_people(&["fsync=off"]);
    let owner = host_on(&cluster, &[]);
    let username = new_username();
    assert_eq!(put(&owner, &username, BORN).status, 204);
    drop(owner);
    cluster.run_sql(
        "people",
        "CREATE ROLE few LOGIN CONNECTION LIMIT 2; GRANT ALL ON people TO few",
    );
    let address = cluster.address("people").replace("postgres@", "few@");
    let variable = format!("database_url={address}");
    for (sharing, threads) in [("pipelined", "4"), ("exclusive", "1")] {
        let arguments = ["--threads", threads, "--postgres-sharing", sharing];
        let service = Service::start(command(&arguments).args(["--variable", &variable]));
        thread::scope(|scope| {
            for _ in 0..16 {
                scope.spawn(|| {
                    for _ in 0..20 {
                        let status = get(&service, &format!("/hello/{username}")).status;
                        // Sixteen at a time cannot have a connection each.
                        assert!(status == 200 || (status == 503 && sharing == "exclusive"));
                        if sharing == "pipelined" {
                            assert_eq!(put(&service, &username, BORN).status, 204);
                        }
                    }
                });
            }
        });
        // One after the other can.
        let mut in_a_row = 0;
        wait_for(PATIENCE, sharing, || {
            let healthy = health(&service) == 200;
            in_a_row = if healthy { in_a_row + 1 } else { 0 };
            in_a_row == 20
        });
    }
}

#[test]
fn connections_are_few_and_pipelined() {
    let cluster = cluster_with_people(&["fsync=off"]);
    let service = host_on(&cluster, &[]);
    thread::scope(|scope| {
        for _ in 0..32 {
            scope.spawn(|| {
                for _ in 0..20 {
                    let username = new_username();
                    assert_eq!(put(&service, &username, BORN).status, 204);
                    assert_eq!(get(&service, &format!("/hello/{username}")).status, 200);
                }
            });
        }
    });
    let count = cluster.run_sql(
        "people",
        "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'birthday-host'",
    );
    let threads = thread::available_parallelism().unwrap().get();
    // One for each thread that had anything to do, and one for writes that go together; more only where one was
    // held up.
    assert!(count.parse::<usize>().unwrap() <= 3 * threads, "{count}");
}

/// Writes from so many clients go together.
const MANY: usize = 32;

/// A service with a table whose writes are counted one by one in the table `written`.
fn cluster_that_counts_writes() -> (Cluster, Service) {
    let cluster = cluster_with_people(&["fsync=off"]);
    let service = host_on(&cluster, &["--request-timeout", "1s", "--threads", "1"]);
    assert_eq!(put(&service, &new_username(), BORN).status, 204);
    cluster.run_sql(
        "people",
        "CREATE TABLE written (username text);
         CREATE FUNCTION note() RETURNS trigger LANGUAGE plpgsql AS
         'BEGIN INSERT INTO written VALUES (NEW.username); RETURN NEW; END';
         CREATE TRIGGER note AFTER INSERT OR UPDATE ON people FOR EACH ROW EXECUTE FUNCTION note()",
    );
    (cluster, service)
}

/// How many writes there were, of how many users, in how many transactions.
fn written(cluster: &Cluster) -> [usize; 3] {
    let counts = cluster.run_sql(
        "people",
        "SELECT count(*), count(DISTINCT username), count(DISTINCT xmin::text) FROM written",
    );
    let counts: Vec<_> = counts
        .split('|')
        .map(|count| count.parse().unwrap())
        .collect();
    counts.try_into().unwrap()
}

#[test]
fn writes_at_the_same_time_are_committed_together_and_once_each() {
    const WRITES: usize = 40;

    let (cluster, service) = cluster_that_counts_writes();
    thread::scope(|scope| {
        for _ in 0..MANY {
            scope.spawn(|| {
                for _ in 0..WRITES {
                    let username = new_username();
                    assert_eq!(put(&service, &username, BORN).status, 204);
                    assert_eq!(get(&service, &format!("/hello/{username}")).status, 200);
                }
            });
        }
    });
    let [writes, users, transactions] = written(&cluster);
    assert_eq!([writes, users], [MANY * WRITES; 2]);
    assert!(transactions < writes / 2, "{transactions} transactions");
    assert_eq!(service.log(), "");
}

#[test]
fn a_write_that_is_refused_costs_those_beside_it_nothing() {
    let (cluster, service) = cluster_that_counts_writes();
    cluster.run_sql(
        "people",
        "ALTER TABLE people ADD CONSTRAINT polite CHECK (username <> 'Rude')",
    );
    let until = Instant::now() + 4 * SECOND;
    let stored: usize = thread::scope(|scope| {
        let clients: Vec<_> = (0..MANY)
            .map(|_| {
                scope.spawn(|| {
                    let mut stored = 0;
                    while Instant::now() < until {
                        assert_eq!(put(&service, &new_username(), BORN).status, 204);
                        stored += 1;
                    }
                    stored
                })
            })
            .collect();
        while Instant::now() < until {
            let answer = put(&service, "Rude", BORN);
            assert_eq!(answer.problem().as_deref(), Some("store-unavailable"));
            // For a second, none goes with others.
            thread::sleep(SECOND * 6 / 5);
        }
        clients
            .into_iter()
            .map(|client| client.join().unwrap())
            .sum()
    });
    let [writes, users, transactions] = written(&cluster);
    assert_eq!([writes, users], [stored; 2]);
    assert!(transactions < writes, "{transactions} transactions");
    let log = service.log();
    let refused = log.matches("violates check constraint \"polite\" (ERROR 23514)");
    assert_eq!(refused.count(), log.lines().count(), "{log}");
}

#[test]
fn a_write_that_takes_long_holds_up_those_that_went_with_it_at_most() {
    let (cluster, service) = cluster_that_counts_writes();
    cluster.run_sql(
        "people",
        "CREATE FUNCTION wait() RETURNS trigger LANGUAGE plpgsql AS
         'BEGIN PERFORM pg_sleep(60); RETURN NEW; END';
         CREATE TRIGGER wait BEFORE INSERT ON people FOR EACH ROW
         WHEN (NEW.username = 'Slow') EXECUTE FUNCTION wait();
         INSERT INTO people VALUES ('Locked', '2000-10-01')",
    );
    let until = Instant::now() + 4 * SECOND;
    let held_up: usize = thread::scope(|scope| {
        scope.spawn(|| {
            let lock = "BEGIN; SELECT * FROM people WHERE username = 'Locked' FOR UPDATE; \
                        SELECT pg_sleep(2)";
            cluster.run_sql("people", lock);
        });
        let clients: Vec<_> = (0..MANY)
            .map(|_| {
                scope.spawn(|| {
                    let mut held_up = 0;
                    while Instant::now() < until {
                        let start = Instant::now();
                        match put(&service, &new_username(), BORN).status {
                            204 => assert!(start.elapsed() < SECOND / 2, "{:?}", start.elapsed()),
                            504 => held_up += 1,
                            other => panic!("{other}"),
                        }
                    }
                    held_up
                })
            })
            .collect();
        thread::sleep(SECOND / 2);
        // Nobody goes with it for longer than 50 ms.
        assert_eq!(put(&service, "Locked", BORN).status, 504);
        thread::sleep(SECOND);
        assert_eq!(put(&service, "Slow", BORN).status, 504);
        clients
            .into_iter()
            .map(|client| client.join().unwrap())
            .sum()
    });
    // Each of the two may hold up whoever came at the same time.
    assert!(held_up <= 2 * MANY, "{held_up} answers were late");
    let asleep = "SELECT count(*) FROM pg_stat_activity WHERE wait_event = 'PgSleep'";
    wait_for(PATIENCE, "the end of what nobody waits for", || {
        cluster.run_sql("people", asleep) == "0"
    });
    let slow = "SELECT count(*) FROM written WHERE username = 'Slow'";
    assert_eq!(cluster.run_sql("people", slow), "0");
}

#[test]
fn the_same_people_written_by_all_threads_do_not_lock_each_other_out() {
    let cluster = cluster_with_people(&["fsync=off", "deadlock_timeout=10ms"]);
    let services = [(); 2].map(|()| host_on(&cluster, &["--threads", "2"]));
    let people = [(); 8].map(|()| new_username());
    thread::scope(|scope| {
        for client in 0..MANY {
            let (people, service) = (&people, &services[client % 2]);
            scope.spawn(move || {
                for turn in 0..40 {
                    let person = &people[(client + turn) % people.len()];
                    assert_eq!(put(service, person, BORN).status, 204, "{}", service.log());
                }
            });
        }
    });
    for service in &services {
        assert_eq!(service.log(), "");
    }
    let deadlocks = "SELECT deadlocks FROM pg_stat_database WHERE datname = 'people'";
    assert_eq!(cluster.run_sql("people", deadlocks), "0");
}

#[test]
fn the_table_is_made_once_however_many_ask_first() {
    let cluster = cluster_with_people(&["fsync=off"]);
    let service = host_on(&cluster, &[]);
    thread::scope(|scope| {
        for _ in 0..32 {
            scope.spawn(|| assert_eq!(put(&service, &new_username(), BORN).status, 204));
        }
    });
    let refused = "INSERT INTO people VALUES ('b0b', '2000-01-01')";
    let checks = cluster.run_sql(
        "people",
        &format!("DO $$ BEGIN {refused}; EXCEPTION WHEN check_violation THEN NULL; END $$; SELECT count(*) FROM people"),
    );
    assert_eq!(checks, "32");
    assert_eq!(service.log(), "");
}

#[test]
fn a_role_that_may_only_use_the_table_is_enough() {
    let cluster = cluster_with_people(&["fsync=off"]);
    let owner = host_on(&cluster, &[]);
    assert_eq!(put(&owner, &new_username(), BORN).status, 204);
    cluster.run_sql(
        "people",
        "CREATE ROLE api LOGIN; GRANT SELECT, INSERT, UPDATE ON people TO api; CREATE ROLE reader LOGIN",
    );
    let host_as = |role: &str| {
        let address = cluster
            .address("people")
            .replace("postgres@", &format!("{role}@"));
        let variable = format!("database_url={address}");
        Service::start(&mut command(&["--variable", &variable]))
    };
    let username = new_username();
    let service = host_as("api");
    assert_eq!(put(&service, &username, BORN).status, 204);
    assert_eq!(get(&service, &format!("/hello/{username}")).status, 200);
    // One that may not: said in the log, and not to the caller.
    let service = host_as("reader");
    let answer = put(&service, &username, BORN);
    assert_eq!(answer.problem().as_deref(), Some("store-unavailable"));
    assert!(!answer.body.contains("permission"));
    service.wait_for_log("permission denied for table people (ERROR 42501)");
}

#[test]
fn of_several_hosts_the_one_that_can_be_written_is_used() {
    let (one, two) = (
        cluster_with_people(&["fsync=off"]),
        cluster_with_people(&["fsync=off"]),
    );
    let dead = TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap()
        .port();
    two.run_sql(
        "people",
        "CREATE TABLE people (username text PRIMARY KEY, date_of_birth date NOT NULL)",
    );
    let variable = format!(
        "database_url=postgres://postgres@127.0.0.1:{dead},127.0.0.1:{},127.0.0.1:{}/people\
         ?target_session_attrs=read-write",
        one.port, two.port
    );
    let service = Service::start(&mut command(&["--variable", &variable]));
    let username = new_username();
    assert_eq!(put(&service, &username, BORN).status, 204);
    let people = |cluster: &Cluster| cluster.run_sql("people", "SELECT count(*) FROM people");
    assert_eq!(people(&one), "1");
    // The primary becomes read-only, without any connection being closed.
    one.run_sql(
        "postgres",
        "ALTER SYSTEM SET default_transaction_read_only = on",
    );
    one.reload();
    wait_for(PATIENCE, "writing to the other", || {
        assert_eq!(put(&service, &new_username(), BORN).status, 204);
        people(&two) != "0"
    });
    let (before_one, before_two) = (people(&one), people(&two));
    for _ in 0..10 {
        assert_eq!(put(&service, &new_username(), BORN).status, 204);
    }
    assert_eq!(people(&one), before_one);
    let number = |text: &str| text.parse::<u64>().unwrap();
    assert_eq!(number(&people(&two)), number(&before_two) + 10);
}

#[test]
fn a_password_may_have_any_characters() {
    let cluster = cluster_with_people(&["fsync=off", "password_encryption=scram-sha-256"]);
    let password = "p@ss/w:o?r%d#[ü]&=";
    cluster.run_sql(
        "people",
        &format!("CREATE ROLE api LOGIN SUPERUSER PASSWORD '{password}'"),
    );
    cluster.write(
        "pg_hba.conf",
        "host all api all scram-sha-256\nhost all all all trust\n",
    );
    cluster.reload();
    let address = cluster.address("people").replace("postgres@", "api@");
    let host_with = |password: &str| {
        let mut command = command(&["--variable", &format!("database_url={address}")]);
        Service::start(command.env("SPIN_VARIABLE_DATABASE_PASSWORD", password))
    };
    assert_eq!(health(&host_with(password)), 200);
    let service = host_with("wrong&secret");
    check_unavailable(&service);
    let log = service.wait_for_log("password authentication failed");
    assert!(!log.contains("secret"), "{log}");
}

#[test]
fn not_even_the_most_talkative_log_has_names_dates_or_secrets() {
    let cluster = cluster_with_people(&["fsync=off"]);
    let variable = format!("database_url={}", cluster.address("people"));
    let mut command = command(&["--variable", &variable, "--variable", "api_token="]);
    command
        .env("SPIN_VARIABLE_DATABASE_PASSWORD", "s3cret")
        .env(
            "RUST_LOG",
            // Not what the compiler says, which is a hundred megabytes.
            "trace,tokio_postgres=trace,cranelift_codegen=off,cranelift_frontend=off,regalloc2=off,\
             wasmtime=off,wasmtime_internal_cranelift=off,wasmtime_environ=off",
        );
    let service = Service::start(&mut command);
    let username = new_username();
    assert_eq!(put(&service, &username, "1987-06-05").status, 204);
    assert_eq!(get(&service, &format!("/hello/{username}")).status, 200);
    let log = service.wait_for_log("executing statement");
    for text in [username.as_str(), "1987-06-05", "1987, 6, 5", "s3cret"] {
        let line = log.lines().find(|line| line.contains(text));
        assert_eq!(line, None, "has {text} in it");
    }
}

#[test]
fn encryption_is_as_the_address_asks() {
    let cluster = cluster_with_people(&["fsync=off"]);
    let folder = TempDir::new().unwrap();
    let authority = authority();
    let key = KeyPair::generate().unwrap();
    let names = vec!["localhost".to_owned()];
    let certificate = CertificateParams::new(names)
        .unwrap()
        .signed_by(&key, &authority)
        .unwrap();
    cluster.write("server.crt", &certificate.pem());
    cluster.write("server.key", &key.serialize_pem());
    cluster.write(
        "pg_hba.conf",
        "local all all trust\nhostssl all all all trust\n",
    );
    let own = folder.path().join("ca.pem");
    fs::write(&own, authority.pem()).unwrap();
    let strange = folder.path().join("strange.pem");
    fs::write(&strange, self::authority().pem()).unwrap();
    cluster.run_sql("people", "ALTER SYSTEM SET ssl = on");
    cluster.reload();

    let own: (&str, &Path) = ("--postgres-ca", &own);
    let strange: (&str, &Path) = ("--postgres-ca", &strange);
    // Where the system keeps its authorities, for whoever asks it.
    let system = ("SSL_CERT_FILE", own.1);
    let check = |host: &str, mode: &str, authorities: Option<(&str, &Path)>, status: u16| {
        let port = cluster.port;
        let variable =
            format!("database_url=postgres://postgres@{host}:{port}/people?sslmode={mode}");
        let mut command = command(&["--variable", &variable]);
        match authorities {
            Some((flag, path)) if flag.starts_with("--") => command.arg(flag).arg(path),
            Some((name, path)) => command.env(name, path),
            None => &mut command,
        };
        let service = Service::start(&mut command);
        let log = service.log();
        assert_eq!(
            health(&service),
            status,
            "{host}, {mode}, {authorities:?}: {log}"
        );
        if status == 200 {
            assert_eq!(put(&service, &new_username(), BORN).status, 204);
        }
    };
    check("localhost", "require", Some(own), 200);
    check("localhost", "verify-full", Some(own), 200);
    check("localhost", "verify-full", Some(system), 200);
    check("localhost", "require", Some(strange), 503);
    check("localhost", "require", None, 503);
    check("127.0.0.1", "verify-full", Some(own), 503);
    check("localhost", "prefer", None, 200);
    check("localhost", "disable", Some(own), 503);
}

fn authority() -> CertifiedIssuer<'static, KeyPair> {
    let mut parameters = CertificateParams::new(Vec::new()).unwrap();
    parameters.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    CertifiedIssuer::self_signed(parameters, KeyPair::generate().unwrap()).unwrap()
}

#[test]
fn a_lost_connection_costs_no_acknowledged_write() {
    let cluster = cluster_with_people(&["fsync=off"]);
    let service = host_on(&cluster, &[]);
    assert_eq!(put(&service, &new_username(), BORN).status, 204);
    let until = Instant::now() + 2 * SECOND;
    let stored = thread::scope(|scope| {
        let clients: Vec<_> = (0..16)
            .map(|_| {
                scope.spawn(|| {
                    let mut stored = Vec::new();
                    while Instant::now() < until {
                        let username = new_username();
                        let answer = try_put(&service.url, &username, BORN).unwrap();
                        match answer.status {
                            204 => stored.push(username),
                            503 => {}
                            other => panic!("{other}"),
                        }
                    }
                    stored
                })
            })
            .collect();
        while Instant::now() < until {
            cluster.run_sql(
                "people",
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity \
                 WHERE application_name = 'birthday-host'",
            );
            thread::sleep(Duration::from_millis(50));
        }
        clients
            .into_iter()
            .flat_map(|client| client.join().unwrap())
            .collect::<Vec<_>>()
    });
    assert!(stored.len() > 100, "{}", stored.len());
    for username in stored {
        assert_eq!(
            get(&service, &format!("/hello/{username}")).status,
            200,
            "{username}"
        );
    }
}
