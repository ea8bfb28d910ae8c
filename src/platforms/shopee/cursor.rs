//! The cursor of Shopee's list of variants: the list, the details of its items, and the models of the items that have any.
use super::super::fields::whole;

/// What to read next.
pub(super) enum Cursor {
    List {
        offset: u64,
    },
    /// The details of `ids`, and then the models of the items among those read before.
    Items {
        next: Option<u64>,
        ids: Vec<u64>,
        models: Vec<u64>,
    },
    Models {
        next: Option<u64>,
        ids: Vec<u64>,
    },
}

impl Cursor {
    pub(super) fn read(text: Option<&str>) -> Option<Self> {
        let Some(text) = text else { return Some(Self::List { offset: 0 }) };
        let mut parts = text.split(':');
        let (kind, next) = (parts.next()?, parts.next()?);
        if kind == "list" {
            return Some(Self::List { offset: whole(next)? });
        }
        let list = |text: &str| text.split(',').map(whole).collect::<Option<Vec<u64>>>();
        let (next, ids) = (whole(next), list(parts.next()?)?);
        match kind {
            "items" => Some(Self::Items { next, ids, models: parts.next().map_or(Some(Vec::new()), list)? }),
            "models" => Some(Self::Models { next, ids }),
            _ => None,
        }
    }

    /// The cursor of `kind` for these IDs; if there are none, the next page of the list, if there is one.
    pub(super) fn text(kind: &str, next: Option<u64>, ids: &[u64]) -> Option<String> {
        if ids.is_empty() {
            return next.map(|offset| format!("list:{offset}"));
        }
        let next = next.map_or_else(|| "end".to_owned(), |offset| offset.to_string());
        Some(format!("{kind}:{next}:{}", joined(ids)))
    }

    /// The cursor after the details of some items: those of the others, and then `models`.
    pub(super) fn after_items(next: Option<u64>, rest: &[u64], models: &[u64]) -> Option<String> {
        match Self::text("items", next, rest).filter(|_| !rest.is_empty()) {
            Some(text) if !models.is_empty() => Some(format!("{text}:{}", joined(models))),
            Some(text) => Some(text),
            None => Self::text("models", next, models),
        }
    }
}

fn joined(ids: &[u64]) -> String {
    ids.iter().map(u64::to_string).collect::<Vec<_>>().join(",")
}
