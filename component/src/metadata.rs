//! What the component says of itself, for `wasm-tools metadata show`: custom sections, by the names that the crate
//! `wasm-metadata` reads.
//!
//! They are those of the core module within the component, because the linker leaves them there.
#![expect(
    unsafe_code,
    reason = "the linker trusts that a section is what its name says"
)]

/// A custom section.
macro_rules! section {
    ($name:literal, $content:expr) => {
        const _: () = {
            #[used]
            #[unsafe(link_section = $name)]
            static SECTION: [u8; $content.len()] = $content;
        };
    };
}

const VERSION: &[u8] = env!("CARGO_PKG_VERSION").as_bytes();
const DESCRIPTION: &[u8] = env!("CARGO_PKG_DESCRIPTION").as_bytes();
const LICENSES: &[u8] = env!("CARGO_PKG_LICENSE").as_bytes();
const NAME: &[u8] = env!("CARGO_CRATE_NAME").as_bytes();

section!("version", copied::<{ VERSION.len() }>(VERSION, 0));
section!(
    "description",
    copied::<{ DESCRIPTION.len() }>(DESCRIPTION, 0)
);
section!("licenses", copied::<{ LICENSES.len() }>(LICENSES, 0));
section!("component-name", name::<{ NAME_HEAD + NAME.len() }>());

/// The bytes before a name: the number of the subsection, its length, and that of the name, which is short.
const NAME_HEAD: usize = 3;

/// The section `component-name` (the proposal of the component model, Binary.md).
const fn name<const LENGTH: usize>() -> [u8; LENGTH] {
    let mut section = copied(NAME, NAME_HEAD);
    section[1] = 1 + NAME.len() as u8;
    section[2] = NAME.len() as u8;
    section
}

/// `text` behind `zeros` zeros.
const fn copied<const LENGTH: usize>(text: &[u8], zeros: usize) -> [u8; LENGTH] {
    let mut bytes = [0; LENGTH];
    let (_, rest) = bytes.split_at_mut(zeros);
    rest.copy_from_slice(text);
    bytes
}
