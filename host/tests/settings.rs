//! Wrong configuration ends the program with one line that names the setting, before anything is served.

use crate::support::{HOST, command, compile, get, host, put};
use birthday_tests::contract::new_username;
use birthday_tests::precompiled::mark_for_another_architecture;
use birthday_tests::service::{Service, host_command};
use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::process::{Command, Stdio};
use tempfile::TempDir;

#[track_caller]
fn check(command: &mut Command, code: i32, line: &str) {
    let output = command.stdin(Stdio::null()).output().unwrap();
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(code), "{stderr}");
    assert_eq!(output.stdout, b"", "nothing is served");
    assert_eq!(stderr.lines().count(), 1, "{stderr}");
    assert!(
        stderr.starts_with(&format!("birthday-host: {line}")),
        "{stderr}"
    );
}

#[test]
fn an_unknown_flag_is_refused() {
    check(
        &mut command(&["--nonsense"]),
        64,
        "unexpected argument '--nonsense'",
    );
}

#[test]
fn an_unreadable_component_is_refused() {
    check(
        &mut command(&["--component", "/nowhere.wasm"]),
        64,
        "--component: cannot read /nowhere.wasm",
    );
}

#[test]
fn a_file_that_is_no_component_is_refused() {
    let folder = TempDir::new().unwrap();
    for (name, content) in [
        ("text.wasm", &b"hello"[..]),
        ("empty.wasm", b""),
        // The head of a core module.
        ("module.wasm", b"\0asm\x01\0\0\0"),
    ] {
        let path = folder.path().join(name);
        fs::write(&path, content).unwrap();
        check(
            command(&[]).arg("--component").arg(path),
            64,
            "--component: not a component",
        );
    }
}

#[test]
fn imports_that_the_host_lacks_are_named() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("strange.wat");
    let imports =
        wat_component("(import \"strange:new/world@1.0.0\" (instance (export \"f\" (func))))");
    fs::write(&path, imports).unwrap();
    check(
        command(&[]).arg("--component").arg(&path),
        64,
        "--component: it imports what this host does not offer: component imports instance \
         `strange:new/world@1.0.0`",
    );
    fs::write(&path, wat_component("")).unwrap();
    check(
        command(&[]).arg("--component").arg(&path),
        64,
        "--component: it does not handle HTTP requests",
    );
}

/// A component in its binary form.
fn wat_component(fields: &str) -> Vec<u8> {
    wat::parse_str(format!("(component {fields})")).unwrap()
}

#[test]
fn a_precompiled_component_that_was_cut_off_is_refused() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("birthday.cwasm");
    assert!(compile(&path, &[]).status.success());
    let mut bytes = fs::read(&path).unwrap();
    bytes.truncate(bytes.len() / 2);
    fs::write(&path, bytes).unwrap();
    check(
        command(&[]).arg("--component").arg(path),
        64,
        "--component: not a component: ",
    );
}

#[test]
fn a_component_precompiled_for_another_architecture_is_refused() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("birthday.cwasm");
    let here = std::env::consts::ARCH;
    let target = format!("{here}-unknown-linux-musl");
    assert!(compile(&path, &["--target", &target]).status.success());
    let mut bytes = fs::read(&path).unwrap();
    let other = mark_for_another_architecture(&mut bytes, here);
    fs::write(&path, bytes).unwrap();
    let line = format!(
        "--component: precompiled, but not for this host: Module was compiled for architecture '{other}'"
    );
    check(command(&[]).arg("--component").arg(path), 64, &line);
}

#[test]
fn a_target_that_there_is_no_compiler_for_is_named() {
    let path = Path::new("/nowhere.cwasm");
    for (target, cause) in [
        ("pdp11", "Unrecognized architecture: pdp11"),
        (
            "s390x-unknown-linux-gnu",
            "Support for this target is disabled",
        ),
    ] {
        let output = compile(path, &["--target", target]);
        assert_eq!(output.status.code(), Some(64));
        let line = format!("birthday-host: --target: cannot compile for {target}: {cause}\n");
        assert_eq!(String::from_utf8_lossy(&output.stderr), line);
    }
}

