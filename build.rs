//! Migrations are embedded at compile time, so the build depends on them.
fn main() {
    println!("cargo:rerun-if-changed=migrations");
}
