//! See `stocktide::http::fuzzing::listings`.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| stocktide::http::fuzzing::listings(bytes));
