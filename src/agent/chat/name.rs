//! Names in the room, by which nobody passes for another.

use crate::text::printable;
use unicode_normalization::UnicodeNormalization;

/// The longest name that others are shown, in characters; a fingerprint comes on top where two have
/// the same.
const NAME: usize = 64;

/// What stands around "here" behind the name of the person at the machine, and what looks so and is
/// not made one of these by compatibility.
const PARENTHESES: [char; 14] =
    ['(', ')', '❨', '❩', '❪', '❫', '⟮', '⟯', '⦅', '⦆', '⸨', '⸩', '﴾', '﴿'];

/// What an operator is called in the room, where nobody may pass for the person at the machine, nor
/// for somebody without a name, nor for whoever reads it. What is done to a name may make two the
/// same, so they are compared after this.
pub(super) fn shown(name: &str) -> String {
    // Fullwidth letters, and others that are the same but for their looks.
    let name = printable(&name.nfkc().collect::<String>()).replace(PARENTHESES, "");
    // Nor for somebody who comes through a hub.
    let name = name.replace(',', " ");
    let name: String = name.trim().chars().take(NAME).collect();
    let name = name.trim_end();
    if name.starts_with("somebody ") || name == "you" { format!("'{name}'") } else { name.into() }
}

/// What somebody is called who speaks on another's behalf: whose key it was is never left out.
pub(super) fn by(behalf: &str, name: &str) -> String {
    // It is no name of its own that could be made to look like two.
    let behalf = shown(behalf).replace([',', ':'], " ");
    match behalf.trim() {
        "" => name.to_owned(),
        behalf => format!("{behalf}, by {name}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whoever_speaks_for_another_is_called_by_their_own_name_too() {
        assert_eq!(by("anna", "hub"), "anna, by hub");
        assert_eq!(by("kim (here): hello, by", "hub"), "kim here  hello  by, by hub");
        assert_eq!(by(" ()\n", "hub"), "hub");
    }

    #[test]
    fn nobody_passes_for_the_person_or_for_somebody_without_a_name() {
        for (name, as_shown) in [
            ("anna@desk", "anna@desk"),
            (" Jürgen\u{202e}\nx ", "Jürgen\u{fffd} x"),
            ("kim (here)", "kim here"),
            ("kim （here）", "kim here"),
            ("kim ❨here❩", "kim here"),
            ("anna()", "anna"),
            ("anna ()", "anna"),
            ("ａｎｎａ", "anna"),
            ("()", ""),
            ("anna, by hub", "anna  by hub"),
            ("you", "'you'"),
            ("somebody on this machine", "'somebody on this machine'"),
            ("(somebody) at 10.0.0.9", "'somebody at 10.0.0.9'"),
        ] {
            assert_eq!(shown(name), as_shown, "{name}");
        }
        let long = "x".repeat(63);
        assert_eq!(shown(&format!("{long} y")), long);
        assert_eq!(shown(&"x".repeat(128)).chars().count(), NAME);
    }
}
