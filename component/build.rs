//! Packs the files that the component serves: those of `web/`, the description of the API, and Swagger UI.
//!
//! Each is kept as gzip only, without a time, so that the same files make the same component. `src/files.rs` includes the code
//! that lists them. The name of an asset has a hash of its content, so that a cache may keep it for ever.

use flate2::Compression;
use flate2::write::GzEncoder;
use sha2::{Digest, Sha256};
use std::fmt::Write as _;
use std::io::{Cursor, Read, Write as _};
use std::path::Path;
use std::{env, fs};
use utoipa_swagger_ui_vendored::SWAGGER_UI_VENDORED;
use zip::ZipArchive;

const CSS: &str = "text/css; charset=utf-8";
const HTML: &str = "text/html; charset=utf-8";
const JAVASCRIPT: &str = "text/javascript; charset=utf-8";
const JSON: &str = "application/json";
const SVG: &str = "image/svg+xml";
const TEXT: &str = "text/plain; charset=utf-8";

/// Bytes of a hash that are kept: enough that no two versions of a file ever share one.
const HASH_BYTES: usize = 8;

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rerun-if-changed=src/openapi.json");
    println!("cargo::rerun-if-changed=web");
    let mut files = Files::default();
    let mut swagger_ui = SwaggerUi::open();
    files.add_asset("icon.svg", SVG, &own("web/icon.svg"));
    files.add_asset("index.css", CSS, &own("web/index.css"));
    files.add_asset("index.js", JAVASCRIPT, &own("web/index.js"));
    files.add_asset("docs.css", CSS, &own("web/docs.css"));
    files.add_asset("docs.js", JAVASCRIPT, &own("web/docs.js"));
    for (name, content_type) in [
        ("swagger-ui.css", CSS),
        ("swagger-ui-bundle.js", JAVASCRIPT),
    ] {
        files.add_asset(
            name,
            content_type,
            &swagger_ui.file(&format!("dist/{name}")),
        );
    }
    files.add_asset("swagger-ui-licenses.txt", TEXT, &swagger_ui.licenses());
    files.add_page("INDEX_HTML", HTML, "web/index.html");
    files.add_page("INDEX_JSON", JSON, "web/index.json");
    files.add_page("DOCS_HTML", HTML, "web/docs.html");
    files.add_page("OPENAPI_JSON", JSON, "src/openapi.json");
    files.write();
}

/// A file of this package.
fn own(path: &str) -> Vec<u8> {
    fs::read(path).unwrap_or_else(|error| panic!("{path}: {error}"))
}

/// The release of Swagger UI.
struct SwaggerUi(ZipArchive<Cursor<&'static [u8]>>);

impl SwaggerUi {
    fn open() -> Self {
        Self(ZipArchive::new(Cursor::new(SWAGGER_UI_VENDORED)).expect("the crate has a zip"))
    }

    /// The file at `path`, below the one folder of the archive.
    fn file(&mut self, path: &str) -> Vec<u8> {
        let mut names = self.0.file_names().flatten();
        let name = names
            .find(|name| name.split_once('/').is_some_and(|(_, rest)| rest == path))
            .unwrap_or_else(|| panic!("Swagger UI has no {path}"))
            .into_owned();
        drop(names);
        let mut content = Vec::new();
        let mut file = self.0.by_name(&name).expect("it was found");
        file.read_to_end(&mut content).expect("the zip is intact");
        content
    }

    /// What its licence and those of its parts ask to pass on.
    fn licenses(&mut self) -> Vec<u8> {
        let parts = own("web/swagger-ui-bundle.js.LICENSE.txt");
        [self.file("NOTICE"), self.file("LICENSE"), parts].join(&b"\n\n"[..])
    }
}

/// The files so far.
#[derive(Default)]
struct Files {
    /// Names in `web/` and in URLs.
    asset_names: Vec<(String, String)>,
    /// The entries of the list of assets, as code.
    assets: String,
    /// The constants of the pages, as code.
    pages: String,
}

impl Files {
    /// Adds a file with a hash in its URL.
    fn add_asset(&mut self, name: &str, content_type: &str, content: &[u8]) {
        let hash = hash(content);
        let (stem, extension) = name.rsplit_once('.').expect("an asset has an extension");
        let hashed = format!("{stem}.{hash}.{extension}");
        let file = pack(name, content_type, content);
        writeln!(self.assets, "({hashed:?}, {file}),").expect("a string takes all");
        self.asset_names.push((name.to_owned(), hashed));
    }

    /// Adds a file with a URL of its own. Where it names an asset, the URL of that asset takes the place of the name.
    fn add_page(&mut self, constant: &str, content_type: &str, path: &str) {
        let mut content = String::from_utf8(own(path)).expect("a page is text");
        for (name, hashed) in &self.asset_names {
            let [name, hashed] = [name, hashed].map(|name| format!("\"assets/{name}\""));
            content = content.replace(&name, &hashed);
        }
        let file = pack(constant, content_type, content.as_bytes());
        writeln!(self.pages, "pub static {constant}: File = {file};").expect("a string takes all");
    }

    fn write(self) {
        let Self {
            asset_names,
            assets,
            pages,
        } = self;
        let count = asset_names.len();
        let code = format!("{pages}static ASSETS: [(&str, File); {count}] = [\n{assets}];\n");
        fs::write(out("files.rs"), code).expect("OUT_DIR can be written");
    }
}

/// Compresses `content` into a file in OUT_DIR, and returns the code for it.
fn pack(name: &str, content_type: &str, content: &[u8]) -> String {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
    encoder.write_all(content).expect("a vector takes all");
    let gzip = encoder.finish().expect("a vector takes all");
    let path = out(&format!("{name}.gz"));
    fs::write(&path, gzip).expect("OUT_DIR can be written");
    let hash = hash(content);
    let [tag, gzip_tag] = [format!("\"{hash}\""), format!("\"{hash}-gzip\"")];
    let length = content.len();
    format!(
        "File {{ content_type: {content_type:?}, length: {length}, gzip: include_bytes!({path:?}), \
         tag: {tag:?}, gzip_tag: {gzip_tag:?} }}"
    )
}

fn hash(content: &[u8]) -> String {
    let digest = Sha256::digest(content);
    digest
        .iter()
        .take(HASH_BYTES)
        .map(|byte| format!("{byte:02x}"))
        .collect()
}

/// The path of a file in OUT_DIR.
fn out(name: &str) -> String {
    let folder = env::var("OUT_DIR").expect("cargo sets OUT_DIR");
    Path::new(&folder).join(name).display().to_string()
}
