//! Running the content of an image in isolation, without a container engine.

use crate::image::Image;
use std::env::consts::ARCH;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use test_support::machine::find_program;

/// The steps of a container runtime: a read-only root of its own, and `/proc`. The process is process 1, and
/// gets signals itself.
const RUN: &str = r#"
root=$1 user=$2
shift 2
mount --bind "$root" "$root"
mount -t proc proc "$root/proc"
mount -o remount,bind,ro "$root"
exec chroot --userspec="$user" --groups= "$root" "$@"
"#;

/// An image that can be run here.
pub struct Container {
    image: Arc<Image>,
    /// The emulator, if the image is of another architecture.
    emulator: Option<PathBuf>,
}

impl Container {
    /// # Errors
    /// The reason why the image cannot be run here.
    pub fn of(image: Arc<Image>) -> Result<Self, String> {
        let emulator = format!("qemu-{}-static", image.machine());
        let emulator = match find_program(&emulator) {
            _ if image.machine() == ARCH => None,
            None => return Err(format!("no {emulator} on PATH")),
            found => found,
        };
        if emulator.is_none() && !rustix::process::geteuid().is_root() {
            return Err("only root may give a process a root of its own".to_owned());
        }
        // Every container runtime adds them.
        fs::create_dir(image.root().join("proc")).unwrap();
        fs::write(image.root().join("etc/hosts"), "127.0.0.1 localhost\n").unwrap();
        Ok(Self { image, emulator })
    }

    pub fn is_native(&self) -> bool {
        self.emulator.is_none()
    }

    pub fn machine(&self) -> &'static str {
        self.image.machine()
    }

    /// The folder that is its root.
    pub fn root(&self) -> PathBuf {
        self.image.root()
    }

    /// The path of a file of the image, inside the image.
    pub fn path(&self, name: &str) -> String {
        match self.emulator {
            None => format!("/{name}"),
            Some(_) => self.root().join(name).display().to_string(),
        }
    }

    /// The image with more arguments, run as intended: as its user, with its environment, and with its own root, mount
    /// namespace and process namespace. With an emulator it runs in the root of this machine.
    pub fn command(&self, arguments: &[&str]) -> Command {
        let Some(emulator) = &self.emulator else {
            let mut command = Command::new("unshare");
            command
                .args(["--mount", "--pid", "--fork", "--kill-child"])
                .args(["sh", "-euc", RUN, "sh"])
                .arg(self.root())
                .arg(self.image.config["config"]["User"].as_str().unwrap())
                .arg("/birthday-host")
                .args(arguments);
            self.set_environment(&mut command, Path::new("/"));
            return command;
        };
        let mut command = Command::new(emulator);
        command
            .arg(self.root().join("birthday-host"))
            .args(arguments);
        self.set_environment(&mut command, &self.root());
        command
    }

    /// The binary of the image as an ordinary process.
    pub fn bare_command(&self) -> Command {
        let mut command = Command::new(self.root().join("birthday-host"));
        self.set_environment(&mut command, &self.root());
        command
    }

    /// The environment of the image, with files below `root`, and with free ports instead of its fixed ones.
    fn set_environment(&self, command: &mut Command, root: &Path) {
        command.env_clear();
        for entry in self.image.config["config"]["Env"].as_array().unwrap() {
            let (name, value) = entry.as_str().unwrap().split_once('=').unwrap();
            let value = match value.strip_prefix('/') {
                Some(file) if name != "PATH" => root.join(file).display().to_string(),
                _ => value.replace(":8080", ":0").replace(":9901", ":0"),
            };
            command.env(name, value);
        }
    }
}
