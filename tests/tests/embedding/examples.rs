//! What is expected of each example.

/// An example in a folder of `examples/`.
pub struct Example {
    pub folder: &'static str,
    /// The section of its README that has the commands; empty: the whole README.
    pub section: &'static str,
    /// The programs without which it cannot be run.
    pub needs: &'static [&'static str],
    /// What is in the commands that serve until they are stopped.
    pub serves: &'static [&'static str],
    /// The files into which it composes `birthday.wasm`.
    pub composes: &'static [&'static str],
    /// Whether what it serves is the whole API.
    pub has_contract: bool,
    /// The rows of the contract that its host cannot have, and why.
    pub exceptions: &'static [(&'static str, &'static str)],
}

const AXUM_SLASHES: &str = "axum takes a slash that follows its route away";
const WASMTIME_LARGE_BODY: &str =
    "wasmtime closes a connection whose request it does not read to its end";

pub const EXAMPLES: &[Example] = &[
    Example {
        folder: "axum",
        section: "",
        needs: &[],
        serves: &["target/release/axum-example"],
        composes: &[],
        has_contract: true,
        exceptions: &[
            ("GET //hello/{bob} is an unknown path", AXUM_SLASHES),
            ("POST //hello/{bob} is an unknown path", AXUM_SLASHES),
            ("PUT //hello/{bob} is an unknown path", AXUM_SLASHES),
            ("DELETE //hello/{bob} is an unknown path", AXUM_SLASHES),
        ],
    },
    Example {
        folder: "cors",
        section: "",
        needs: &["wac", "wasmtime"],
        serves: &["wasmtime serve"],
        composes: &["target/birthday-cors.wasm"],
        has_contract: true,
        exceptions: &[("much more is too large", WASMTIME_LARGE_BODY)],
    },
    Example {
        folder: "javascript",
        section: "",
        needs: &["node", "npm"],
        serves: &["page/serve.mjs", "server/serve.mjs"],
        composes: &[],
        has_contract: true,
        exceptions: &[],
    },
    Example {
        folder: "python",
        section: "",
        needs: &["python3"],
        serves: &["serve.py"],
        composes: &[],
        has_contract: true,
        exceptions: &[],
    },
    Example {
        folder: "spin",
        section: "Under Spin",
        needs: &["spin"],
        serves: &["spin up"],
        composes: &[],
        has_contract: false,
        exceptions: &[],
    },
    Example {
        folder: "spin",
        section: "Without Spin",
        needs: &["wac", "wasmtime"],
        serves: &["wasmtime serve"],
        composes: &[],
        has_contract: false,
        exceptions: &[],
    },
    Example {
        folder: "wasmtime-serve",
        section: "",
        needs: &["wac", "wasmtime"],
        serves: &["wasmtime serve"],
        composes: &[
            "target/birthday-postgres.wasm",
            "target/birthday-key-value.wasm",
        ],
        has_contract: true,
        exceptions: &[("much more is too large", WASMTIME_LARGE_BODY)],
    },
];
