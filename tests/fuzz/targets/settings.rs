//! See `stocktide::http::fuzzing::settings`.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| stocktide::http::fuzzing::settings(bytes));
