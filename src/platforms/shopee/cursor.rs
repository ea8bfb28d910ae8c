//! The cursor of Shopee's list of variants: the list, the details of its items, and the models of the items that have any.
use super::super::fields::whole;

/// What to read next.
pub(super) enum Cursor {
    List { offset: u64 },
    Items { next: Option<u64>, ids: Vec<u64> },
    Models { next: Option<u64>, ids: Vec<u64> },
}

impl Cursor {
    pub(super) fn read(text: Option<&str>) -> Option<Self> {
        let Some(text) = text else { return Some(Self::List { offset: 0 }) };
        let mut parts = text.split(':');
        let (kind, next) = (parts.next()?, parts.next()?);
        if kind == "list" {
            return Some(Self::List { offset: whole(next)? });
        }
        let (next, ids) = (whole(next), parts.next()?.split(',').map(whole).collect::<Option<Vec<u64>>>()?);
        match kind {
            "items" => Some(Self::Items { next, ids }),
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
        let ids: Vec<String> = ids.iter().map(u64::to_string).collect();
        Some(format!("{kind}:{next}:{}", ids.join(",")))
    }
}