#[test]
fn variables_that_make_no_sense_are_named_and_secrets_are_not_shown() {
    for (variable, line) in [
        (
            "timezone=Mars/Olympus",
            "timezone: \"Mars/Olympus\" is not an IANA time zone",
        ),
        (
            "leap_day=feb-30",
            "leap_day: \"feb-30\" is neither mar-1 nor feb-28",
        ),
        (
            "database_url=mysql://u:s3cret@h/db",
            "database_url: is not of the form postgres://",
        ),
        (
            "database_url=postgres://u:s3cret@h:port/db",
            "database_url: has a port",
        ),
        (
            "database_url=postgres://u@h/db?nonsense=s3cret",
            "database_url: invalid",
        ),
        (
            "database_url=postgres://u@h/db?target_session_attrs=s3cret",
            "database_url: invalid",
        ),
        ("s3cret", "--variable: expected NAME=VALUE"),
        (
            "Bad-Name=1",
            "--variable: \"Bad-Name\" is not a variable name",
        ),
    ] {
        let command = &mut command(&["--variable", variable]);
        check(command, 64, line);
        let stderr = command.output().unwrap().stderr;
        assert!(!String::from_utf8_lossy(&stderr).contains("s3cret"));
    }
}

#[test]
fn a_store_that_cannot_be_opened_is_named() {
    let mut command = host_command(HOST);
    command.args(["--key-value", "sqlite:/nowhere/at/all.db"]);
    check(
        &mut command,
        64,
        "--key-value: cannot open /nowhere/at/all.db",
    );
}

#[test]
fn sqlite_in_memory_is_refused() {
    let mut command = host_command(HOST);
    command.args(["--key-value", "sqlite::memory:"]);
    let line = "--key-value: for data in memory use memory";
    check(&mut command, 64, line);
}

#[test]
fn a_file_of_authorities_without_any_is_named() {
    check(
        &mut command(&["--postgres-ca", "/nowhere.pem"]),
        64,
        "--postgres-ca: cannot read",
    );
    check(
        &mut command(&["--postgres-ca", "/dev/null"]),
        64,
        "--postgres-ca: /dev/null has no certificate",
    );
}

#[test]
fn memory_that_does_not_suffice_is_named() {
    let line = "BIRTHDAY_COMPONENT: it does not start: ";
    check(&mut command(&["--memory-limit", "64KiB"]), 64, line);
}

#[test]
fn a_port_in_use_is_named() {
    let service = host(&[]);
    let address = service.url.trim_start_matches("http://");
    let mut second = Command::new(HOST);
    second.args(["--key-value", "memory", "--listen", address]);
    check(
        &mut second,
        1,
        &format!("--listen: cannot listen on {address}: Address already in use"),
    );
}

#[test]
fn the_environment_sets_options_and_variables_and_flags_beat_it() {
    let mut command = host_command(HOST);
    command
        .env("BIRTHDAY_KEY_VALUE", "memory")
        .env("BIRTHDAY_VARIABLE", "timezone=UTC")
        .env("SPIN_VARIABLE_API_TOKEN", "from the environment")
        .env("SPIN_VARIABLE_TIMEZONE", "Mars/Olympus")
        .args(["--variable", "api_token="]);
    // The flag replaces BIRTHDAY_VARIABLE as a whole, so that the bad time zone shows.
    check(&mut command, 64, "timezone: \"Mars/Olympus\"");
    command.args(["--variable", "timezone=Europe/Berlin"]);
    let service = Service::start(&mut command);
    assert_eq!(
        get(&service, "/hello/nobody").status,
        404,
        "the empty token is none"
    );
}

