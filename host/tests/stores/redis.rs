//! Redis: killed, read-only, behind a password, silent.

use super::{
    BORN, PATIENCE, check_given_up, check_log, check_unavailable, check_works, host_on,
    patient_host_on, people, wait_until_back,
};
use crate::support::{get, put, try_put};
use birthday_tests::contract::new_username;
use birthday_tests::load::RaisedOnDrop;
use birthday_tests::service::Service;
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use rustix::process::Signal;
use std::fs;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use tempfile::TempDir;
use test_support::redis::Redis;
use test_support::wait::wait_for;

fn start(settings: &[&str]) -> Option<Redis> {
    let redis = Redis::start(settings);
    if redis.is_none() {
        println!("skipped: install the package redis-server to run this");
    }
    redis
}

fn address(redis: &Redis) -> String {
    format!("redis://127.0.0.1:{}", redis.port)
}

#[test]
fn a_restart_between_requests_is_not_noticed() {
    let Some(mut redis) = start(&[]) else { return };
    let service = Service::start(&mut host_on(&address(&redis)));
    for _ in 0..3 {
        // Enough to have used every thread's connection.
        for _ in 0..10 {
            check_works(&service);
        }
        redis.kill();
        redis.start_server();
    }
    check_works(&service);
    assert_eq!(service.log(), "");
}

#[test]
fn what_was_acknowledged_survives_kill_9_of_redis() {
    let Some(mut redis) = start(&[]) else { return };
    let service = Service::start(&mut host_on(&address(&redis)));
    let is_over = AtomicBool::new(false);
    let acknowledged = Mutex::new(Vec::new());
    let refused = Mutex::new(Vec::new());
    thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| {
                while !is_over.load(Ordering::Relaxed) {
                    let username = new_username();
                    let answer = try_put(&service.url, &username, BORN).unwrap();
                    match answer.status {
                        204 => acknowledged.lock().unwrap().push(username),
                        _ => refused
                            .lock()
                            .unwrap()
                            .push((answer.status, answer.problem())),
                    }
                }
            });
        }
        let _over = RaisedOnDrop(&is_over);
        let wait_for_load = || {
            let before = acknowledged.lock().unwrap().len();
            wait_for(PATIENCE, "load", || {
                acknowledged.lock().unwrap().len() > before + 50
            });
        };
        for _ in 0..2 {
            wait_for_load();
            redis.kill();
            let before = refused.lock().unwrap().len();
            wait_for(PATIENCE, "refusals", || {
                refused.lock().unwrap().len() > before
            });
            redis.start_server();
        }
        wait_for_load();
    });
    for refused in refused.into_inner().unwrap() {
        assert_eq!(refused, (503, Some("store-unavailable".to_owned())));
    }
    let acknowledged = acknowledged.into_inner().unwrap();
    let is_lost = |username: &&String| get(&service, &format!("/hello/{username}")).status != 200;
    let lost: Vec<_> = acknowledged.iter().filter(is_lost).collect();
    assert_eq!(lost, Vec::<&String>::new(), "of {}", acknowledged.len());
    println!("{} were acknowledged, and are there", acknowledged.len());
    let log = service.log();
    assert!(log.matches("out of reach").count() <= 2, "{log}");
    assert!(log.lines().count() <= 8, "{log}");
}

#[test]
fn an_outage_is_logged_once_and_so_is_its_end() {
    let Some(mut redis) = start(&[]) else { return };
    redis.kill();
    let service = Service::start(&mut host_on(&address(&redis)));
    for _ in 0..5 {
        check_unavailable(&service);
    }
    redis.start_server();
    wait_until_back(&service);
    let name = format!("key-value redis 127.0.0.1:{}", redis.port);
    check_log(
        &service,
        &[&format!("{name}: out of reach: "), &format!("{name}: back")],
    );
}

#[test]
fn an_outage_is_counted() {
    let Some(mut redis) = start(&[]) else { return };
    redis.kill();
    let service = crate::support::operated_by(host_on(&address(&redis)));
    assert_eq!(get(&service.service, "/hello/bob").status, 503);
    let name = "db_client_operation_duration_seconds_count{db_system_name=\"key_value\",\
         db_operation_name=\"get\",error_type=\"unavailable\"}";
    assert!(service.metric(name) >= 1.0);
}

