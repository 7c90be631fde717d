//! Two hosts behind a proxy, restarted one after the other while callers call.

use crate::support::{command, try_put};
use birthday_tests::client;
use birthday_tests::contract::new_username;
use birthday_tests::service::{Service, find_program};
use birthday_tests::wait::wait_for;
use rustix::process::Signal;
use std::fs;
use std::net::TcpListener;
use std::ops::Range;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};
use tempfile::TempDir;

const PATIENCE: Duration = Duration::from_secs(10);

/// How many callers there are, and how often each calls: 200 requests per second together.
const CALLERS: u32 = 10;
const PAUSE: Duration = Duration::from_millis(50);

/// How often the proxy asks a host whether it is ready, and how long a host tells it before it leaves.
const CHECK_INTERVAL: &str = "100ms";
const DRAIN_DELAY: &str = "1s";

const ROUNDS: u32 = 10;

/// Ports that were free a moment ago.
fn ports<const N: usize>() -> [u16; N] {
    let listeners = [(); N].map(|()| TcpListener::bind("127.0.0.1:0").unwrap());
    listeners.map(|listener| listener.local_addr().unwrap().port())
}

struct Proxy {
    url: String,
    process: Child,
}

impl Proxy {
    /// haproxy before `hosts`, by their ports, of which the second of each pair is for probes. `connections` is its
    /// option for how long it keeps those to them.
    fn start(haproxy: &Path, folder: &Path, hosts: [(u16, u16); 2], connections: &str) -> Self {
        let [port] = ports();
        let servers: String = hosts
            .iter()
            .map(|(port, admin)| {
                format!("  server host{port} 127.0.0.1:{port} check port {admin} inter {CHECK_INTERVAL} fall 1 rise 1\n")
            })
            .collect();
        let config = format!(
            "defaults\n  mode http\n  timeout connect 1s\n  timeout client 30s\n  timeout server 30s\n  timeout check 5s\n  \
             retries 3\n  option redispatch 1\n  option {connections}\n\
             frontend in\n  bind 127.0.0.1:{port}\n  stats enable\n  stats uri /stats\n  default_backend hosts\n\
             backend hosts\n  balance roundrobin\n  option httpchk GET /readyz\n{servers}"
        );
        let file = folder.join("haproxy.cfg");
        fs::write(&file, config).unwrap();
        let process = Command::new(haproxy)
            .args(["-db", "-q", "-f"])
            .arg(file)
            .stdin(Stdio::null())
            .spawn()
            .unwrap();
        let url = format!("http://127.0.0.1:{port}");
        Self { url, process }
    }
}

impl Proxy {
    /// Whether it takes both hosts for ready.
    fn knows_both(&self) -> bool {
        let stats = client::get(&format!("{}/stats;csv", self.url));
        stats.is_ok_and(|stats| {
            let hosts = stats
                .body
                .lines()
                .filter(|line| line.starts_with("hosts,host"));
            hosts
                .filter(|line| line.split(',').any(|field| field == "UP"))
                .count()
                == 2
        })
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.process.kill().unwrap();
        self.process.wait().unwrap();
    }
}

/// A host that can be started again where it was.
struct Place {
    address: String,
    admin: String,
    data: String,
}

impl Place {
    fn start(&self) -> Service {
        let service = Service::start(&mut self.command());
        wait_for(PATIENCE, "readiness", || {
            client::get(&format!("http://{}/readyz", self.admin))
                .is_ok_and(|answer| answer.status == 200)
        });
        service
    }

    fn command(&self) -> Command {
        let mut command = command(&["--listen", &self.address, "--drain-delay", DRAIN_DELAY]);
        command
            .env("BIRTHDAY_ADMIN", &self.admin)
            .env("BIRTHDAY_KEY_VALUE", &self.data);
        command
    }
}

/// A request that was not answered as it should have been.
#[derive(Debug)]
struct Failed {
    began: Instant,
    ended: Instant,
    #[expect(dead_code, reason = "it is printed")]
    answer: String,
}

