//! Which files use each other: no circle of them.

use crate::{File, files, without_tests};
use std::collections::{BTreeMap, BTreeSet};

/// A path such as `crate::guest::Body`, without `crate`.
type Path = Vec<String>;

/// The modules of one package.
struct Package {
    /// The text of each module's file.
    modules: BTreeMap<Path, String>,
}

impl Package {
    /// That in the folder `source`.
    fn read(source: &str) -> Self {
        let modules = files(&[source], ".rs")
            .into_iter()
            .map(|File { path, text }| {
                let module = path.strip_prefix(source).unwrap().trim_start_matches('/');
                (module_of(module), text)
            });
        Self {
            modules: modules.collect(),
        }
    }

    /// The modules that each module uses.
    fn uses(&self) -> BTreeMap<&Path, BTreeSet<&Path>> {
        let uses = self.modules.iter().map(|(module, text)| {
            let used = imports(without_tests(text), false)
                .iter()
                .filter_map(|path| self.resolve(module, path, 0))
                .filter(|used| *used != module)
                .collect();
            (module, used)
        });
        uses.collect()
    }

    /// The module in which the item at `path` is defined, seen from `module`; `None` if it is of another package.
    fn resolve(&self, module: &Path, path: &[String], depth: usize) -> Option<&Path> {
        assert!(depth < 8, "{path:?} is re-exported in a circle");
        let absolute: Path = match path.first()?.as_str() {
            "crate" => path[1..].to_vec(),
            "super" => [&module[..module.len() - 1], &path[1..]].concat(),
            "self" => [module, &path[1..]].concat(),
            _ => [module, path].concat(),
        };
        // The longest prefix that is a module.
        let length = (0..=absolute.len())
            .rev()
            .find(|length| self.modules.contains_key(&absolute[..*length]))?;
        let (found, text) = self.modules.get_key_value(&absolute[..length])?;
        let Some(item) = absolute.get(length) else {
            return Some(found);
        };
        let is_relative = !matches!(path[0].as_str(), "crate" | "super" | "self");
        let exported = imports(text, true)
            .into_iter()
            .find(|exported| exported.last() == Some(item));
        match exported {
            Some(exported) => self.resolve(found, &exported, depth + 1),
            // A path that begins with the name of another package.
            None if is_relative && found == module => None,
            None => Some(found),
        }
    }

    /// The modules from which a chain of uses leads back to themselves.
    fn circles(&self) -> Vec<String> {
        let uses = self.uses();
        let in_circle = uses.keys().filter(|module| {
            let mut reached = BTreeSet::new();
            let mut next: Vec<_> = uses[**module].iter().copied().collect();
            while let Some(used) = next.pop() {
                if reached.insert(used) {
                    next.extend(uses[used].iter().copied());
                }
            }
            reached.contains(**module)
        });
        in_circle.map(|module| module.join("::")).collect()
    }
}

/// The module in the file at `path` below the folder of sources.
fn module_of(path: &str) -> Path {
    let module = path.trim_end_matches(".rs");
    let module = module.strip_suffix("/mod").unwrap_or(module);
    match module {
        "lib" | "main" => Path::new(),
        module => module.split('/').map(str::to_owned).collect(),
    }
}

/// The paths that `text` imports: those that it exports again, or the others.
fn imports(text: &str, exported: bool) -> Vec<Path> {
    let mut paths = Vec::new();
    let mut rest = text;
    while let Some(start) = rest.find("use ") {
        let line_start = rest[..start].rfind('\n').map_or(0, |end| end + 1);
        let visibility = &rest[line_start..start];
        rest = &rest[start + "use ".len()..];
        let is_statement = matches!(visibility, "" | "pub " | "pub(crate) " | "pub(super) ");
        if is_statement && visibility.starts_with("pub") == exported {
            let tree = rest.split(';').next().unwrap();
            let tree: String = tree.split_whitespace().collect::<Vec<_>>().join(" ");
            expand(&Path::new(), &tree, &mut paths);
        }
    }
    paths
}

/// Adds the paths of a tree such as `a::{b, c::d}`, below `prefix`.
fn expand(prefix: &Path, tree: &str, paths: &mut Vec<Path>) {
    let (path, group) = match tree.split_once('{') {
        Some((path, group)) => (path, group.trim_end().strip_suffix('}')),
        None => (tree, None),
    };
    let path = path.split(" as ").next().unwrap();
    let parts = path
        .split("::")
        .map(str::trim)
        .filter(|part| !part.is_empty());
    let mut whole = prefix.clone();
    whole.extend(
        parts
            .filter(|part| *part != "self" || prefix.is_empty())
            .map(str::to_owned),
    );
    let Some(group) = group else {
        paths.push(whole);
        return;
    };
    let (mut depth, mut start) = (0, 0);
    for (index, character) in group.char_indices().chain([(group.len(), ',')]) {
        match character {
            '{' => depth += 1,
            '}' => depth -= 1,
            ',' if depth == 0 => {
                let part = group[start..index].trim();
                if !part.is_empty() {
                    expand(&whole, part, paths);
                }
                start = index + 1;
            }
            _ => {}
        }
    }
}

#[test]
fn no_files_of_the_libraries_use_each_other() {
    for source in ["postgres/src", "runtime/src"] {
        let circles = Package::read(source).circles();
        assert_eq!(circles, [""; 0], "{source}");
    }
}

/// A package of these modules.
fn package(modules: &[(&str, &str)]) -> Package {
    let modules = modules
        .iter()
        .map(|(path, text)| (module_of(path), (*text).to_owned()));
    Package {
        modules: modules.collect(),
    }
}

#[test]
fn a_circle_is_found_through_groups_and_exports() {
    let circle = package(&[
        ("lib.rs", "mod a;\nmod b;\npub use a::A;"),
        ("a.rs", "use crate::b::{self, c::{D, E as F}};"),
        ("b/mod.rs", "mod c;\npub(crate) use c::D;"),
        ("b/c.rs", "use crate::A;"),
    ]);
    assert_eq!(circle.circles(), ["a", "b::c"]);
    let chain = package(&[
        ("lib.rs", "pub use a::A;"),
        ("a.rs", "use super::b::D;\nuse std::fmt;"),
        ("b/mod.rs", "pub use c::D;"),
        (
            "b/c.rs",
            "use std::fmt;\n#[cfg(test)]\nmod tests {\nuse crate::a::A; }",
        ),
    ]);
    assert_eq!(chain.circles(), [""; 0]);
}
