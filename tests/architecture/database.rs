//! What the database level may not do: decide by a state, reach a seller's rows without the seller, write a state's number
//! by hand, or let a missing number become zero.
use super::assert_none;
use super::source::{File, Token, is_string, repository, tokens, tokens_and_strings, without_tests};

/// Types whose variants only `domain` may decide on, each with the one other file that may name them: it maps them to
/// columns.
const DECIDED_IN_DOMAIN: [(&str, &str); 3] =
    [("PushState", "src/db/pushes/codes.rs"), ("PushKind", "src/db/pushes/codes.rs"), ("Frequency", "src/db/settings.rs")];

/// The tables whose rows belong to a seller and are reached through `src/db/scope.rs`.
const SELLERS_TABLES: [&str; 28] = [
    "usage_days",
    "bundle_components",
    "email_addresses",
    "email_links",
    "email_mails",
    "email_news",
    "pauses",
    "frozen_windows",
    "drift_checks",
    "drifts",
    "webhooks",
    "webhook_messages",
    "pushes",
    "push_packs",
    "listings",
    "stores",
    "rules",
    "skus",
    "stock_levels",
    "stock_events",
    "warehouses",
    "sync_settings",
    "sync_runs",
    "audit",
    "api_keys",
    "store_circuits",
    "removed_stores",
    "grants",
];
/// The files that may name those tables, each with its reason.
const ACROSS_SELLERS: [(&str, &str); 13] = [
    ("src/db/scope.rs", "adds the seller to each query"),
    ("src/db/schema.rs", "defines the tables"),
    ("src/db/fleet.rs", "finds the sellers with work, deletes rows past their retention, seals all credentials again under a new key"),
    ("src/db/sellers.rs", "finds the owner of a key"),
    ("src/db/removal.rs", "finds the sellers and stores whose rows are still to be deleted"),
    ("src/db/behind.rs", "finds the stores that are behind, of all sellers, for the operator"),
    ("src/db/drift/due.rs", "finds the checks that are due, and ends those that make no progress"),
    ("src/db/email/due.rs", "finds the mails to make and to send, and counts those to one address"),
    ("src/db/webhooks/due.rs", "finds the messages to send, and the sealed secrets"),
    ("src/db/platform_pauses.rs", "pauses and resumes the stores of a platform, of all sellers, for the operator"),
    ("src/db/overview.rs", "counts over all sellers for the operator"),
    ("src/db/usage.rs", "reads what all sellers have used, for the operator"),
    ("src/db/usage/counting.rs", "counts what all sellers have used"),
];

/// The file with the SQL conditions on states and kinds.
const CONDITIONS: &str = "src/db/pushes/conditions.rs";

/// Folders and files in which a missing quantity must be treated as an error.
const NO_DEFAULT_QUANTITY: [&str; 4] = ["src/actors/", "src/service/", "src/db/", "src/domain/push"];
const QUANTITIES: [&str; 3] = ["quantity", "base", "expected"];

fn in_database(files: &[File]) -> impl Iterator<Item = &File> {
    files.iter().filter(|file| file.path.starts_with("src/db/") && file.is_rust() && !file.is_test())
}

fn is_variant(name: &str) -> bool {
    matches!(name, "{" | "*") || (name.starts_with(char::is_uppercase) && name.contains(char::is_lowercase))
}

fn decisions(files: &[File]) -> Vec<String> {
    let mut found = Vec::new();
    for file in in_database(files) {
        let tokens = without_tests(&tokens(&file.text));
        for words in tokens.windows(3) {
            let [of, colons, variant] = words else { continue };
            let decided = DECIDED_IN_DOMAIN.iter().find(|(name, mapping)| *name == of.text && *mapping != file.path);
            if let Some((name, mapping)) = decided.filter(|_| colons.text == "::" && is_variant(variant.text)) {
                found.push(format!(
                    "{}:{}: `{name}::{}`: let a function of src/domain decide; only {mapping} maps it",
                    file.path, of.line, variant.text
                ));
            }
        }
    }
    found
}

