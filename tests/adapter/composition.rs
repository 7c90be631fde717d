//! The application with the adapter, and the service that it is then.

use birthday_tests::client::{self, Answer};
use birthday_tests::service::{Service, component, root};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use tempfile::TempDir;
use test_support::cluster::Cluster;
use wit_component::{ComponentEncoder, StringEncoding, dummy_module, embed_component_metadata};
use wit_parser::{LiftLowerAbi, ManglingAndAbi, Resolve};

/// What else the application imports. No test here calls it, so it may trap.
const STUBS: &str = "
    package test:stubs;
    world stubs {
        export fermyon:spin/key-value@2.0.0;
        export fermyon:spin/variables@2.0.0;
    }
";

/// What the component needs of the runtime to reach a server.
const NETWORK: &str = "inherit-network,allow-ip-name-lookup";

/// The composed component, compiled.
pub struct Composition {
    compiled: PathBuf,
    _folder: TempDir,
}

impl Composition {
    /// # Panics
    /// If the parts are not built, or do not fit.
    pub fn new() -> Self {
        let folder = TempDir::with_prefix("birthday-adapter-").unwrap();
        let stubs = folder.path().join("stubs.wasm");
        fs::write(&stubs, stub_component()).unwrap();
        let composed = folder.path().join("composed.wasm");
        run(Command::new("wac")
            .arg("plug")
            .arg(component("birthday_test_guest.wasm"))
            .arg("--plug")
            .arg(component("postgres_adapter.wasm"))
            .arg("--plug")
            .arg(stubs)
            .arg("--output")
            .arg(&composed));
        // Once, and not for each test.
        let compiled = folder.path().join("composed.cwasm");
        run(Command::new("wasmtime")
            .arg("compile")
            .arg(composed)
            .arg("--output")
            .arg(&compiled));
        Self {
            compiled,
            _folder: folder,
        }
    }

    /// Serves it, with more `options` of wasmtime. An instance is used for many requests.
    pub fn serve(&self, options: &[&str]) -> Application {
        self.serve_with(&[&["-S", NETWORK], options].concat())
    }

    /// The same without a network.
    pub fn serve_without_network(&self) -> Application {
        self.serve_with(&[])
    }

    fn serve_with(&self, options: &[&str]) -> Application {
        // It writes its URL to standard error.
        let mut command = Command::new("sh");
        command
            .args(["-c", "exec \"$@\" 2>&1", "sh"])
            .args(["wasmtime", "serve", "--addr", "127.0.0.1:0", "-S", "cli"])
            .args([
                "--max-instance-reuse-count",
                "1000",
                "--idle-instance-timeout",
                "60s",
            ])
            .args(options)
            .arg("--allow-precompiled")
            .arg(&self.compiled);
        Application(Service::start(&mut command))
    }
}

/// The application, served.
pub struct Application(Service);

impl Application {
    /// Sends a request for `path` with the address of a database.
    #[track_caller]
    pub fn ask(&self, path: &str, address: &str) -> Answer {
        client::get(&format!("{}{path}?{address}", self.0.url)).unwrap()
    }

    #[track_caller]
    pub fn check(&self, path: &str, address: &str, expected: &str) {
        let answer = self.ask(path, address);
        let log = self.0.log();
        assert_eq!(
            (answer.status, answer.body.as_str()),
            (200, expected),
            "{path}?{address}: {log}"
        );
    }

    /// The request fails, and the application says so itself: it was not ended.
    #[track_caller]
    pub fn check_failed(&self, path: &str, address: &str, expected: &str) -> String {
        let answer = self.ask(path, address);
        assert!(
            answer.status == 500 && answer.body.contains(expected),
            "{expected:?} was expected of {path}?{address}: {answer:?}, {}",
            self.0.log()
        );
        answer.body
    }
}

/// A server with the database `people`, and what the application looks for in it.
pub fn cluster(settings: &[&str]) -> Cluster {
    let cluster = Cluster::start(&[&["fsync=off"], settings].concat());
    cluster.create_database("people");
    let tables = "CREATE TABLE counted (a int); CREATE TABLE checked (a int CHECK (a > 0)); \
        CREATE TYPE mood_one AS ENUM ('a'); CREATE TYPE mood_two AS ENUM ('b'); \
        CREATE TYPE mood_three AS ENUM ('c')";
    cluster.run_sql("people", tables);
    cluster
}

fn stub_component() -> Vec<u8> {
    let mut resolve = Resolve::default();
    resolve.push_dir(root().join("wit")).unwrap();
    let package = resolve.push_str(Path::new("stubs.wit"), STUBS).unwrap();
    let world = resolve.select_world(&[package], Some("stubs")).unwrap();
    let abi = ManglingAndAbi::Legacy(LiftLowerAbi::Sync);
    let mut module = dummy_module(&resolve, world, abi);
    embed_component_metadata(&mut module, &resolve, world, StringEncoding::UTF8, false).unwrap();
    let mut encoder = ComponentEncoder::default();
    encoder.module(&module).unwrap().encode().unwrap()
}

fn run(command: &mut Command) {
    let output = command.output().unwrap();
    assert!(output.status.success(), "{command:?}: {output:?}");
}
