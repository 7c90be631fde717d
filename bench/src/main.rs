//! Measures our host beside native peers: the same database, the same people, the same load, in rounds that
//! alternate, so that noise of the machine affects all of them.
//!
//! `server` starts the servers, `load` sends requests, `process` reads what they cost, `stage` combines these three,
//! and `scenario` sets the order. `summary` computes medians of the samples, `goals` computes ratios of them, and
//! `report` and `plot` show them.

mod goals;
mod load;
mod machine;
mod plot;
mod process;
mod report;
mod sample;
mod scenario;
mod server;
mod stage;
mod summary;

use clap::Parser;
use sample::Scenario;
use scenario::{Bench, Plan};
use server::{Name, Programs};
use std::path::PathBuf;
use std::{env, fs};
use summary::Run;

/// Measures the host, built before, and the peers beside this program.
#[derive(Parser)]
struct Arguments {
    /// The number of rounds.
    #[arg(long, default_value = "7")]
    rounds: u32,

    /// The length of a measurement, in seconds, after one second of warming up.
    #[arg(long, default_value = "4")]
    seconds: u32,

    /// The number of people: a power of ten.
    #[arg(long, default_value = "100000")]
    people: u32,

    /// Also compares a thousand people with ten million.
    #[arg(long)]
    long: bool,

    /// The scenarios to measure. Default: all.
    #[arg(long, value_enum, value_delimiter = ',')]
    only: Vec<Scenario>,

    /// The servers to measure. Default: all.
    #[arg(long, value_enum, value_delimiter = ',')]
    servers: Vec<Name>,

    /// The number of connections of each peer to Postgres.
    #[arg(long, default_value = "16")]
    peer_connections: u32,

    /// The host to measure, with `birthday.cwasm` beside it. Default: what `make image` puts into the image.
    #[arg(long, default_value_os_t = host_of_image())]
    host: PathBuf,

    /// A host with the compiler and the embedded component.
    #[arg(long, default_value = "target/release/birthday-host")]
    compiler: PathBuf,

    /// The program that sends requests at a given rate.
    #[arg(long, default_value = "target/tools/bin/oha")]
    oha: PathBuf,

    /// The Python that has FastAPI.
    #[arg(long, default_value = "target/bench/venv/bin/python")]
    python: PathBuf,

    /// Measures nothing, and shows the raw numbers of this file again.
    #[arg(long)]
    again: Option<PathBuf>,

    /// The folder for the raw numbers, the table and the plot.
    #[arg(long, default_value = "bench/results")]
    output: PathBuf,
}

fn main() {
    let arguments = Arguments::parse();
    let output = arguments.output.clone();
    let run = match &arguments.again {
        Some(file) => {
            let raw = fs::read_to_string(file).expect("there is such a file");
            serde_json::from_str(&raw).expect("it is one of raw numbers")
        }
        None => measure(arguments),
    };
    let table = report::markdown(&run);
    println!("\n{table}");
    if let Some(lines) = report::readme_lines(&run) {
        println!("\nFor README.md:\n\n{lines}");
    }
    fs::create_dir_all(&output).expect("the folder can be made");
    let write = |name: &str, content: &str| {
        fs::write(output.join(name), content).expect("the folder can be written");
    };
    let raw = serde_json::to_string_pretty(&run).expect("plain structs are JSON");
    write("raw.json", &format!("{raw}\n"));
    write("table.md", &table);
    plot::draw(&run, &output.join("plot.svg"));
}

fn measure(arguments: Arguments) -> Run {
    let root = birthday_tests::service::root();
    let programs = Programs {
        component: arguments.host.with_file_name("birthday.cwasm"),
        host: arguments.host,
        compiler: arguments.compiler,
        // The peers are beside this program.
        deadpool: beside("axum-deadpool"),
        sqlx: beside("axum-sqlx"),
        python: arguments.python,
        fastapi: root.join("bench/peers/fastapi"),
        manifest: root.join("spin.toml"),
        peer_connections: arguments.peer_connections.to_string(),
    };
    let plan = Plan {
        rounds: arguments.rounds,
        seconds: arguments.seconds,
        people: arguments.people,
        long: arguments.long,
        only: arguments.only,
        servers: arguments.servers,
    };
    let machine = machine::describe(&programs, &arguments.oha);
    let samples = Bench::new(&plan, programs, arguments.oha).run();
    Run { machine, samples }
}

fn host_of_image() -> PathBuf {
    let architecture = match env::consts::ARCH {
        "x86_64" => "amd64",
        "aarch64" => "arm64",
        other => other,
    };
    PathBuf::from(format!("target/image/root/{architecture}/birthday-host"))
}

fn beside(name: &str) -> PathBuf {
    let own = env::current_exe().expect("this process has an executable");
    own.with_file_name(name)
}
