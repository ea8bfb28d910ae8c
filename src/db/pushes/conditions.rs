//! Every condition on a push's state or kind that is written into a statement, each named once.
//!
//! A partial index is used only by a statement that repeats its condition literally, so these are literals; the tests
//! compare them with the domain's predicates and with the indexes of the migrations.
use crate::db::literal::{Literal, is};
use crate::domain::push::PushKind;
use diesel::sql_types::Bool;

macro_rules! conditions {
    ($($(#[$doc:meta])* $name:ident = $text:literal,)+) => {
        $($(#[$doc])* pub(in crate::db) fn $name() -> Literal<Bool> { is($text) })+

        #[cfg(test)]
        const CONDITIONS: &[(&str, &str)] = &[$((stringify!($name), $text)),+];
    };
}

conditions! {
    /// By the partial index `pushes_active`.
    is_active = "pushes.state IN (0, 1, 3, 4, 6)",
    /// By the partial index `pushes_in_flight`.
    is_in_flight = "pushes.state IN (1, 4)",
    /// By the partial index `pushes_held`.
    is_held = "pushes.state = 6",
    /// By the partial index `pushes_age`.
    has_ended = "pushes.state IN (2, 5, 7, 8)",
    /// By the partial index `pushes_age`, whose condition it repeats.
    is_confirmed = "pushes.state IN (2, 5, 7, 8) AND pushes.state = 2",
    is_rejected = "pushes.state = 5",
    is_sending = "pushes.state = 1",
    is_uncertain = "pushes.state = 4",
    is_claimable = "pushes.state IN (0, 3)",
    is_waiting = "pushes.state IN (0, 3, 6)",
    /// No push of the same listing is in flight; repeats the condition of the partial index `pushes_active`.
    nothing_is_in_flight = "NOT EXISTS (SELECT 1 FROM pushes AS other WHERE other.seller_id = pushes.seller_id \
        AND other.listing_id = pushes.listing_id AND other.state IN (0, 1, 3, 4, 6) AND other.state IN (1, 4))",
    /// By the partial index `pushes_rejected`.
    is_rejected_increase = "pushes.state = 5 AND pushes.kind = 0",
    is_increase = "pushes.kind = 0",
    is_overwrite = "pushes.kind = 1",
    /// Of packs; by the partial index `push_packs_active`, as the next three, which repeat its condition.
    pack_is_active = "push_packs.state IN (0, 1, 6)",
    pack_is_queued = "push_packs.state IN (0, 1, 6) AND push_packs.state = 0",
    pack_is_sending = "push_packs.state IN (0, 1, 6) AND push_packs.state = 1",
    pack_is_held = "push_packs.state IN (0, 1, 6) AND push_packs.state = 6",
    /// By the partial index `push_packs_age`.
    pack_has_ended = "push_packs.state IN (2, 5, 7, 8)",
    /// By the partial index `push_packs_age`, whose condition it repeats.
    pack_is_confirmed = "push_packs.state IN (2, 5, 7, 8) AND push_packs.state = 2",
}

/// Pushes of this kind.
pub(in crate::db) fn is_of_kind(kind: PushKind) -> Literal<Bool> {
    if kind.is_overwrite() { is_overwrite() } else { is_increase() }
}

#[cfg(test)]
mod tests {
    use super::super::codes::{codes_of, kind_code};
    use super::CONDITIONS;
    use crate::domain::push::{PushKind, PushState};
    use std::collections::BTreeSet;

    /// What a condition selects, where it is a conjunction of comparisons of `state` or `kind` with numbers.
    fn selects(text: &str) -> BTreeSet<(i16, i16)> {
        let holds = |state: i16, kind: i16| {
            let of_other = text.split_once("other.listing_id = pushes.listing_id AND ").map_or(text, |(_, rest)| rest);
            of_other.split(" AND ").all(|part| {
                let (column, rest) = part.split_once(' ').unwrap();
                let value = if column.ends_with("state") { state } else { kind };
                let numbers: Vec<i16> = rest.split(|c: char| !c.is_ascii_digit()).filter_map(|n| n.parse().ok()).collect();
                numbers.contains(&value) != rest.starts_with("<>")
            })
        };
        let all = (0..12).flat_map(|state| [0, 1].map(|kind| (state, kind)));
        all.filter(|(state, kind)| holds(*state, *kind)).filter(|(state, _)| *state < 9).collect()
    }

    fn expected(is: impl Fn(PushState, PushKind) -> bool) -> BTreeSet<(i16, i16)> {
        let kinds = [PushKind::Increase, PushKind::Overwrite];
        let of = |kind| codes_of(|state| is(state, kind)).into_iter().map(move |code| (code, kind_code(kind)));
        kinds.into_iter().flat_map(of).collect()
    }

    #[test]
    fn every_condition_selects_what_the_domains_predicate_does() {
        for (name, text) in CONDITIONS {
            let wanted = match *name {
                "is_active" => expected(|state, _| state.is_active()),
                "is_in_flight" | "nothing_is_in_flight" => expected(|state, _| state.is_in_flight()),
                "is_held" | "pack_is_held" => expected(|state, _| state == PushState::Held),
                "has_ended" | "pack_has_ended" => expected(|state, _| state.has_ended()),
                "is_confirmed" | "pack_is_confirmed" => expected(|state, _| state == PushState::Confirmed),
                // A pack is never retried and never uncertain.
                "pack_is_active" => expected(|state, _| matches!(state, PushState::Queued | PushState::Sending | PushState::Held)),
                "pack_is_queued" => expected(|state, _| state == PushState::Queued),
                "is_rejected" => expected(|state, _| state == PushState::Rejected),
                "is_sending" | "pack_is_sending" => expected(|state, _| state == PushState::Sending),
                "is_uncertain" => expected(|state, _| state == PushState::Uncertain),
                "is_claimable" => expected(|state, _| state.is_claimable()),
                "is_waiting" => expected(|state, _| state.is_waiting()),
                "is_rejected_increase" => expected(|state, kind| state == PushState::Rejected && kind == PushKind::Increase),
                "is_increase" => expected(|_, kind| kind == PushKind::Increase),
                "is_overwrite" => expected(|_, kind| kind == PushKind::Overwrite),
                other => panic!("{other} is tied to no predicate"),
            };
            assert_eq!(selects(text), wanted, "{name}: {text}");
        }
    }

    /// The latest definition, in the migrations, of each index with a condition on `state`.
    fn indices(migrations: &[&str]) -> Vec<(String, String)> {
        let mut found = std::collections::BTreeMap::new();
        let statements = migrations.iter().flat_map(|text| text.split(';'));
        for line in statements.flat_map(str::lines).filter(|line| line.starts_with("CREATE INDEX")) {
            let name = line.split(' ').nth(2).unwrap().to_owned();
            let condition = line.split_once(" WHERE ").map_or("", |(_, condition)| condition);
            found.insert(name, condition.trim_end_matches(';').to_owned());
        }
        found.into_iter().filter(|(_, condition)| condition.starts_with("state")).collect()
    }

    macro_rules! migrations {
        ($backend:literal) => {
            [
                include_str!(concat!("../../../migrations/", $backend, "/2026-11-24-000000_base/up.sql")),
                include_str!(concat!("../../../migrations/", $backend, "/2026-11-25-000000_console/up.sql")),
                include_str!(concat!("../../../migrations/", $backend, "/2026-11-25-100000_due_and_in_flight/up.sql")),
                include_str!(concat!("../../../migrations/", $backend, "/2026-11-25-120000_held/up.sql")),
                include_str!(concat!("../../../migrations/", $backend, "/2026-11-25-130000_contained/up.sql")),
                include_str!(concat!("../../../migrations/", $backend, "/2026-11-26-000000_settles_at/up.sql")),
                include_str!(concat!("../../../migrations/", $backend, "/2026-11-29-000000_clock/up.sql")),
                include_str!(concat!("../../../migrations/", $backend, "/2026-11-29-010000_removals/up.sql")),
                include_str!(concat!("../../../migrations/", $backend, "/2026-12-01-010000_push_packs/up.sql")),
            ]
        };
    }

    #[test]
    fn every_partial_index_by_state_has_the_condition_that_its_statements_repeat() {
        let of = [
            ("push_packs_active", "pack_is_active"),
            ("push_packs_age", "pack_has_ended"),
            ("pushes_active", "is_active"),
            ("pushes_age", "has_ended"),
            ("pushes_held", "is_held"),
            ("pushes_in_flight", "is_in_flight"),
            ("pushes_rejected", "is_rejected_increase"),
        ];
        for migrations in [migrations!("sqlite"), migrations!("postgres")] {
            let text =
                |name: &str| CONDITIONS.iter().find(|(own, _)| *own == name).unwrap().1.replace("pushes.", "").replace("push_packs.", "");
            let wanted: Vec<(String, String)> = of.iter().map(|(index, name)| ((*index).to_owned(), text(name))).collect();
            assert_eq!(indices(&migrations), wanted);
        }
    }
}
