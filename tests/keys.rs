//! Keys: made, shown, kept from others, and understood by OpenSSH's tools.

#![cfg(unix)]
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod common;

use common::{hightower, stderr, stdout};
use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Command, Output, Stdio};

fn at(folder: &Path, args: &[&str]) -> Output {
    let mut command = hightower();
    command.env("HIGHTOWER_CONFIG", folder).args(args).stdin(Stdio::null());
    command.output().unwrap()
}

fn ssh_keygen(args: &[&str]) -> String {
    let output = Command::new("ssh-keygen").args(args).stdin(Stdio::null()).output().unwrap();
    assert!(output.status.success(), "{}", stderr(&output));
    stdout(&output)
}

#[test]
fn a_key_is_made_once_and_for_its_owner_alone() {
    let home = tempfile::tempdir().unwrap();
    let folder = home.path().join("new/hightower");
    let made = at(&folder, &["keygen", "--no-passphrase", "--name", "anna@desk", "--json"]);
    assert!(made.status.success(), "{}", stderr(&made));
    let made: serde_json::Value = serde_json::from_str(&stdout(&made)).unwrap();
    let line = made["line"].as_str().unwrap();
    assert!(line.starts_with("all ssh-ed25519 AAAA") && line.ends_with(" anna@desk"), "{line}");
    let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    let key = folder.join("operator_key");
    assert_eq!((mode(&folder), mode(&key)), (0o700, 0o600));
    let before = fs::read(&key).unwrap();

    let again = at(&folder, &["keygen", "--no-passphrase"]);
    assert!(!again.status.success());
    assert!(stderr(&again).contains("exists already"), "{}", stderr(&again));
    assert_eq!(fs::read(&key).unwrap(), before);

    let shown = at(&folder, &["id", "--json"]);
    let shown: serde_json::Value = serde_json::from_str(&stdout(&shown)).unwrap();
    assert_eq!(shown["fingerprint"], made["fingerprint"]);
    assert_eq!((&shown["kind"], &shown["name"]), (&"operator".into(), &"anna@desk".into()));
}

#[test]
fn openssh_reads_our_keys_and_we_read_its() {
    let home = tempfile::tempdir().unwrap();
    let (ours, theirs) = (home.path().join("ours"), home.path().join("theirs"));
    let (ours, theirs) = (ours.to_str().unwrap(), theirs.to_str().unwrap());
    let secret = home.path().join("passphrase");
    fs::write(&secret, "open sesame\n").unwrap();
    let secret = secret.to_str().unwrap();
    let made = ["keygen", "--file", ours, "--passphrase-file", secret, "--name", "ben"];
    let made = at(home.path(), &made);
    assert!(made.status.success(), "{}", stderr(&made));
    let fingerprint = ssh_keygen(&["-l", "-f", ours]);
    let print = fingerprint.split_whitespace().nth(1).unwrap();
    assert!(stdout(&made).contains(print), "{fingerprint} {}", stdout(&made));
    // The passphrase is the key's in their eyes as well: it opens the secret half.
    let public = ssh_keygen(&["-y", "-P", "open sesame", "-f", ours]);
    assert_eq!(public, fs::read_to_string(format!("{ours}.pub")).unwrap());

    ssh_keygen(&["-q", "-t", "ed25519", "-N", "", "-C", "carl", "-f", theirs]);
    let fingerprint = ssh_keygen(&["-l", "-f", theirs]);
    let print = fingerprint.split_whitespace().nth(1).unwrap();
    let shown = stdout(&at(home.path(), &["id", theirs]));
    assert!(shown.contains(print) && shown.trim_end().ends_with("carl"), "{shown}");
}

#[test]
fn what_is_no_key_is_named() {
    let home = tempfile::tempdir().unwrap();
    let none = at(home.path(), &["id"]);
    assert!(!none.status.success());
    assert!(stderr(&none).contains("hightower keygen"), "{}", stderr(&none));

    let file = home.path().join("rsa.pub");
    fs::write(&file, "ssh-rsa AAAAB3NzaC1yc2EAAAADAQABAAAAQQ x\n").unwrap();
    let refused = at(home.path(), &["id", file.to_str().unwrap()]);
    assert!(!refused.status.success());
    assert!(stderr(&refused).contains("rsa.pub"), "{}", stderr(&refused));

    // Nobody is there to be asked, and a key without a passphrase is not made by accident.
    let asked = at(home.path(), &["keygen"]);
    assert!(!asked.status.success());
    assert!(stderr(&asked).contains("--no-passphrase"), "{}", stderr(&asked));
    assert!(!home.path().join("operator_key").exists());
    let folder = home.path().join("shut");
    fs::create_dir(&folder).unwrap();
    fs::set_permissions(&folder, Permissions::from_mode(0o500)).unwrap();
    let nowhere = folder.join("no/such/folder/key");
    let lost = at(home.path(), &["keygen", "--no-passphrase", "--file", nowhere.to_str().unwrap()]);
    assert!(!lost.status.success());
    assert!(stderr(&lost).contains("no/such/folder/key"), "{}", stderr(&lost));
}
