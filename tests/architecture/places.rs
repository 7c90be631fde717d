//! What stands in one place only.

use crate::{File, files, without_tests};

/// The product's Rust files.
const PRODUCT: [&str; 8] = [
    "adapters",
    "component/src",
    "greeting/src",
    "postgres/src",
    "rule/src",
    "runtime/src",
    "host/src",
    "lambda/src",
];

/// The paths of the files below `folders` whose code, without comments and tests, satisfies `is_wanted` in some line.
fn places(folders: &[&str], is_wanted: impl Fn(&str) -> bool) -> Vec<String> {
    let is_code = |line: &&str| !line.trim_start().starts_with("//");
    let has = |file: &File| {
        without_tests(&file.text)
            .lines()
            .filter(is_code)
            .any(&is_wanted)
    };
    let files = files(folders, ".rs");
    files
        .into_iter()
        .filter(has)
        .map(|file| file.path)
        .collect()
}

#[test]
fn unsafe_code_is_two_calls() {
    let is_unsafe = |line: &str| {
        ["unsafe {", "unsafe fn", "unsafe impl", "unsafe extern"]
            .iter()
            .any(|text| line.contains(text))
    };
    let expected = ["host/src/workers.rs", "runtime/src/guest/engine.rs"];
    assert_eq!(places(&PRODUCT, is_unsafe), expected);
    for file in files(&expected, ".rs") {
        let count = file.text.lines().filter(|line| is_unsafe(line)).count();
        assert_eq!(count, 1, "{}", file.path);
    }
}

#[test]
fn error_statuses_are_chosen_in_one_mapping_of_each_side() {
    let has_status = |line: &str| line.contains("StatusCode::");
    let runtime = ["runtime/src/admin/mod.rs", "runtime/src/problem.rs"];
    assert_eq!(places(&["runtime/src", "host/src"], has_status), runtime);
    // The component writes them as numbers.
    let has_error = |line: &str| {
        let mut numbers = line.split(|character: char| !character.is_ascii_digit());
        numbers.any(|number| {
            number
                .parse()
                .is_ok_and(|number| (400..600).contains(&number))
        })
    };
    assert_eq!(
        places(&["component/src"], has_error),
        ["component/src/error.rs"]
    );
}

#[test]
fn sql_of_the_service_is_in_one_file() {
    let has_sql = |line: &str| {
        ["SELECT ", "INSERT INTO ", "CREATE TABLE ", "DELETE FROM "]
            .iter()
            .any(|text| line.contains(text))
    };
    let expected = ["component/src/store/postgres.rs"];
    assert_eq!(places(&["component/src"], has_sql), expected);
}

#[test]
fn no_lock_of_the_libraries_can_be_poisoned() {
    let has_lock = |line: &str| {
        line.starts_with("use std::sync::")
            && ["Mutex", "RwLock", "Condvar"]
                .iter()
                .any(|lock| line.contains(lock))
    };
    assert_eq!(places(&["postgres/src", "runtime/src"], has_lock), [""; 0]);
}

#[test]
fn wasmtime_is_configured_in_one_file() {
    let has_config = |line: &str| line.contains("Config::new()") || line.contains("Engine::new(");
    let expected = ["runtime/src/guest/engine.rs"];
    assert_eq!(
        places(&["runtime/src", "host/src", "lambda/src"], has_config),
        expected
    );
}
