//! The content of the container image.

mod running;

use crate::container::Container;
use birthday_tests::service::{Service, root, target};
use libtest_mimic::Trial;
use serde_json::Value;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use tempfile::TempDir;
use test_support::cluster::Cluster;

/// The limit for all files together, as they are on the disk of a node, from the issue that asked for stores over the network.
const MOST_BYTES: u64 = 30_000_000;

/// All files, with type, permissions and owner in the form of `tar`.
const CONTENT: &[(&str, &str)] = &[
    ("-rw-r--r-- 0/0", "birthday.cwasm"),
    ("-rwxr-xr-x 0/0", "birthday-host"),
    ("-rw-r--r-- 0/0", "etc/ssl/certs/ca-certificates.crt"),
    ("-rw-r--r-- 0/0", "usr/share/sbom/birthday-host.cdx.json"),
    ("drwxr-xr-x 0/0", "etc/"),
    ("drwxr-xr-x 0/0", "etc/ssl/"),
    ("drwxr-xr-x 0/0", "etc/ssl/certs/"),
    ("drwxr-xr-x 0/0", "usr/"),
    ("drwxr-xr-x 0/0", "usr/share/"),
    ("drwxr-xr-x 0/0", "usr/share/sbom/"),
];

/// A claim about an image or a container, and its check.
type Claim<T> = (&'static str, fn(&T));

/// The image of one archive, unpacked.
pub struct Image {
    folder: TempDir,
    /// The image of docker in the archive.
    for_docker: Value,
    manifest: Value,
    pub config: Value,
    /// Type, permissions and owner, and path; of all layers.
    content: Vec<(String, String)>,
}

impl Image {
    /// # Panics
    /// If it is not an archive, or if the content of a blob does not match its name.
    pub fn unpack(archive: &Path) -> Self {
        let folder = TempDir::with_prefix("birthday-image-").unwrap();
        let blobs = folder.path().join("archive");
        fs::create_dir(&blobs).unwrap();
        run(Command::new("tar")
            .arg("-xf")
            .arg(archive)
            .arg("-C")
            .arg(&blobs));
        let json = |path: &str| -> Value {
            serde_json::from_slice(&fs::read(blobs.join(path)).unwrap()).unwrap()
        };
        let blob = |descriptor: &Value| {
            let digest = descriptor["digest"].as_str().unwrap();
            let path = format!("blobs/{}", digest.replace(':', "/"));
            let sum = run(Command::new("sha256sum").arg(blobs.join(&path)));
            let sum = sum.split_whitespace().next().unwrap();
            assert_eq!(digest, format!("sha256:{sum}"));
            path
        };
        let manifest = json(&blob(&json("index.json")["manifests"][0]));
        let config = json(&blob(&manifest["config"]));
        let mut content = Vec::new();
        fs::create_dir(folder.path().join("root")).unwrap();
        for layer in manifest["layers"].as_array().unwrap() {
            let layer = blobs.join(blob(layer));
            let listing = run(Command::new("tar")
                .args(["--list", "--verbose", "--numeric-owner", "--file"])
                .arg(&layer));
            content.extend(listing.lines().map(|line| {
                let words: Vec<&str> = line.split_whitespace().collect();
                (format!("{} {}", words[0], words[1]), words[5..].join(" "))
            }));
            run(Command::new("tar")
                .args(["--extract", "--preserve-permissions", "--file"])
                .arg(&layer)
                .arg("-C")
                .arg(folder.path().join("root")));
        }
        content.sort();
        let for_docker = json("manifest.json");
        Self {
            folder,
            for_docker,
            manifest,
            config,
            content,
        }
    }

    /// The folder with its files.
    pub fn root(&self) -> PathBuf {
        self.folder.path().join("root")
    }

    /// The architecture as Rust names it.
    pub fn machine(&self) -> &'static str {
        match self.config["architecture"].as_str() {
            Some("amd64") => "x86_64",
            Some("arm64") => "aarch64",
            other => panic!("{other:?} is no architecture that images are made for"),
        }
    }

    fn file(&self, path: &str) -> Vec<u8> {
        fs::read(self.root().join(path)).unwrap()
    }
}

