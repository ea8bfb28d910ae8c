//! Counts the steps of SQLite's virtual machine by database file. A step is one instruction of a prepared statement, so the
//! number grows with the rows that a statement visits, returned or not, and is the same on every machine.
//!
//! A crate of its own, because only SQLite's C interface can do this: the service itself forbids `unsafe`.
use libsqlite3_sys as ffi;
use std::collections::HashMap;
use std::ffi::{CStr, c_char, c_int, c_void};
use std::ptr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, Once, PoisonError};

/// SQLite reports after this many steps of a connection; up to as many of the last statement may be missing.
const EVERY: c_int = 10;

/// The counter of each database file. They are never freed: connections hold them for as long as they live.
static COUNTERS: Mutex<Option<HashMap<String, &'static AtomicU64>>> = Mutex::new(None);

fn counter(file: &str) -> &'static AtomicU64 {
    let mut counters = COUNTERS.lock().unwrap_or_else(PoisonError::into_inner);
    counters.get_or_insert_default().entry(file.to_owned()).or_insert_with(|| Box::leak(Box::default()))
}

/// Counts for every connection that this process opens from now on.
pub fn start() {
    static STARTED: Once = Once::new();
    // SAFETY: `on_open` has the signature that SQLite expects and lives as long as the process.
    STARTED.call_once(|| unsafe {
        ffi::sqlite3_auto_extension(Some(on_open));
    });
}

/// The steps taken so far by all connections to this file.
pub fn taken(file: &str) -> u64 {
    counter(file).load(Ordering::Relaxed)
}

unsafe extern "C" fn on_open(db: *mut ffi::sqlite3, _: *mut *mut c_char, _: *const ffi::sqlite3_api_routines) -> c_int {
    // SAFETY: SQLite calls this with a connection that it has just opened; `main` is its first database.
    unsafe {
        let name = ffi::sqlite3_db_filename(db, c"main".as_ptr());
        let file = if name.is_null() { "".into() } else { CStr::from_ptr(name).to_string_lossy() };
        let counter: *const AtomicU64 = counter(&file);
        ffi::sqlite3_progress_handler(db, EVERY, Some(count), counter.cast_mut().cast());
    }
    ffi::SQLITE_OK
}

unsafe extern "C" fn count(counter: *mut c_void) -> c_int {
    if !ptr::eq(counter, ptr::null()) {
        // SAFETY: it is one of the counters, which are never freed.
        unsafe { (*counter.cast::<AtomicU64>()).fetch_add(u64::from(EVERY.unsigned_abs()), Ordering::Relaxed) };
    }
    0
}
