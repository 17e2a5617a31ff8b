//! What a file that comes from elsewhere may be called.
//!
//! A name that would lead out of the folder is refused: nobody sends one by mistake. One that some
//! system can't have, or that deceives, is changed.

use crate::text::{printable, printable_whole};
use std::path::{Path, PathBuf};
use unicode_normalization::UnicodeNormalization;

/// The longest name, in bytes; systems have 255, and a number may be added.
pub const MAX_NAME: usize = 200;

/// The longest path in a folder, in bytes.
const MAX_PATH: usize = 2048;

/// How deep folders may be.
pub(super) const MAX_DEPTH: usize = 64;

/// Names that begin so are ours, capitals or not.
const OURS: &str = ".hightower";

/// Names that are devices on Windows, with whatever ending.
const DEVICES: [&str; 6] = ["con", "prn", "aux", "nul", "conin$", "conout$"];

/// Why a name is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NameError {
    /// It leads elsewhere.
    #[error("the name '{0}' leads out of the folder")]
    Leaves(String),
    /// There is none.
    #[error("there is no name")]
    Empty,
    /// Too long, or too deep.
    #[error("the path '{0}' is too long, or too deep")]
    Long(String),
}

/// The name that a file gets which is called so elsewhere: always one component, never one of a
/// folder above, a device, or one that is ours.
///
/// # Errors
/// When it would lead out of the folder, or nothing is left.
pub fn clean(name: &str) -> Result<String, NameError> {
    let leaves = || NameError::Leaves(printable(name));
    if name.contains(['/', '\\']) || matches!(name, "." | "..") {
        return Err(leaves());
    }
    // What looks alike is one name, and what is long is not looked at to its end.
    let name: String = name.nfc().take(4 * MAX_NAME).collect();
    let shown = printable_whole(&name);
    let mut clean: String = name.chars().zip(shown.chars()).map(harmless).collect();
    clean = shorten(clean.trim_matches(is_blank).trim_end_matches(is_end));
    if clean.is_empty() {
        return Err(if name.is_empty() { NameError::Empty } else { leaves() });
    }
    if is_device(&clean) || is_ours(&clean) {
        clean.insert(0, '_');
    }
    Ok(clean)
}

/// The path that a file gets in a folder; every component is clean.
///
/// # Errors
/// When it would lead out of the folder, or is too long.
pub fn clean_path(path: &str) -> Result<PathBuf, NameError> {
    if path.len() > MAX_PATH || path.split('/').count() > MAX_DEPTH {
        return Err(NameError::Long(printable(path)));
    }
    path.split('/').map(clean).collect::<Result<PathBuf, _>>().map_err(|e| match e {
        NameError::Empty => NameError::Leaves(printable(path)),
        other => other,
    })
}

/// The name with a number: `report (2).pdf`; the first is the name itself.
#[must_use]
pub fn numbered(name: &str, number: usize) -> String {
    if number < 2 {
        return name.to_owned();
    }
    let (stem, end) = split(name);
    format!("{stem} ({number}){end}")
}

/// A name and its ending, with the dot; of `a.tar.gz` that is both.
fn split(name: &str) -> (&str, &str) {
    let end = |text: &str| match text.rfind('.') {
        Some(at) if at > 0 && text.len() - at <= 16 => at,
        _ => text.len(),
    };
    let at = end(name);
    let (stem, _) = name.split_at(at);
    let at = if stem.ends_with(".tar") && stem.len() > 4 { at - 4 } else { at };
    name.split_at(at)
}

/// A character of a name, of which this is shown.
fn harmless((c, shown): (char, char)) -> char {
    match c {
        '<' | '>' | ':' | '"' | '|' | '?' | '*' | '/' | '\\' => '_',
        // What turns or hides what follows, too.
        c if shown != c => '_',
        c => c,
    }
}

fn is_blank(c: char) -> bool {
    c.is_whitespace()
}

/// What some systems take off a name's end.
fn is_end(c: char) -> bool {
    c == '.' || is_blank(c)
}

/// Cuts a name to the longest, and keeps its ending.
fn shorten(name: &str) -> String {
    if name.len() <= MAX_NAME {
        return name.to_owned();
    }
    let (stem, end) = split(name);
    let end = &end[..end.floor_char_boundary(32)];
    let stem = &stem[..stem.floor_char_boundary(MAX_NAME - end.len())];
    format!("{stem}{end}").trim_end_matches(is_end).to_owned()
}

