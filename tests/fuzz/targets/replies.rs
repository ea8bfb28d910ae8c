//! See `stocktide::http::fuzzing::replies`.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| stocktide::http::fuzzing::replies(bytes));
