//! The executable; see [`stocktide::cli`] for its commands.
fn main() -> std::process::ExitCode {
    stocktide::cli::run()
}
