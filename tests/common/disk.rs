//! A small disk, to be filled.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// A disk of 64 KiB; gone when it is dropped.
pub struct Disk(tempfile::TempDir);

impl Disk {
    /// `None`, with a word, where this user may not mount one.
    pub fn new() -> Option<Self> {
        let disk = Self(tempfile::TempDir::new().unwrap());
        let mount = ["-t", "tmpfs", "-o", "size=64k", "ht-test"];
        match Command::new("mount").args(mount).arg(disk.path()).output() {
            Ok(output) if output.status.success() => Some(disk),
            _ => {
                println!("skipped: this user can't mount a small disk");
                None
            }
        }
    }

    pub fn path(&self) -> &Path {
        self.0.path()
    }

    /// Takes as much as there is room for. What is begun of a page can still be written.
    pub fn fill(&self) {
        let full = fs::write(self.filler(), vec![0; 1 << 20]);
        assert!(full.is_err(), "the disk is larger than it should be");
    }

    /// Gives the room back.
    pub fn free(&self) {
        fs::remove_file(self.filler()).unwrap();
    }

    fn filler(&self) -> PathBuf {
        self.path().join("filler")
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        drop(Command::new("umount").arg(self.path()).output());
    }
}