fn is_across_sellers(file: &File) -> bool {
    ACROSS_SELLERS.iter().any(|(path, _)| *path == file.path)
}

/// Whether `x` in `insert_into(a::b::x::table)`.
fn is_inserted_into(tokens: &[Token<'_>], table: usize) -> bool {
    let text = |at: Option<usize>| at.and_then(|at| tokens.get(at)).map_or("", |token| token.text);
    let mut first = table;
    while text(first.checked_sub(1)) == "::" && first >= 2 {
        first -= 2;
    }
    text(first.checked_sub(1)) == "(" && matches!(text(first.checked_sub(2)), "insert_into" | "insert_or_ignore_into")
}

fn unscoped_tables(files: &[File]) -> Vec<String> {
    let mut found = Vec::new();
    for file in in_database(files).filter(|file| !is_across_sellers(file)) {
        let tokens = without_tests(&tokens(&file.text));
        let text = |at: usize| tokens.get(at).map_or("", |token| token.text);
        let named = tokens.iter().enumerate().filter(|(_, token)| SELLERS_TABLES.contains(&token.text));
        for (at, token) in named {
            let is_table = text(at + 1) == "::" && matches!(text(at + 2), "table" | "dsl" | "*") && !is_inserted_into(&tokens, at);
            // `use schema::x as y`, `alias!(x as y)` and `use schema::x::{table as y}` would hide the table's name.
            let is_list = at > 1 && text(at - 2) == "schema" && text(at + 1) == "::" && text(at + 2) == "{";
            if is_table || is_list || text(at + 1) == "as" {
                found.push(format!(
                    "{}:{}: `{}`: start from a method of src/db/scope.rs, which adds the seller",
                    file.path, token.line, token.text
                ));
            }
        }
    }
    found
}

/// The string literals of a file, with their lines.
fn strings(file: &File) -> Vec<(usize, String)> {
    let all = tokens_and_strings(&file.text);
    without_tests(&all).into_iter().filter(is_string).map(|token| (token.line, token.text.to_owned())).collect()
}

/// SQL as words in capitals and single signs, without quotation marks.
fn words(sql: &str) -> Vec<String> {
    let is_word = |c: char| c.is_alphanumeric() || c == '_';
    let text = sql.to_uppercase().replace(['"', '\\'], " ");
    let mut found: Vec<String> = Vec::new();
    let mut before = ' ';
    for c in text.chars() {
        match found.last_mut() {
            Some(word) if is_word(before) && is_word(c) => word.push(c),
            _ if c.is_whitespace() => {}
            _ => found.push(c.to_string()),
        }
        before = c;
    }
    found
}

fn unscoped_sql(files: &[File]) -> Vec<String> {
    let mut found = Vec::new();
    for file in in_database(files) {
        for (line, sql) in strings(file) {
            let words = words(&sql);
            let names_table = words.windows(2).any(|pair| {
                matches!(pair, [verb, table] if matches!(verb.as_str(), "FROM" | "JOIN" | "UPDATE" | "INTO")
                    && SELLERS_TABLES.iter().any(|name| table.eq_ignore_ascii_case(name)))
            });
            let is_sql = ["SELECT", "UPDATE", "DELETE", "INSERT"].iter().any(|verb| sql.contains(&format!("{verb} ")));
            if is_sql && names_table && !words.iter().any(|word| word == "SELLER_ID") {
                found.push(format!("{}:{line}: this statement needs a condition on `seller_id`: {sql}", file.path));
            }
        }
    }
    found
}

/// Whether SQL compares a state, a kind or a resolution with a number.
fn has_state_number(sql: &str) -> bool {
    let words = words(sql);
    let is_number = |word: Option<&String>| word.is_some_and(|word| word.starts_with(|c: char| c.is_ascii_digit()));
    let columns = words.iter().enumerate().filter(|(_, word)| matches!(word.as_str(), "STATE" | "KIND" | "RESOLUTION"));
    columns.map(|(at, _)| words.get(at + 1..).unwrap_or_default()).any(|rest| {
        let rest = if rest.first().is_some_and(|word| word == "NOT") { rest.get(1..).unwrap_or_default() } else { rest };
        let signs = rest.iter().take_while(|word| matches!(word.as_str(), "=" | "<" | ">" | "!")).count();
        let is_list = matches!(rest, [word, open, ..] if word == "IN" && open == "(");
        (is_list && is_number(rest.get(2))) || (signs > 0 && is_number(rest.get(signs)))
    })
}

fn state_numbers(files: &[File]) -> Vec<String> {
    let mut found = Vec::new();
    for file in in_database(files).filter(|file| file.path != CONDITIONS) {
        for (line, sql) in strings(file).iter().filter(|(_, text)| has_state_number(text)) {
            found.push(format!("{}:{line}: use a condition of {CONDITIONS}: {sql}", file.path));
        }
    }
    found
}

fn defaulted_quantities(files: &[File]) -> Vec<String> {
    let mut found = Vec::new();
    let concerned =
        |file: &&File| file.is_rust() && !file.is_test() && NO_DEFAULT_QUANTITY.iter().any(|start| file.path.starts_with(start));
    for file in files.iter().filter(concerned) {
        let tokens = without_tests(&tokens(&file.text));
        let text = |at: usize| tokens.get(at).map_or("", |token| token.text);
        for (at, token) in tokens.iter().enumerate().filter(|(at, _)| *at > 1 && text(at - 1) == ".") {
            let is_default = match token.text {
                "unwrap_or" | "map_or" => text(at + 2) == "0" && matches!(text(at + 3), ")" | ","),
                "unwrap_or_default" => true,
                _ => false,
            };
            if is_default && receiver(&tokens, at - 1).iter().any(|name| QUANTITIES.contains(name)) {
                found.push(format!("{}:{}: a number that is missing is an error with its row's id, never 0", file.path, token.line));
            }
        }
    }
    found
}

/// The names in the chain of calls before the `.` at an index, without the arguments.
fn receiver<'a>(tokens: &[Token<'a>], dot: usize) -> Vec<&'a str> {
    let (mut names, mut depth) = (Vec::new(), 0_usize);
    for token in tokens.iter().take(dot).rev() {
        match token.text {
            ")" | "]" => depth += 1,
            "(" | "[" if depth == 0 => break,
            "(" | "[" => depth -= 1,
            _ if depth > 0 => {}
            "." | "::" | "?" | "&" => {}
            "let" | "=" | "return" => break,
            name if name.starts_with(|c: char| c.is_alphanumeric() || c == '_') => names.push(name),
            _ => break,
        }
    }
    names
}

