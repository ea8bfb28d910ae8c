//! See `stocktide::http::fuzzing::stock_events`.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| stocktide::http::fuzzing::stock_events(bytes));