#[test]
fn an_empty_variable_counts_as_not_set() {
    let help = Command::new(HOST).arg("--help").output().unwrap();
    let help = String::from_utf8(help.stdout).unwrap();
    let variables: Vec<_> = help
        .split("[env: ")
        .skip(1)
        .map(|rest| rest.split(['=', ']']).next().unwrap())
        .collect();
    assert!(variables.len() > 20, "{variables:?}");
    let folder = TempDir::new().unwrap();
    let mut command = host_command(HOST);
    command.current_dir(folder.path());
    // Port 0 and not the default ports, which may be in use.
    command.args(["--listen", "127.0.0.1:0", "--admin", "127.0.0.1:0"]);
    command.envs(variables.iter().map(|variable| (variable, "")));
    let service = Service::start(&mut command);
    assert_eq!(get(&service, "/health").status, 200);
}

#[test]
fn a_wrong_value_is_said_to_come_from_its_variable() {
    for (variable, value, line) in [
        (
            "BIRTHDAY_THREADS",
            "0",
            "BIRTHDAY_THREADS: invalid value '0' for '--threads <NUMBER>': expected a whole number greater than 0",
        ),
        (
            "BIRTHDAY_POSTGRES_CA",
            "/nowhere.pem",
            "BIRTHDAY_POSTGRES_CA: cannot read",
        ),
        (
            "BIRTHDAY_LOG_FORMAT",
            "xml",
            "BIRTHDAY_LOG_FORMAT: invalid value 'xml' for '--log-format <FORMAT>'",
        ),
    ] {
        check(command(&[]).env(variable, value), 64, line);
    }
    let mut command = command(&["--threads=0"]);
    let line = "invalid value '0' for '--threads <NUMBER>'";
    check(command.env("BIRTHDAY_THREADS", "1"), 64, line);
}

#[test]
fn a_variable_that_is_not_unicode_is_not_left_out() {
    let mut command = command(&[]);
    command.env("SPIN_VARIABLE_API_TOKEN", OsStr::from_bytes(b"geheim\xe4"));
    let line = "SPIN_VARIABLE_API_TOKEN: the value is not Unicode";
    check(&mut command, 64, line);
}

#[test]
fn a_precompiled_component_is_served() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("birthday.cwasm");
    let baseline = format!("{}-unknown-linux-musl", std::env::consts::ARCH);
    let component = birthday_tests::service::component("birthday.wasm");
    for arguments in [
        // For this machine, the component of a file.
        &[component.to_str().unwrap()][..],
        // For every machine of this architecture, the component inside.
        &["--target", &baseline],
    ] {
        let output = compile(&path, arguments);
        assert!(output.status.success(), "{output:?}");
        let service = Service::start(command(&[]).arg("--component").arg(&path));
        assert_eq!(put(&service, &new_username(), "2000-10-01").status, 204);
    }
}

#[test]
fn without_any_setting_data_lives_in_one_file_of_the_working_folder() {
    let folder = TempDir::new().unwrap();
    let mut command = host_command(HOST);
    command.current_dir(folder.path());
    let username = new_username();
    let service = Service::start(&mut command);
    assert_eq!(put(&service, &username, "2000-10-01").status, 204);
    drop(service);
    assert!(folder.path().join("birthday.db").is_file());
    let service = Service::start(&mut command);
    assert_eq!(get(&service, &format!("/hello/{username}")).status, 200);
}

#[test]
fn help_and_version_are_printed() {
    for (flag, text) in [
        ("--help", "BIRTHDAY_REQUEST_TIMEOUT"),
        ("--version", env!("CARGO_PKG_VERSION")),
    ] {
        let output = Command::new(HOST).arg(flag).output().unwrap();
        assert!(output.status.success());
        assert!(String::from_utf8_lossy(&output.stdout).contains(text));
    }
}

#[test]
fn a_port_of_the_admin_listener_in_use_is_named() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let line = format!("--admin: cannot listen on {address}: Address already in use");
    check(&mut command(&["--admin", &address]), 1, &line);
}
