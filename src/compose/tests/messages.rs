//! Every message that the crate can produce, as it reads: the wrong example of each code is loaded, and what is said is
//! held against `messages.txt`. `UPDATE_EXPECT=1` rewrites it.

#![expect(clippy::unwrap_used, reason = "a test stops at what it did not expect")]

use std::fmt::Write;

use compose::LoadRequest;
use compose::diagnostic::explanation;
use expect_test::expect_file;

use crate::describe::describe;

#[path = "support/describe.rs"]
mod describe;
#[path = "../../../fuzz/properties.rs"]
#[expect(dead_code, reason = "only the form of its inputs is used")]
mod properties;

#[test]
fn the_message_of_every_code_reads_as_written_down() {
    let request = LoadRequest { working_directory: "/p".into(), ..LoadRequest::default() };
    let mut text = String::new();
    let mut without = Vec::new();
    for explanation in explanation::all() {
        if explanation.wrong.is_empty() {
            without.push(format!("{:04}", explanation.code));
            continue;
        }
        let loaded = compose::load(&request, &properties::files(explanation.wrong));
        writeln!(text, "{}\n{}", explanation.wrong.trim_end(), describe(&loaded)).unwrap();
    }
    writeln!(text, "codes that no small file shows: {}", without.join(" ")).unwrap();
    expect_file!["messages.txt"].assert_eq(&text);
}
