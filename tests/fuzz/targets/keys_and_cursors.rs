//! See `stocktide::http::fuzzing::keys_and_cursors`.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| stocktide::http::fuzzing::keys_and_cursors(bytes));
