//! Builds the component, so that a plain `cargo build` embeds it in the host. A host without the compiler could not run it,
//! and does not have it.
//!
//! All profiles of the host share one build of the component. It has a target folder of its own inside the one in use, which is
//! locked by the cargo that runs this.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::{env, fs};

const TARGET: &str = "wasm32-wasip2";
/// The profile of `spin.toml`, too, so that both builds are the same bytes.
const PROFILE: &str = "component";

fn main() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    for path in [
        "Cargo.toml",
        "Cargo.lock",
        "component",
        "rule",
        "wit",
        "rust-toolchain.toml",
    ] {
        println!("cargo::rerun-if-changed={}", root.join(path).display());
    }
    println!(
        "cargo::rustc-env=WASMTIME_VERSION={}",
        locked_version(&root, "wasmtime").expect("Cargo.lock has wasmtime")
    );
    if env::var_os("CARGO_FEATURE_COMPILER").is_some() {
        build_component(&root);
    }
}

fn build_component(root: &Path) {
    let out = PathBuf::from(env::var_os("OUT_DIR").expect("cargo sets OUT_DIR"));
    let target_dir = outer_target_dir(&out).join("embedded");
    let mut cargo = Command::new(env::var("CARGO").expect("cargo sets CARGO"));
    cargo
        .current_dir(root)
        .args(["build", "--package", "birthday-component"])
        .args(["--profile", PROFILE, "--target", TARGET])
        .arg("--target-dir")
        .arg(&target_dir);
    // What the outer cargo sets for its own build (flags, wrappers such as clippy's) is not for this one.
    for (name, _) in env::vars().filter(|(name, _)| is_of_outer_build(name)) {
        cargo.env_remove(name);
    }
    let status = cargo.status().expect("cargo can be run");
    assert!(
        status.success(),
        "the component was not built: is the target there? `rustup target add {TARGET}`"
    );
    let built = target_dir.join(TARGET).join(PROFILE).join("birthday.wasm");
    // Another checkout with the same target folder may build its own later.
    let component = out.join("birthday.wasm");
    fs::copy(built, &component).expect("cargo has built the component");
    println!(
        "cargo::rustc-env=EMBEDDED_COMPONENT={}",
        component.display()
    );
}

/// The target folder of the cargo that runs this: it puts the tag of caches there (<https://bford.info/cachedir/>). Without one,
/// `out`, the folder of this script.
fn outer_target_dir(out: &Path) -> &Path {
    let mut folders = out.ancestors();
    let tagged = folders.find(|folder| folder.join("CACHEDIR.TAG").exists());
    tagged.unwrap_or(out)
}

/// The version of `package` in Cargo.lock.
fn locked_version(root: &Path, package: &str) -> Option<String> {
    let lock = fs::read_to_string(root.join("Cargo.lock")).ok()?;
    let entry = format!("name = \"{package}\"\nversion = \"");
    let (_, rest) = lock.split_once(&entry)?;
    Some(rest.split('"').next()?.to_owned())
}

fn is_of_outer_build(name: &str) -> bool {
    name.starts_with("CARGO_FEATURE_")
        || name.starts_with("CARGO_CFG_")
        || name.starts_with("CARGO_PKG_")
        || name.starts_with("CARGO_MANIFEST_")
        || name.starts_with("CARGO_PROFILE_")
        || matches!(
            name,
            "CARGO_ENCODED_RUSTFLAGS"
                | "CARGO_BUILD_TARGET"
                | "CARGO_MAKEFLAGS"
                | "CLIPPY_ARGS"
                | "MAKEFLAGS"
                | "RUSTC"
                | "RUSTC_WRAPPER"
                | "RUSTC_WORKSPACE_WRAPPER"
                | "RUSTDOC"
                | "RUSTFLAGS"
                | "TARGET"
        )
}
