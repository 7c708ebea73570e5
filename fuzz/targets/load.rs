//! The whole load: several files in memory, `.env`, `include`, `extends`; and the drawing of what it says.

#![no_main]

#[path = "../../src/cli/print/diagnostic.rs"]
#[allow(dead_code, reason = "the program uses more of it")]
mod diagnostic;
#[path = "../properties.rs"]
#[allow(dead_code, reason = "each target uses its own")]
mod properties;

libfuzzer_sys::fuzz_target!(|input: &[u8]| {
    let loaded = properties::load(input);
    let look = diagnostic::Look { colour: false, width: Some(100), folder: "/p".into() };
    for mistake in &loaded.diagnostics {
        assert!(!diagnostic::render(mistake, &loaded.sources, &look).is_empty());
    }
});
