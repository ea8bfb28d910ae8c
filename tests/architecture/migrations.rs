//! Migrations: the same for both backends, up and down, and nothing that would stop the previous version.
use super::assert_none;
use super::source::{File, repository};
use std::collections::BTreeSet;

fn pairs(files: &[File]) -> Vec<String> {
    let of = |backend: &str| -> BTreeSet<String> {
        let prefix = format!("migrations/{backend}/");
        files.iter().filter_map(|file| file.path.strip_prefix(&prefix)).map(str::to_owned).collect()
    };
    let (sqlite, postgres) = (of("sqlite"), of("postgres"));
    let mut found = Vec::new();
    if sqlite.is_empty() && postgres.is_empty() {
        found.push("migrations:1: no migrations found".to_owned());
    }
    for (backend, mine, others) in [("sqlite", &sqlite, &postgres), ("postgres", &postgres, &sqlite)] {
        for path in others.difference(mine) {
            found.push(format!("migrations/{backend}/{path}:1: is missing; the other backend has it, see migrations/README.md"));
        }
        for path in mine {
            let twin = match path.rsplit_once('/') {
                Some((name, "up.sql")) => format!("{name}/down.sql"),
                Some((name, "down.sql")) => format!("{name}/up.sql"),
                _ => continue,
            };
            if !mine.contains(&twin) {
                found.push(format!("migrations/{backend}/{twin}:1: is missing; every migration needs both directions"));
            }
        }
    }
    found
}

/// The previous version may be started again, or still be running, on the migrated tables: what it reads and writes stays.
fn breaking(files: &[File]) -> Vec<String> {
    let ups = files.iter().filter(|file| file.path.starts_with("migrations/") && file.path.ends_with("/up.sql"));
    let mut found = Vec::new();
    for file in ups.filter(|file| !file.path.ends_with("_base/up.sql")) {
        let sql: Vec<&str> = file.text.lines().map(|line| line.split("--").next().unwrap_or_default()).collect();
        for statement in sql.join(" ").to_uppercase().split(';') {
            let removes = ["DROP TABLE", "DROP COLUMN", "RENAME ", "ALTER COLUMN"].iter().any(|words| statement.contains(words));
            let demands = statement.contains("ADD COLUMN") && statement.contains("NOT NULL") && !statement.contains("DEFAULT");
            if removes || demands {
                found.push(format!("{}: the previous version could not run after {}", file.path, statement.trim()));
            }
        }
    }
    found
}

#[test]
fn both_backends_have_the_same_migrations_up_and_down() {
    assert_none(&pairs(&repository()));
    let files = |paths: &[&str]| paths.iter().map(|path| File::new(&format!("migrations/{path}"), "")).collect::<Vec<_>>();
    assert_eq!(pairs(&files(&["sqlite/1_a/up.sql", "sqlite/1_a/down.sql"])).len(), 2);
    assert_eq!(pairs(&files(&["sqlite/1_a/up.sql", "postgres/1_a/up.sql"])).len(), 2);
    assert_eq!(pairs(&[]).len(), 1);
}

#[test]
fn migrations_remove_nothing_that_the_previous_version_uses() {
    assert_none(&breaking(&repository()));
    let found = |sql: &str| breaking(&[File::new("migrations/sqlite/2_b/up.sql", sql)]).len();
    assert_eq!(found("ALTER TABLE a DROP COLUMN b;\nALTER TABLE a RENAME TO b;\nALTER TABLE a ADD COLUMN c\n  BIGINT NOT NULL;"), 3);
    assert_eq!(found("ALTER TABLE a ADD COLUMN c BIGINT NOT NULL DEFAULT 0; -- DROP TABLE\nDROP INDEX d;"), 0);
}
