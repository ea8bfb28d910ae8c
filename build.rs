//! Embeds the migrations: writes `migrations.rs`, which lists each backend's folders in order with their two files. It names them
//! relative to the manifest, so that what was built still holds after the checkout has moved.
use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::{env, fs, io};

fn main() -> io::Result<()> {
    println!("cargo:rerun-if-changed=migrations");
    let variable = |name: &str| env::var_os(name).map(PathBuf::from).ok_or_else(|| io::Error::other(format!("cargo sets {name}")));
    let manifest = variable("CARGO_MANIFEST_DIR")?;
    let folder = manifest.join("migrations");
    let mut text = String::new();
    for (name, backend) in [("SQLITE", "sqlite"), ("POSTGRES", "postgres")] {
        writeln!(text, "const {name}: &[Embedded] = &[").map_err(io::Error::other)?;
        for migration in sorted(&folder.join(backend))? {
            let version =
                migration.file_name().unwrap_or_default().to_string_lossy().split('_').next().unwrap_or_default().replace('-', "");
            let path = migration.strip_prefix(&manifest).map_err(io::Error::other)?;
            let [up, down] = ["up.sql", "down.sql"].map(|file| {
                let file = Path::new("/").join(path).join(file);
                format!("include_str!(concat!(env!(\"CARGO_MANIFEST_DIR\"), {file:?}))")
            });
            writeln!(text, "Embedded {{ version: {version:?}, up: {up}, down: {down} }},").map_err(io::Error::other)?;
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
