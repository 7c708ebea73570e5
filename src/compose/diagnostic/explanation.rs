//! A text for each code, with an example that is wrong and the same made right.

use crate::diagnostic::file_codes::FILE_CODES;
use crate::diagnostic::merge_codes::MERGE_CODES;
use crate::diagnostic::rule_codes::RULE_CODES;

/// What a code means.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Explanation {
    /// The number of the code.
    pub code: u16,
    /// Whole sentences.
    pub text: &'static str,
    /// A Compose file with this mistake; a line `#@ NAME` begins another file. Empty where a file cannot show it, or
    /// only its size would.
    pub wrong: &'static str,
    /// The same without it.
    pub right: &'static str,
}

/// Returns every explanation, in the order of the codes.
pub fn all() -> impl Iterator<Item = &'static Explanation> {
    FILE_CODES.iter().chain(MERGE_CODES).chain(RULE_CODES)
}

/// Returns what `code` means, if there is such a code.
pub fn find(code: u16) -> Option<&'static Explanation> {
    all().find(|explanation| explanation.code == code)
}