#[test]
fn a_read_only_replica_is_read_and_takes_writes_once_it_is_promoted() {
    let Some(redis) = start(&[]) else { return };
    redis.run(&["SET", "people/bob", BORN]);
    redis.run(&["REPLICAOF", "127.0.0.1", "1"]);
    let service = Service::start(&mut host_on(&address(&redis)));
    for _ in 0..3 {
        assert_eq!(get(&service, "/hello/bob").status, 200);
        let answer = put(&service, &new_username(), BORN);
        assert_eq!(answer.problem().as_deref(), Some("store-unavailable"));
    }
    redis.run(&["REPLICAOF", "NO", "ONE"]);
    wait_until_back(&service);
    check_log(
        &service,
        &["takes no writes: it is a read-only replica", ": back"],
    );
}

#[test]
fn a_password_that_is_missing_or_wrong_is_one_line_without_it() {
    let Some(redis) = start(&["--requirepass", "s3cret"]) else {
        return;
    };
    for (user, line) in [
        ("", "wants a password, and the address has none"),
        (":wr0ng@", "user or password is wrong"),
        ("ann:wr0ng@", "user or password is wrong"),
    ] {
        let store = format!("redis://{user}127.0.0.1:{}", redis.port);
        let service = Service::start(&mut host_on(&store));
        check_unavailable(&service);
        check_unavailable(&service);
        let log = check_log(&service, &[line]);
        assert!(!log.contains("wr0ng"), "{log}");
    }
    let store = format!("redis://:s3cret@127.0.0.1:{}", redis.port);
    check_works(&Service::start(&mut host_on(&store)));
    // Without a restart, when the password is gone.
    let service = Service::start(&mut host_on(&address(&redis)));
    check_unavailable(&service);
    redis.run(&["-a", "s3cret", "CONFIG", "SET", "requirepass", ""]);
    wait_until_back(&service);
}

#[test]
fn a_password_in_a_file_is_read_again_for_each_connection() {
    let Some(redis) = start(&["--requirepass", "s3cret-1"]) else {
        return;
    };
    let folder = TempDir::new().unwrap();
    let file = folder.path().join("password");
    fs::write(&file, "s3cret-1\n").unwrap();
    let parameter = format!("?password_file={}", file.display());
    let service = Service::start(&mut host_on(&(address(&redis) + &parameter)));
    check_works(&service);
    let set_password = |old: &str, new: &str| {
        redis.run(&["-a", old, "CONFIG", "SET", "requirepass", new]);
        redis.run(&["-a", new, "CLIENT", "KILL", "TYPE", "normal"]);
    };
    // In the file first.
    fs::write(&file, "s3cret-2\n").unwrap();
    set_password("s3cret-1", "s3cret-2");
    check_works(&service);
    // In the server first.
    set_password("s3cret-2", "s3cret-3");
    check_unavailable(&service);
    fs::write(&file, "s3cret-3\n").unwrap();
    wait_until_back(&service);
    fs::remove_file(&file).unwrap();
    redis.run(&["-a", "s3cret-3", "CLIENT", "KILL", "TYPE", "normal"]);
    check_unavailable(&service);
    let lines = [
        "user or password is wrong",
        ": back",
        "password cannot be read: No such file",
    ];
    let log = check_log(&service, &lines);
    assert!(!log.contains("s3cret"), "{log}");
}

#[test]
fn a_server_that_is_silent_is_given_up_in_time() {
    let Some(redis) = start(&[]) else { return };
    let service = Service::start(&mut host_on(&address(&redis)));
    check_works(&service);
    redis.signal(Signal::STOP);
    check_given_up(&service);
    redis.signal(Signal::CONT);
    wait_until_back(&service);
    check_log(&service, &["out of reach: it does not answer", ": back"]);
}

#[test]
fn a_full_server_is_one_line() {
    let Some(redis) = start(&["--maxmemory", "1"]) else {
        return;
    };
    let service = Service::start(&mut host_on(&address(&redis)));
    for _ in 0..3 {
        let answer = put(&service, &new_username(), BORN);
        assert_eq!(answer.problem().as_deref(), Some("store-unavailable"));
    }
    check_log(&service, &["its memory is full (OOM)"]);
}

