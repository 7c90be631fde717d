//! Running what is in an image where it sees nothing else, without a container engine.

use crate::image::Image;
use std::env::consts::ARCH;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use test_support::machine::find_program;

/// What a runtime does: a root of its own that cannot be written, and `/proc`. The process keeps its number, as
/// process 1, and gets signals itself.
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
    /// What makes one processor of another, where it has to be.
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
        // As every runtime adds them.
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

    /// What a file of the image is called by what runs in it.
    pub fn path(&self, name: &str) -> String {
        match self.emulator {
            None => format!("/{name}"),
            Some(_) => self.root().join(name).display().to_string(),
        }
    }

    /// The image with more arguments, as it is meant to be run: under its user, with its environment, in a root, a mount
    /// and a process namespace of its own; or, by an emulator, in the root of this machine.
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

    /// The binary of the image as a process like any other.
    pub fn bare_command(&self) -> Command {
        let mut command = Command::new(self.root().join("birthday-host"));
        self.set_environment(&mut command, &self.root());
        command
    }

    /// The environment of the image, with files below `root`, and free ports in place of those that it has to itself in a
    /// container.
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