/// Values that must live as long as the trials run.
pub struct Kept {
    services: Vec<Service>,
    cluster: Cluster,
}

/// The trials of the image in `archive`.
pub fn trials(archive: &Path) -> (Vec<Trial>, Kept) {
    let image = Arc::new(Image::unpack(archive));
    let name = format!("image, {}", image.machine());
    let claims: [Claim<Image>; 7] = [
        ("it has these files and no others", has_these_files),
        ("it is small", is_small),
        ("the binary needs nothing but a kernel", is_static),
        ("it says what it is and how to run it", says_what_it_is),
        ("docker and OCI see the same", docker_and_oci_see_the_same),
        ("the SBOM lists what is linked", sbom_lists_what_is_linked),
        ("the authorities of the web are there", has_authorities),
    ];
    let mut trials: Vec<Trial> = claims
        .into_iter()
        .map(|(claim, check)| {
            let image = image.clone();
            trial(&name, claim, move || check(&image))
        })
        .collect();
    let mut kept = Kept {
        services: Vec::new(),
        cluster: Cluster::start(&["fsync=off"]),
    };
    match Container::of(image) {
        Err(reason) => {
            let what = format!("{name}: what it does ({reason})");
            eprintln!("skipped: {what}");
            trials.push(Trial::test(what, || Ok(())).with_ignored_flag(true));
        }
        Ok(container) => trials.extend(running::trials(&name, &Arc::new(container), &mut kept)),
    }
    (trials, kept)
}

fn trial(name: &str, claim: &str, check: impl FnOnce() + Send + 'static) -> Trial {
    Trial::test(format!("{name}: {claim}"), move || {
        check();
        Ok(())
    })
}

fn has_these_files(image: &Image) {
    let content: Vec<(&str, &str)> = image
        .content
        .iter()
        .map(|(kind, path)| (kind.as_str(), path.as_str()))
        .collect();
    let mut expected = CONTENT.to_vec();
    expected.sort_unstable();
    assert_eq!(content, expected);
}

fn is_small(image: &Image) {
    let files = CONTENT.iter().filter(|(kind, _)| kind.starts_with('-'));
    let bytes: u64 = files
        .map(|(_, path)| fs::metadata(image.root().join(path)).unwrap().len())
        .sum();
    assert!(bytes <= MOST_BYTES, "{bytes} bytes");
}

fn is_static(image: &Image) {
    let binary = image.file("birthday-host");
    let number = |at: usize, size: usize| -> usize {
        let bytes = binary[at..at + size].iter().rev();
        bytes.fold(0, |number, byte| number << 8 | usize::from(*byte))
    };
    assert_eq!(&binary[..5], b"\x7fELF\x02", "64 bits");
    const POSITION_INDEPENDENT: usize = 3;
    assert_eq!(number(16, 2), POSITION_INDEPENDENT);
    let machine = if image.machine() == "x86_64" { 62 } else { 183 };
    assert_eq!(number(18, 2), machine);
    const INTERPRETER: usize = 3;
    let (table, size, count) = (number(32, 8), number(54, 2), number(56, 2));
    let kinds = (0..count).map(|row| number(table + row * size, 4));
    assert!(!kinds.into_iter().any(|kind| kind == INTERPRETER));
    // It does not contain the path where it was built either.
    for folder in [root(), target(), PathBuf::from(env!("CARGO"))] {
        let folder = folder.to_str().unwrap().as_bytes();
        assert!(!binary.windows(folder.len()).any(|bytes| bytes == folder));
    }
}

