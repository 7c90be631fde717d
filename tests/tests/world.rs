//! The component fits the worlds that it is made for, and the WIT is the same as its origin.
use birthday_tests::service::{component, plain_component, root};
use libtest_mimic::Trial;
use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use wasmparser::{Parser, Payload};
use wit_component::DecodedWasm;
use wit_parser::{IndexMap, Resolve, WorldId, WorldItem, WorldKey};

/// All tests of this module.
pub fn trials() -> Vec<Trial> {
    let trial = |claim: &str, test: fn()| {
        Trial::test(format!("world: {claim}"), move || {
            test();
            Ok(())
        })
    };
    vec![
        trial(
            "the WIT is word for word that of the SDK",
            vendored_wit_is_word_for_word_that_of_the_sdk,
        ),
        trial(
            "the component fits what Spin 3.6 offers",
            the_component_fits_the_world_of_spin_3_6,
        ),
        trial(
            "an import that is not offered is noticed",
            an_import_that_is_not_offered_is_noticed,
        ),
        trial(
            "the adapters offer what the component imports",
            the_adapters_offer_what_the_component_imports,
        ),
        trial(
            "the rule alone imports nothing",
            the_rule_alone_imports_nothing,
        ),
        trial(
            "components say their name, version and licence",
            components_say_what_they_are,
        ),
    ]
}

/// The package that `wit/deps` was taken from, at the version that Cargo.lock pins.
const VENDOR: &str = "spin-sdk";

/// The world of components in Spin 3.6, and in SpinKube's shim.
const SPIN_WORLD: &str = "spin:up/platform@3.6.0";

fn vendored_wit_is_word_for_word_that_of_the_sdk() {
    let (ours, theirs) = (root().join("wit/deps"), vendor().join("wit/deps"));
    let packages: Vec<PathBuf> = entries(&ours);
    assert!(!packages.is_empty());
    for package in packages {
        let name = package.file_name().unwrap();
        let original = theirs.join(name);
        let names = |folder: &Path| -> BTreeSet<_> {
            let files = entries(folder);
            files
                .iter()
                .map(|file| file.file_name().unwrap().to_owned())
                .collect()
        };
        assert_eq!(
            names(&package),
            names(&original),
            "files of {}",
            package.display()
        );
        for file in entries(&package) {
            let same = fs::read(&file).unwrap()
                == fs::read(original.join(file.file_name().unwrap())).unwrap();
            assert!(same, "{} differs from its original", file.display());
        }
    }
}

fn the_component_fits_the_world_of_spin_3_6() {
    let (resolve, world) = spin_world();
    let offered = imports(&resolve, world);
    let (decoded, id) = decode(&component("birthday.wasm"));
    let wanted = imports(&decoded, id);
    assert!(wanted.len() > 5, "{wanted:?}");
    for import in &wanted {
        let fits = offered.iter().any(|offer| offer.covers(import));
        assert!(fits, "Spin 3.6 does not offer {import:?}");
    }
    let exports: Vec<String> = decoded.worlds[id]
        .exports
        .keys()
        .map(|key| decoded.name_world_key(key))
        .collect();
    assert_eq!(exports, ["wasi:http/incoming-handler@0.2.0"]);
}

fn an_import_that_is_not_offered_is_noticed() {
    let (resolve, world) = spin_world();
    let offered = imports(&resolve, world);
    for import in [
        "strange:new/world@1.0.0",
        "spin:postgres/postgres@5.0.0",
        "wasi:http/types@0.3.0-rc-2026-01-06",
        "wasi:http/types",
        "wasi:clocks/wall-clock@0.1.0",
        "wasi:keyvalue/store@0.2.0-draft",
        "wasi:keyvalue/store@0.2.0",
    ] {
        let text = format!("(component (import \"{import}\" (instance)))");
        let bytes = wat::parse_str(text).unwrap();
        let DecodedWasm::Component(decoded, id) = wit_component::decode(&bytes).unwrap() else {
            panic!("not a component");
        };
        let wanted = imports(&decoded, id).pop().unwrap();
        assert!(
            !offered.iter().any(|offer| offer.covers(&wanted)),
            "{import}"
        );
    }
}

fn the_adapters_offer_what_the_component_imports() {
    let stores = [
        "fermyon:spin/key-value",
        "wasi:keyvalue/store",
        "wasi:keyvalue/batch",
    ];
    let variables = ["fermyon:spin/variables"];
    let (decoded, id) = decode(&component("birthday.wasm"));
    let wanted = imports(&decoded, id);
    for (adapter, names) in [
        (
            component("postgres_adapter.wasm"),
            &["spin:postgres/postgres"][..],
        ),
        (plain_component("key_value_adapter.wasm"), &stores),
        (plain_component("no_key_value_adapter.wasm"), &stores),
        (plain_component("config_variables_adapter.wasm"), &variables),
        (
            plain_component("environment_variables_adapter.wasm"),
            &variables,
        ),
    ] {
        let (decoded, id) = decode(&adapter);
        let offered = interfaces(&decoded, &decoded.worlds[id].exports);
        for name in names {
            let import = wanted.iter().find(|import| import.name() == *name).unwrap();
            let fits = offered.iter().any(|offer| offer.covers(import));
            assert!(fits, "{} does not offer {import:?}", adapter.display());
        }
    }
}