fn at(check: fn(&[File]) -> Vec<String>, path: &str, text: &str) -> usize {
    check(&[File::new(path, text)]).len()
}

#[test]
fn the_database_does_not_decide_by_state_kind_or_frequency() {
    assert_none(&decisions(&repository()));
    for bad in [
        "fn f() { match s { PushState::Held => 1, _ => 2 } }",
        "fn f() { if push.kind == PushKind::Increase {} }",
        "fn f() { matches!(x, crate::domain::settings::Frequency::TimedFull) }",
        "use crate::domain::push::PushState::*;",
    ] {
        assert_eq!(at(decisions, "src/db/runs.rs", bad), 1, "{bad}");
    }
    for good in [
        "fn f(s: PushState) { PushState::ALL; PushState::of_code(1); s.is_waiting() }",
        "#[cfg(test)] mod tests { fn f() { PushState::Held } }",
        "const T: &str = \"PushState::Held\";",
    ] {
        assert_eq!(at(decisions, "src/db/runs.rs", good), 0, "{good}");
    }
    assert_eq!(at(decisions, "src/db/pushes/codes.rs", "fn f() { PushState::Held }"), 0);
    assert_eq!(at(decisions, "src/db/pushes/codes.rs", "fn f() { Frequency::TimedFull }"), 1);
    assert_eq!(at(decisions, "src/db/settings.rs", "fn f() { Frequency::TimedFull }"), 0);
    assert_eq!(at(decisions, "src/domain/push.rs", "fn f() { PushState::Held }"), 0);
}