/// Restarts both hosts by `restart`, again and again, under load that comes over `connections`, and returns what
/// failed meanwhile of how many requests, and from when to when a host was being stopped.
fn restarts(
    connections: &str,
    restart: impl Fn(&mut Service),
) -> Option<(Vec<Failed>, usize, Vec<Range<Instant>>)> {
    let Some(haproxy) = find_program("haproxy").or_else(|| {
        // Where Debian has it, which is not on everybody's PATH.
        Some("/usr/sbin/haproxy".into()).filter(|path: &std::path::PathBuf| path.is_file())
    }) else {
        println!("skipped: there is no haproxy");
        return None;
    };
    let folder = TempDir::new().unwrap();
    let data = format!("sqlite:{}", folder.path().join("people.db").display());
    let [first, first_admin, second, second_admin] = ports();
    let place = |port, admin| Place {
        address: format!("127.0.0.1:{port}"),
        admin: format!("127.0.0.1:{admin}"),
        data: data.clone(),
    };
    let places = [place(first, first_admin), place(second, second_admin)];
    let mut hosts = places.each_ref().map(Place::start);
    let proxy = Proxy::start(
        &haproxy,
        folder.path(),
        [(first, first_admin), (second, second_admin)],
        connections,
    );
    wait_for(PATIENCE, "the proxy", || proxy.knows_both());
    let is_over = AtomicBool::new(false);
    let outcomes = Mutex::new((Vec::new(), 0));
    let mut stops = Vec::new();
    thread::scope(|scope| {
        for _ in 0..CALLERS {
            scope.spawn(|| {
                let username = new_username();
                let mut is_stored = false;
                while !is_over.load(Ordering::Relaxed) {
                    let began = Instant::now();
                    let failed = if is_stored {
                        let url = format!("{}/hello/{username}", proxy.url);
                        match client::get(&url) {
                            Ok(answer) if answer.status == 200 => None,
                            other => Some(format!("{other:?}")),
                        }
                    } else {
                        match try_put(&proxy.url, &username, "1988-02-29") {
                            Some(answer) if answer.status == 204 => None,
                            other => Some(format!("{other:?}")),
                        }
                    };
                    let ended = Instant::now();
                    let mut outcomes = outcomes.lock().unwrap();
                    outcomes.1 += 1;
                    // Every tenth request stores.
                    is_stored = failed.is_none() && outcomes.1 % 10 != 0;
                    if let Some(answer) = failed {
                        outcomes.0.push(Failed {
                            began,
                            ended,
                            answer,
                        });
                    }
                    drop(outcomes);
                    thread::sleep(PAUSE.saturating_sub(began.elapsed()));
                }
            });
        }
        for _ in 0..ROUNDS {
            for (host, place) in hosts.iter_mut().zip(&places) {
                let began = Instant::now();
                restart(host);
                stops.push(began..Instant::now());
                // A host that is killed and back before the next check was never away, to the proxy.
                *host = place.start();
                wait_for(PATIENCE, "the proxy", || proxy.knows_both());
                thread::sleep(Duration::from_millis(200));
            }
        }
        is_over.store(true, Ordering::Relaxed);
    });
    let (failed, count) = outcomes.into_inner().unwrap();
    Some((failed, count, stops))
}

#[test]
fn a_rolling_restart_fails_no_request() {
    let restarted = restarts("http-keep-alive", |host| {
        host.signal(Signal::TERM);
        assert!(host.wait().success());
    });
    if let Some((failed, count, _)) = restarted {
        assert!(failed.is_empty(), "of {count}: {failed:#?}");
        println!("{count} requests");
        assert!(count > 1000, "{count} are no load");
    }
}

#[test]
fn kill_9_fails_only_requests_under_way() {
    // A connection for each request: of one that is kept, the proxy may not have noticed yet that the kill has closed it.
    if let Some((failed, count, stops)) = restarts("http-server-close", Service::kill) {
        assert!(count > 1000, "{count} are no load");
        println!("{} of {count} requests failed", failed.len());
        for failed in &failed {
            let was_under_way =
                |stop: &Range<Instant>| failed.began <= stop.end && stop.start <= failed.ended;
            let is_excused = stops.iter().any(was_under_way);
            assert!(is_excused, "{failed:#?}, stops at {stops:?}");
        }
    }
}
