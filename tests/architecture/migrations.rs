//! Migrations: the same for both backends, up and down, and compatible with the previous version; and `src/db/schema.rs`
//! with its folder describes the tables that they create.
use super::assert_none;
use super::source::{File, repository, text_of};
use std::collections::{BTreeMap, BTreeSet};

const SCHEMA: &str = "src/db/schema.rs";
/// Further tables.
const SCHEMA_FOLDER: &str = "src/db/schema/";

/// By table and column: the column's type in diesel's words.
type Columns = BTreeMap<(String, String), String>;

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
        let all = without_comments(&file.text).to_uppercase();
        for statement in all.split(';').filter(|statement| !is_of_a_table_made_anew(statement.trim(), &all)) {
            let removes = ["DROP TABLE", "DROP COLUMN", "RENAME ", "ALTER COLUMN"].iter().any(|words| statement.contains(words));
            let demands = statement.contains("ADD COLUMN") && statement.contains("NOT NULL") && !statement.contains("DEFAULT");
            if removes || demands {
                found.push(format!("{}: the previous version could not run after {}", file.path, statement.trim()));
            }
        }
    }
    found
}

/// Whether a statement is part of making a table anew, as SQLite demands for some changes: a table that was made in its place gets its
/// name. What becomes of its columns is for [`schema_differences`].
fn is_of_a_table_made_anew(statement: &str, all: &str) -> bool {
    let (dropped, renamed) = (statement.strip_prefix("DROP TABLE "), statement.strip_prefix("ALTER TABLE "));
    let is_replaced = |table: &str| all.contains(&format!("RENAME TO {table};")) || all.contains(&format!("CREATE TEMP TABLE {table} "));
    let replaces = |(from, to): (&str, &str)| all.contains(&format!("CREATE TABLE {from} (")) && all.contains(&format!("DROP TABLE {to};"));
    dropped.is_some_and(is_replaced) || renamed.and_then(|rest| rest.split_once(" RENAME TO ")).is_some_and(replaces)
}

fn without_comments(sql: &str) -> String {
    sql.lines().map(|line| line.split("--").next().unwrap_or_default()).collect::<Vec<_>>().join(" ")
}

/// A column's definition in SQL, as name and diesel's type; none for a constraint of the table.
fn column(definition: &str) -> Option<(String, String)> {
    let mut words = definition.split_whitespace();
    let (name, sql_type) = (words.next()?, words.next()?);
    let plain = match sql_type {
        "BLOB" | "BYTEA" => "Binary",
        "TEXT" => "Text",
        "BIGINT" => "BigInt",
        "INTEGER" => "Integer",
        "SMALLINT" => "SmallInt",
        "BOOLEAN" => "Bool",
        _ => return None,
    };
    let required = definition.contains("NOT NULL");
    Some((name.to_owned(), if required { plain.to_owned() } else { format!("Nullable<{plain}>") }))
}

/// The parts of a list, without those inside brackets of their own.
fn parts(list: &str) -> Vec<String> {
    let (mut parts, mut depth) = (vec![String::new()], 0_usize);
    for c in list.chars() {
        match c {
            '(' => depth += 1,
            ')' => depth = depth.saturating_sub(1),
            ',' if depth == 0 => {
                parts.push(String::new());
                continue;
            }
            _ => {}
        }
        parts.last_mut().unwrap().push(c);
    }
    parts
}

/// The columns that a backend's migrations create.
fn migrated(files: &[File], backend: &str) -> Columns {
    let prefix = format!("migrations/{backend}/");
    let ups = files.iter().filter(|file| file.path.starts_with(&prefix) && file.path.ends_with("/up.sql"));
    let mut columns = Columns::new();
    for sql in ups.map(|file| without_comments(&file.text)) {
        for statement in sql.split(';').map(str::trim) {
            let mut add = |table: &str, definition: &str| {
                columns.extend(column(definition).map(|(name, diesel)| ((table.trim().to_owned(), name), diesel)));
            };
            let altered = statement.strip_prefix("ALTER TABLE ");
            if let Some((table, list)) = statement.strip_prefix("CREATE TABLE ").and_then(|rest| rest.split_once('(')) {
                parts(list.trim_end_matches(')')).iter().for_each(|definition| add(table, definition));
            } else if let Some((table, definition)) = altered.and_then(|rest| rest.split_once(" ADD COLUMN ")) {
                add(table, definition);
            } else if let Some(table) = statement.strip_prefix("DROP TABLE ") {
                columns.retain(|(of, _), _| of != table);
            } else if let Some((from, to)) = altered.and_then(|rest| rest.split_once(" RENAME TO ")) {
                let moved = columns.extract_if(.., |(of, _), _| of == from).collect::<Vec<_>>();
                columns.extend(moved.into_iter().map(|((_, name), diesel)| ((to.to_owned(), name), diesel)));
            }
        }
    }
    columns
}