#[test]
fn every_query_of_a_sellers_table_starts_from_its_scope() {
    assert_none(&unscoped_tables(&repository()));
    for bad in [
        "fn f() { pushes::table.filter(pushes::seller_id.eq(key)) }",
        "fn f() { diesel::update(schema::listings::table) }",
        "fn f() { let other = diesel::alias!(pushes as other); }",
        "use super::schema::stores as shops;",
        "use super::schema::rules::dsl;",
        "use super::schema::skus::{self, table};",
    ] {
        assert_eq!(at(unscoped_tables, "src/db/runs.rs", bad), 1, "{bad}");
    }
    for good in [
        "fn f() { scope.pushes().filter(pushes::state.eq(1)) }",
        "fn f() { diesel::insert_into(super::schema::pushes::table).values(rows) }",
        "fn f() { sessions::table.filter(x) }",
        "use super::schema::{listings, pushes}; use super::pushes::{self, Filter};",
    ] {
        assert_eq!(at(unscoped_tables, "src/db/runs.rs", good), 0, "{good}");
    }
    for (path, _) in ACROSS_SELLERS {
        assert_eq!(at(unscoped_tables, path, "fn f() { pushes::table }"), 0);
    }
}

#[test]
fn every_statement_in_text_names_the_seller() {
    assert_none(&unscoped_sql(&repository()));
    for bad in ["UPDATE pushes SET due_at = 1 WHERE id = $1", "SELECT 1 FROM skus JOIN\n listings ON true", "DELETE FROM rules"] {
        assert_eq!(at(unscoped_sql, "src/db/runs.rs", &format!("const Q: &str = \"{bad}\";")), 1, "{bad}");
    }
    for good in ["UPDATE pushes SET due_at = 1 WHERE seller_id = $2 AND id = $1", "DELETE FROM sessions", "the update from listings"] {
        assert_eq!(at(unscoped_sql, "src/db/runs.rs", &format!("const Q: &str = \"{good}\";")), 0, "{good}");
    }
}

#[test]
fn numbers_of_states_are_written_in_one_file() {
    assert_none(&state_numbers(&repository()));
    for bad in ["state IN (0, 3)", "pushes.state = 1", "state NOT IN (2)", "\\\"kind\\\" = 0 AND kind=1", "a AND state <> 4", "state>=5"] {
        assert_eq!(at(state_numbers, "src/db/runs.rs", &format!("fn f() {{ is(\"{bad}\") }}")), 1, "{bad}");
    }
    for good in ["state = $1", "+state = {}", "estate = 1", "state, 1", "state IN (SELECT 1)", "kindness 1", "in state 1"] {
        assert_eq!(at(state_numbers, "src/db/runs.rs", &format!("fn f() {{ is(\"{good}\") }}")), 0, "{good}");
    }
    assert_eq!(at(state_numbers, CONDITIONS, "fn f() { is(\"state = 1\") }"), 0);
}

#[test]
fn a_missing_quantity_never_becomes_zero() {
    assert_none(&defaulted_quantities(&repository()));
    for bad in [
        "fn f() { push.quantity.unwrap_or(0) }",
        "fn f() { a + push.base.unwrap_or(0).saturating_add(1) }",
        "fn f() { item(x, call.expected().copied().unwrap_or_default()) }",
        "fn f() { push.quantity.map_or(0, |q| q + 1) }",
    ] {
        assert_eq!(at(defaulted_quantities, "src/service/delivery/claim.rs", bad), 1, "{bad}");
    }
    for good in [
        "fn f() { levels.get(&push.quantity).copied().unwrap_or(0) }",
        "fn f() { push.quantity.unwrap_or(1) }",
        "fn f() { push.quantity.ok_or(Corrupt)? }",
        "#[cfg(test)] mod tests { fn f() { push.quantity.unwrap_or(0) } }",
    ] {
        assert_eq!(at(defaulted_quantities, "src/actors/store.rs", good), 0, "{good}");
    }
    assert_eq!(at(defaulted_quantities, "src/http/pushes.rs", "fn f() { push.quantity.unwrap_or(0) }"), 0);
}
