//! See `stocktide::http::fuzzing::rules`.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| stocktide::http::fuzzing::rules(bytes));