fn the_rule_alone_imports_nothing() {
    let (decoded, id) = decode(&plain_component("greeting.wasm"));
    assert!(imports(&decoded, id).is_empty());
    let exports = interfaces(&decoded, &decoded.worlds[id].exports);
    let names: Vec<_> = exports.iter().map(Import::name).collect();
    assert_eq!(names, ["birthday:greeting/greeting"]);
    let functions = exports[0].functions.iter().map(String::as_str);
    assert!(functions.eq(["days-until", "message", "parse"]));
}

fn components_say_what_they_are() {
    for (path, name) in [
        (component("birthday.wasm"), "birthday"),
        (plain_component("greeting.wasm"), "greeting"),
    ] {
        let bytes = fs::read(path).unwrap();
        let mut said = BTreeSet::new();
        for payload in Parser::new(0).parse_all(&bytes) {
            if let Payload::CustomSection(section) = payload.unwrap() {
                let content = String::from_utf8_lossy(section.data()).into_owned();
                said.insert((section.name().to_owned(), content));
            }
        }
        let has = |section: &str, content: &str| {
            let mut said = said.iter();
            said.any(|(name, text)| name == section && text.ends_with(content))
        };
        assert!(has("component-name", name), "{said:?}");
        assert!(has("version", env!("CARGO_PKG_VERSION")), "{said:?}");
        assert!(has("licenses", env!("CARGO_PKG_LICENSE")), "{said:?}");
    }
}

/// The WIT of the component in the file at `path`.
fn decode(path: &Path) -> (Resolve, WorldId) {
    match wit_component::decode(&fs::read(path).unwrap()).unwrap() {
        DecodedWasm::Component(decoded, id) => (decoded, id),
        DecodedWasm::WitPackage(..) => panic!("{} is not a component", path.display()),
    }
}

/// The part of an interface that is used or offered.
#[derive(Debug)]
struct Import {
    package: String,
    interface: String,
    version: (u64, u64, u64),
    /// What is behind the hyphen of a pre-release; `None` without any version.
    pre_release: Option<String>,
    functions: BTreeSet<String>,
}

impl Import {
    /// Its package and its name, without a version.
    fn name(&self) -> String {
        format!("{}/{}", self.package, self.interface)
    }

    /// Whether this satisfies a component that needs `wanted`: a runtime links an interface of any compatible
    /// version (by semantic versioning), if it has the functions. A pre-release is compatible with itself only.
    fn covers(&self, wanted: &Self) -> bool {
        let track = |(major, minor, patch): (u64, u64, u64)| match (major, minor) {
            (0, 0) => (0, 0, patch),
            (0, minor) => (0, minor, 0),
            (major, _) => (major, 0, 0),
        };
        let is_compatible = match (self.pre_release.as_deref(), wanted.pre_release.as_deref()) {
            (Some(""), Some("")) => track(self.version) == track(wanted.version),
            (Some(own), Some(other)) => own == other && self.version == wanted.version,
            _ => false,
        };
        is_compatible
            && self.package == wanted.package
            && self.interface == wanted.interface
            && self.functions.is_superset(&wanted.functions)
    }
}

/// The imports of `world`.
fn imports(resolve: &Resolve, world: WorldId) -> Vec<Import> {
    interfaces(resolve, &resolve.worlds[world].imports)
}

/// `items`, which are the imports or the exports of a world.
fn interfaces(resolve: &Resolve, items: &IndexMap<WorldKey, WorldItem>) -> Vec<Import> {
    items
        .iter()
        .map(|(key, item)| {
            let (WorldKey::Interface(id), WorldItem::Interface { .. }) = (key, item) else {
                panic!("an item of a world that is no interface: {key:?}");
            };
            let interface = &resolve.interfaces[*id];
            let package = &resolve.packages[interface.package.unwrap()].name;
            let version = package.version.as_ref();
            Import {
                package: format!("{}:{}", package.namespace, package.name),
                interface: interface.name.clone().unwrap_or_default(),
                version: version.map_or((0, 0, 0), |v| (v.major, v.minor, v.patch)),
                pre_release: version.map(|version| version.pre.to_string()),
                functions: interface.functions.keys().cloned().collect(),
            }
        })
        .collect()
}

fn spin_world() -> (Resolve, WorldId) {
    let mut resolve = Resolve::default();
    let (package, _) = resolve.push_dir(vendor().join("wit")).unwrap();
    let world = resolve.select_world(&[package], Some(SPIN_WORLD)).unwrap();
    (resolve, world)
}

/// The folder with cargo's copy of the source of [`VENDOR`].
fn vendor() -> PathBuf {
    let output = Command::new(env!("CARGO"))
        .args(["metadata", "--format-version", "1", "--locked"])
        .current_dir(root())
        .output()
        .unwrap();
    let metadata: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    let packages = metadata["packages"].as_array().unwrap();
    let package = packages
        .iter()
        .find(|package| package["name"] == VENDOR)
        .unwrap();
    let manifest = Path::new(package["manifest_path"].as_str().unwrap());
    manifest.parent().unwrap().to_owned()
}

fn entries(folder: &Path) -> Vec<PathBuf> {
    let read = fs::read_dir(folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
    let mut entries: Vec<PathBuf> = read.map(|entry| entry.unwrap().path()).collect();
    entries.sort();
    entries
}
