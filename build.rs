//! Embeds the migrations: writes `migrations.rs`, which lists each backend's folders in order with their two files.
use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::{env, fs, io};

fn main() -> io::Result<()> {
    println!("cargo:rerun-if-changed=migrations");
    let variable = |name: &str| env::var_os(name).map(PathBuf::from).ok_or_else(|| io::Error::other(format!("cargo sets {name}")));
    let folder = variable("CARGO_MANIFEST_DIR")?.join("migrations");
    let mut text = String::new();
    for (name, backend) in [("SQLITE", "sqlite"), ("POSTGRES", "postgres")] {
        writeln!(text, "const {name}: &[Embedded] = &[").map_err(io::Error::other)?;
        for migration in sorted(&folder.join(backend))? {
            let version =
                migration.file_name().unwrap_or_default().to_string_lossy().split('_').next().unwrap_or_default().replace('-', "");
            let [up, down] = ["up.sql", "down.sql"].map(|file| migration.join(file));
            writeln!(text, "Embedded {{ version: {version:?}, up: include_str!({up:?}), down: include_str!({down:?}) }},")
                .map_err(io::Error::other)?;
        }
        text.push_str("];\n");
    }
    fs::write(variable("OUT_DIR")?.join("migrations.rs"), text)
}

fn sorted(folder: &Path) -> io::Result<Vec<PathBuf>> {
    let mut paths = fs::read_dir(folder)?.map(|entry| Ok(entry?.path())).collect::<io::Result<Vec<_>>>()?;
    paths.retain(|path| path.is_dir());
    paths.sort();
    Ok(paths)
}
