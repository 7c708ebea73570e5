//! The grammar of `.env` files, in both formats.

#![no_main]

#[path = "../properties.rs"]
#[allow(dead_code, reason = "each target uses its own")]
mod properties;

libfuzzer_sys::fuzz_target!(|input: &[u8]| properties::dotenv(input));
