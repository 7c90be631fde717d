//! How much memory and address space this process may take.

use procfs::ProcessCGroup;
use procfs::process::Process;
use rustix::process::{Resource, getrlimit};
use std::fs;
use std::path::Path;

/// Where nothing limits the memory, the process limits itself to so many bytes.
const DEFAULT_BYTES: u64 = 1024 * 1024 * 1024;

/// In version 1, no limit is the largest number of pages.
const UNLIMITED_BYTES: u64 = 1 << 60;

/// Where the hierarchies are mounted (cgroups(7)).
const VERSION_1: &str = "/sys/fs/cgroup/memory";
const VERSION_2: &str = "/sys/fs/cgroup";

/// What an instance reserves of the address space, with what lies around it, and what the rest of the process takes, in bytes.
/// Reserved addresses take no memory.
const INSTANCE_ADDRESSES: u64 = 4352 * 1024 * 1024;
const OTHER_ADDRESSES: u64 = 2048 * 1024 * 1024;

/// The limit of the process' control group in bytes, or 1 GiB.
pub fn limit() -> u64 {
    let groups = Process::myself().and_then(|process| process.cgroups());
    let groups = groups.map(|groups| groups.0).unwrap_or_default();
    let limit = groups.iter().filter_map(group_limit).min();
    limit.unwrap_or(DEFAULT_BYTES)
}

fn group_limit(group: &ProcessCGroup) -> Option<u64> {
    let (root, file) = if group.hierarchy == 0 {
        (VERSION_2, "memory.max")
    } else if group.controllers.iter().any(|name| name == "memory") {
        (VERSION_1, "memory.limit_in_bytes")
    } else {
        return None;
    };
    limit_under(Path::new(root), &group.pathname, file)
}

/// The smallest limit of a group and of those around it. A container sees its own group as the root, by whatever name the
/// process has it.
fn limit_under(root: &Path, group: &str, file: &str) -> Option<u64> {
    let groups = Path::new(group.trim_start_matches('/')).ancestors();
    groups
        .filter_map(|group| fs::read_to_string(root.join(group).join(file)).ok())
        // `max` is no number.
        .filter_map(|limit| limit.trim().parse().ok())
        .filter(|limit| *limit < UNLIMITED_BYTES)
        .min()
}

/// How many instances fit into the address space, where it is limited (`ulimit -v`).
pub fn max_instances() -> Option<u64> {
    let limit = getrlimit(Resource::As).current?;
    Some(limit.saturating_sub(OTHER_ADDRESSES) / INSTANCE_ADDRESSES)
}

#[cfg(test)]
mod tests {
    use super::*;
    use tempfile::TempDir;

    #[test]
    fn the_smallest_limit_around_the_process_counts() {
        let root = TempDir::new().unwrap();
        let write = |group: &str, limit: &str| {
            let folder = root.path().join(group);
            fs::create_dir_all(&folder).unwrap();
            fs::write(folder.join("memory.max"), limit).unwrap();
        };
        let limit = |group| limit_under(root.path(), group, "memory.max");
        assert_eq!(limit("/pods/a"), None);
        write("pods/a", "max\n");
        assert_eq!(limit("/pods/a"), None);
        write("pods", "1000\n");
        assert_eq!(limit("/pods/a"), Some(1000));
        write("pods/a", "2000\n");
        assert_eq!(limit("/pods/a"), Some(1000));
        write("pods/a", "500\n");
        assert_eq!(limit("/pods/a"), Some(500));
        write("", "9223372036854771712\n");
        assert_eq!(limit("/a/name/outside"), None);
        write("", "400\n");
        assert_eq!(limit("/a/name/outside"), Some(400));
    }
}
