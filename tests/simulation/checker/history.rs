//! The history of a story that failed, for people to read.
use super::Checker;
use crate::journal::Entry;
use crate::world::World;
use std::collections::BTreeMap;

impl Checker<'_> {
    /// The last lines of the history, in readable form.
    pub fn recent_history(world: &mut World, lines: usize) -> Vec<String> {
        let names: BTreeMap<String, String> = world
            .sellers
            .iter()
            .flat_map(|client| client.shops.iter().map(|shop| (crate::world::hex_of(&shop.id), shop.name.clone())))
            .collect();
        let short = |id: &str| id.get(id.len().saturating_sub(4)..).unwrap_or(id).to_owned();
        let mut history: Vec<(i64, String)> = Vec::new();
        world.read_journal();
        for (seq, entry) in &world.journal {
            let line = match entry {
                Entry::Push { push: p, .. } => format!(
                    "push {} {} of {}: {} {:?} {:?} call {} base {:?}{} run {} {}",
                    short(&p.id),
                    p.external_id,
                    names.get(&p.store).map_or("?", String::as_str),
                    if p.overwrite { "=" } else { "+" },
                    p.quantity,
                    p.state,
                    short(&p.call),
                    p.base,
                    if p.cancel_requested { " to be cancelled" } else { "" },
                    short(&p.run),
                    p.reason.as_deref().unwrap_or_default()
                ),
                Entry::Event { event_id, .. } => format!("event {event_id}"),
                other => format!("{other:?}"),
            };
            history.push((2 * seq, line));
        }
        for event in world.network.state().history.iter() {
            history.push((2 * event.after + 1, format!("    {:?}", event.what)));
        }
        history.sort_by_key(|(position, _)| *position);
        let skip = history.len().saturating_sub(lines);
        history.into_iter().skip(skip).map(|(_, line)| line).collect()
    }
}
