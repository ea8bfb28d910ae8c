//! The executable; see [`stocktide::cli`] for its commands.

/// Gives memory back after large requests, which the system's allocator keeps scattered over its arenas.
#[cfg(not(target_env = "msvc"))]
#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

fn main() -> std::process::ExitCode {
    stocktide::cli::run()
}