fn is_device(name: &str) -> bool {
    let stem = name.split('.').next().unwrap_or_default().trim_end().to_lowercase();
    let port = |kind: &str| {
        let number = stem.strip_prefix(kind).unwrap_or_default();
        let mut digits = number.chars();
        matches!(digits.next(), Some('0'..='9' | '¹' | '²' | '³')) && digits.next().is_none()
    };
    DEVICES.contains(&&stem[..]) || port("com") || port("lpt")
}

fn is_ours(name: &str) -> bool {
    name.to_lowercase().starts_with(OURS)
}

/// Whether a path is only names, and so is below whatever it is joined to.
pub(super) fn is_below(path: &Path) -> bool {
    use std::path::Component;
    let mut components = path.components();
    components.by_ref().all(|component| matches!(component, Component::Normal(_)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn good_names_stay_as_they_are() {
        for name in
            ["report.pdf", "a", ".profile", "Zürich – 東京 (3).tar.gz", "a..b", "com10", "-x"]
        {
            assert_eq!(clean(name).as_deref(), Ok(name));
        }
        assert_eq!(clean_path("2026/März/a.raw"), Ok(PathBuf::from("2026/März/a.raw")));
    }

    #[test]
    fn what_leads_elsewhere_is_refused() {
        for name in ["..", ".", "/etc/passwd", "a/b", "..\\x", "C:\\x", "...", ". .", " ", "\u{a0}"]
        {
            assert!(matches!(clean(name), Err(NameError::Leaves(_))), "{name}");
        }
        assert_eq!(clean(""), Err(NameError::Empty));
        for path in ["../x", "a/../../x", "/a", "a//b", "a/.", "", "a/\\..\\b"] {
            assert!(matches!(clean_path(path), Err(NameError::Leaves(_))), "{path}");
        }
        assert!(matches!(clean_path(&"a/".repeat(65)), Err(NameError::Long(_))));
        assert!(matches!(clean_path(&"ab/".repeat(3000)), Err(NameError::Long(_))));
    }

    #[test]
    fn what_some_system_can_not_have_is_changed() {
        for (name, is) in [
            ("a:b", "a_b"),
            ("what?.txt", "what_.txt"),
            ("x\u{0}\n.sh", "x__.sh"),
            ("txt.\u{202e}exe", "txt._exe"),
            ("NUL", "_NUL"),
            ("nul.txt", "_nul.txt"),
            ("Com1.a.b", "_Com1.a.b"),
            ("LPT³", "_LPT³"),
            ("aux .c", "_aux .c"),
            ("end. . ", "end"),
            ("  a", "a"),
            (".Hightower-partial", "_.Hightower-partial"),
            ("e\u{301}", "é"),
        ] {
            assert_eq!(clean(name).as_deref(), Ok(is), "{name}");
        }
        let long = "ü".repeat(300) + ".tar.gz";
        let short = clean(&long).expect("a name");
        assert!(short.len() <= MAX_NAME && short.ends_with("ü.tar.gz"), "{short}");
    }

    #[test]
    fn numbers_go_before_the_ending() {
        for (name, is) in [
            ("report.pdf", "report (2).pdf"),
            ("a.tar.gz", "a (2).tar.gz"),
            (".profile", ".profile (2)"),
            (".tar.gz", ".tar (2).gz"),
            ("README", "README (2)"),
            ("Dr. Who is a long name", "Dr. Who is a long name (2)"),
        ] {
            assert_eq!(numbered(name, 2), is);
            assert_eq!(numbered(name, 1), name);
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(2000))]
        #[test]
        fn whatever_it_is_it_is_one_component_and_clean_already(name in ".{0,40}|[./\\\\a-c:* \u{0}]{0,12}") {
            if let Ok(clean_name) = clean(&name) {
                prop_assert!(is_below(Path::new(&clean_name)));
                prop_assert_eq!(Path::new(&clean_name).components().count(), 1);
                prop_assert!(clean_name.len() <= MAX_NAME + 1 && !is_ours(&clean_name));
                prop_assert_eq!(clean(&clean_name), Ok(clean_name.clone()));
                prop_assert!(clean(&numbered(&clean_name, 99)).is_ok());
            }
        }
    }
}
