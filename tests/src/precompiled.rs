//! A precompiled component, as one for another architecture.

/// Marks `component`, which was precompiled for `architecture` (such as x86_64), as the compiler would mark it for another one,
/// and returns the name of that. A compiler for another architecture, which takes minutes to build, is not needed.
///
/// # Panics
/// If the file does not name its target exactly once.
pub fn mark_for_another_architecture(component: &mut [u8], architecture: &str) -> &'static str {
    // As long as the name that it replaces.
    let other = match architecture {
        "x86_64" => "mips64",
        "aarch64" => "riscv64",
        _ => panic!("which architecture has a name as long as {architecture}?"),
    };
    let target = format!("{architecture}-unknown-linux");
    let mut named = component
        .windows(target.len())
        .enumerate()
        .filter(|(_, part)| *part == target.as_bytes());
    let found = named.next().map(|(position, _)| position);
    let position = found.expect("the file names its target");
    assert!(named.next().is_none(), "the file names its target once");
    component[position..position + other.len()].copy_from_slice(other.as_bytes());
    other
}