#[test]
fn replicas_that_are_wanted_and_missing_are_one_line() {
    let Some(redis) = start(&[]) else { return };
    let store = format!("{}?replicas=1", address(&redis));
    let service = Service::start(&mut host_on(&store));
    let answer = put(&service, &new_username(), BORN);
    assert_eq!(answer.problem().as_deref(), Some("store-unavailable"));
    check_log(&service, &["0 of 1 replicas have a write in time"]);
    let replica = ["--replicaof", "127.0.0.1", &redis.port.to_string()].map(str::to_owned);
    let Some(_replica) = start(&replica.each_ref().map(String::as_str)) else {
        return;
    };
    // A replica stores what it was sent before it says that it has the next write.
    wait_for(PATIENCE, "a write that the replica has", || {
        put(&service, &new_username(), BORN).status == 204 && service.log().contains(": back")
    });
}

#[test]
fn thousands_are_stored_saved_and_removed() {
    let Some(redis) = start(&[]) else { return };
    let mut command = people::with_token(patient_host_on(&address(&redis)));
    let service = Service::start(&mut command);
    // Not a person: it stays.
    redis.run(&["SET", "other", "1"]);
    people::check(&service, 5_000);
    assert_eq!(redis.run(&["KEYS", "*"]), "other");
    assert_eq!(service.log(), "");
}

#[test]
fn a_cluster_is_one_store() {
    let settings = ["--cluster-enabled", "yes", "--cluster-node-timeout", "2000"];
    let Some(first) = start(&settings) else {
        return;
    };
    let nodes = [first, start(&settings).unwrap(), start(&settings).unwrap()];
    let addresses = nodes
        .each_ref()
        .map(|node| format!("127.0.0.1:{}", node.port));
    let mut create = vec!["--cluster", "create"];
    create.extend(addresses.iter().map(String::as_str));
    create.push("--cluster-yes");
    let said = nodes[0].run(&create);
    wait_for(PATIENCE, &said, || {
        nodes
            .iter()
            .all(|node| node.run(&["CLUSTER", "INFO"]).contains("cluster_state:ok"))
    });
    let store = format!("redis://{}?cluster=true", addresses[..2].join(","));
    let mut command = people::with_token(patient_host_on(&store));
    let service = Service::start(&mut command);
    people::check(&service, 3_000);
    assert_eq!(service.log(), "");
}

#[test]
fn sentinels_lead_to_the_server() {
    let Some(redis) = start(&[]) else { return };
    let folder = TempDir::new().unwrap();
    let file = folder.path().join("sentinel.conf");
    fs::write(
        &file,
        format!("sentinel monitor primary 127.0.0.1 {} 1\n", redis.port),
    )
    .unwrap();
    let file = file.to_str().unwrap().to_owned();
    let Some(sentinel) = Redis::start_sentinel(&file) else {
        return;
    };
    let store = format!(
        "redis://127.0.0.1:1,127.0.0.1:{}?sentinel=primary",
        sentinel.port
    );
    let service = Service::start(&mut host_on(&store));
    check_works(&service);
    assert_eq!(service.log(), "");
    let store = format!("redis://127.0.0.1:{}?sentinel=other", sentinel.port);
    let service = Service::start(&mut host_on(&store));
    check_unavailable(&service);
    check_log(&service, &["no sentinel knows a server of this name"]);
}

#[test]
fn tls_is_verified() {
    if start(&[]).is_none() {
        return;
    }
    let folder = TempDir::new().unwrap();
    let mut parameters = CertificateParams::default();
    parameters.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let authority = CertifiedIssuer::self_signed(parameters, KeyPair::generate().unwrap()).unwrap();
    let key = KeyPair::generate().unwrap();
    let parameters = CertificateParams::new(["localhost".to_owned()]).unwrap();
    let certificate = parameters.signed_by(&key, &authority).unwrap();
    let write = |name: &str, text: String| {
        let path = folder.path().join(name);
        fs::write(&path, text).unwrap();
        path.to_str().unwrap().to_owned()
    };
    let authorities = write("ca.pem", authority.pem());
    let certificate = write("server.pem", certificate.pem());
    let key = write("server.key", key.serialize_pem());
    let port = test_support::machine::free_port().to_string();
    let redis = start(&[
        "--tls-port",
        &port,
        "--tls-cert-file",
        &certificate,
        "--tls-key-file",
        &key,
        "--tls-ca-cert-file",
        &authorities,
        "--tls-auth-clients",
        "no",
    ]);
    let _redis = redis.unwrap();
    let store = format!("rediss://localhost:{port}");
    let mut command = host_on(&store);
    check_works(&Service::start(command.env("SSL_CERT_FILE", &authorities)));
    let service = Service::start(&mut host_on(&store));
    check_unavailable(&service);
    check_log(&service, &["out of reach: invalid peer certificate"]);
}