fn says_what_it_is(image: &Image) {
    let config = &image.config["config"];
    let labels = config["Labels"].as_object().unwrap();
    for (label, value) in [
        ("title", "birthday-host"),
        ("version", env!("CARGO_PKG_VERSION")),
        ("licenses", "Apache-2.0"),
    ] {
        assert_eq!(labels[&format!("org.opencontainers.image.{label}")], value);
    }
    for label in ["description", "revision", "created"] {
        let value = &labels[&format!("org.opencontainers.image.{label}")];
        assert!(
            value.as_str().is_some_and(|text| text.len() > 10),
            "{label}"
        );
    }
    // The time of the commit, not of the build.
    assert_eq!(
        image.config["created"],
        labels["org.opencontainers.image.created"]
    );
    assert_eq!(image.config["os"], "linux");
    assert_eq!(config["User"], "65532:65532");
    assert_eq!(config["Entrypoint"], serde_json::json!(["/birthday-host"]));
    assert_eq!(config["Cmd"], Value::Null);
    assert_eq!(config["Volumes"], Value::Null);
    let ports: Vec<&String> = config["ExposedPorts"].as_object().unwrap().keys().collect();
    assert_eq!(ports, ["8080/tcp", "9901/tcp"]);
}

fn docker_and_oci_see_the_same(image: &Image) {
    let path = |descriptor: &Value| {
        let digest = descriptor["digest"].as_str().unwrap();
        Value::from(format!("blobs/{}", digest.replace(':', "/")))
    };
    let for_docker = &image.for_docker[0];
    assert_eq!(for_docker["Config"], path(&image.manifest["config"]));
    let layers = image.manifest["layers"].as_array().unwrap();
    let layers: Vec<Value> = layers.iter().map(path).collect();
    assert_eq!(for_docker["Layers"], Value::from(layers));
    let name = format!("birthday-host:{}", env!("CARGO_PKG_VERSION"));
    assert_eq!(for_docker["RepoTags"], serde_json::json!([name]));
}

fn sbom_lists_what_is_linked(image: &Image) {
    let sbom = image.file("usr/share/sbom/birthday-host.cdx.json");
    let sbom: Value = serde_json::from_slice(&sbom).unwrap();
    assert_eq!(sbom["bomFormat"], "CycloneDX");
    let components = sbom["components"].as_array().unwrap();
    let version = |name: &str| {
        let found = components.iter().find(|part| part["name"] == name)?;
        Some(found["version"].as_str()?.to_owned())
    };
    let lock = fs::read_to_string(root().join("Cargo.lock")).unwrap();
    for name in ["wasmtime", "rustls", "tz-rs"] {
        let version = version(name).unwrap_or_else(|| panic!("no {name}"));
        let entry = format!("name = \"{name}\"\nversion = \"{version}\"\n");
        assert!(lock.contains(&entry), "{entry}");
    }
    for name in [
        "birthday-host",
        "birthday-component",
        "sqlite",
        "musl",
        "swagger-ui",
    ] {
        assert!(version(name).is_some(), "no {name}");
    }
    // The compiler, a procedural macro, a build dependency, a dependency of the tests.
    for name in ["cranelift-codegen", "serde_derive", "cc", "rcgen"] {
        assert_eq!(version(name), None, "{name}");
    }
    assert!(!sbom.to_string().contains(root().to_str().unwrap()));
}

fn has_authorities(image: &Image) {
    let authorities = image.file("etc/ssl/certs/ca-certificates.crt");
    let authorities = String::from_utf8(authorities).unwrap();
    let count = authorities.matches("-----BEGIN CERTIFICATE-----").count();
    // Mozilla trusted 121 to 150 authorities in the last years.
    assert!((100..200).contains(&count), "{count}");
}

/// The output of `command`.
///
/// # Panics
/// If it fails.
fn run(command: &mut Command) -> String {
    let output = command.output().unwrap();
    assert!(output.status.success(), "{command:?}: {output:?}");
    String::from_utf8(output.stdout).unwrap()
}