/// The columns that the `table!` macros declare.
fn declared(schema: &str) -> Columns {
    let mut columns = Columns::new();
    let mut table = "";
    for line in schema.lines() {
        match (line.split_once(" -> "), line.strip_suffix(" {").and_then(|start| start.split_once(" ("))) {
            (Some((name, diesel)), _) => {
                columns.insert((table.to_owned(), name.trim().to_owned()), diesel.trim_end_matches(',').to_owned());
            }
            (None, Some((name, _))) => table = name.trim(),
            (None, None) => {}
        }
    }
    columns
}

/// A column may be missing from the schema only if inserts do not need it, so that it can be dropped later.
fn schema_differences(files: &[File]) -> Vec<String> {
    let mut declared = declared(&text_of(files, SCHEMA));
    let further = files.iter().filter(|file| file.path.starts_with(SCHEMA_FOLDER));
    declared.extend(further.flat_map(|file| self::declared(&file.text)));
    let mut found = Vec::new();
    for backend in ["sqlite", "postgres"] {
        let migrated = migrated(files, backend);
        for ((table, name), diesel) in &declared {
            match migrated.get(&(table.clone(), name.clone())) {
                Some(made) if made == diesel => {}
                Some(made) => found.push(format!("{SCHEMA}:1: {table}.{name} is {diesel}, but migrations/{backend} create it as {made}")),
                None => found.push(format!("{SCHEMA}:1: {table}.{name} is not created by migrations/{backend}")),
            }
        }
        for ((table, name), diesel) in &migrated {
            if !diesel.starts_with("Nullable") && !declared.contains_key(&(table.clone(), name.clone())) {
                found.push(format!("{SCHEMA}:1: {table}.{name} is missing; migrations/{backend} create it as {diesel}"));
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
fn migrations_add_and_take_nothing_away_from_the_version_before() {
    assert_none(&breaking(&repository()));
    let found = |sql: &str| breaking(&[File::new("migrations/sqlite/2_b/up.sql", sql)]).len();
    assert_eq!(found("ALTER TABLE a DROP COLUMN b;\nALTER TABLE a RENAME TO b;\nALTER TABLE a ADD COLUMN c\n  BIGINT NOT NULL;"), 3);
    assert_eq!(found("ALTER TABLE a ADD COLUMN c BIGINT NOT NULL DEFAULT 0; -- DROP TABLE\nDROP INDEX d;"), 0);
    let anew = "CREATE TABLE b (\n  c BIGINT\n);\nDROP TABLE a;\nALTER TABLE b RENAME TO a;";
    assert_eq!((found(anew), found(&anew.replace("TO a", "TO d")), found("DROP TABLE a;")), (0, 2, 1));
}

#[test]
fn the_schema_describes_the_tables_that_the_migrations_make() {
    assert_none(&schema_differences(&repository()));
    let schema = "diesel::table! {\n    a (seller_id, id) {\n        seller_id -> Binary,\n        id -> BigInt,\n        note -> Nullable<Text>,\n    }\n}\n";
    let found = |sql: &str, schema: &str| {
        schema_differences(&[
            File::new(SCHEMA, schema),
            File::new("migrations/sqlite/1_a/up.sql", sql),
            File::new("migrations/postgres/1_a/up.sql", &sql.replace("BLOB", "BYTEA")),
        ])
        .len()
    };
    let sql = "-- A; B.\nCREATE TABLE a (\n    seller_id BLOB NOT NULL REFERENCES s (id),\n    id BIGINT NOT NULL,\n    PRIMARY KEY (seller_id, id)\n);\nALTER TABLE a ADD COLUMN note TEXT;";
    assert_eq!(found(sql, schema), 0);
    assert_eq!(found(&format!("{sql}ALTER TABLE a ADD COLUMN unread TEXT;"), schema), 0);
    assert_eq!(found(&format!("{sql}ALTER TABLE a ADD COLUMN b BOOLEAN NOT NULL DEFAULT FALSE;"), schema), 2, "missing in both");
    assert_eq!(found(sql, &schema.replace("Nullable<Text>", "Text")), 2, "not optional in the schema");
    assert_eq!(found(&sql.replace("note TEXT", "remark TEXT"), schema), 2, "another name");
    assert_eq!(found("", schema), 6);
}
