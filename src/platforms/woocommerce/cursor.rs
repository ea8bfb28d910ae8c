//! The cursor of WooCommerce's product list: pages of products, each followed by the variations of its products.

pub(super) const VARIATIONS_PAGE: usize = 100;

/// What to read next: first the variations of products already listed, then the next page of products.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Cursor {
    /// How many products come before the next page of them; `None` if there is none.
    pub(super) products: Option<u64>,
    /// How many of the first parent's variations come before the next page of them.
    pub(super) variations: u64,
    /// Products whose variations have not been read yet.
    pub(super) parents: Vec<u64>,
}

impl Cursor {
    /// Parses `products`, or `products:variations:parent,parent,…`.
    pub(super) fn read(cursor: Option<&str>) -> Option<Self> {
        let mut parts = cursor.unwrap_or("0").split(':');
        let products = match parts.next()? {
            "end" => None,
            offset => Some(offset.parse().ok()?),
        };
        let variations = parts.next().map_or(Some(0), |text| text.parse().ok())?;
        let parents = parts.next().map_or(Some(Vec::new()), |ids| ids.split(',').map(|id| id.parse().ok()).collect())?;
        parts.next().is_none().then_some(Self { products, variations, parents })
    }

    /// Moves on after `count` variations on a page of `size`. A full page may have a successor.
    pub(super) fn advance_variations(&mut self, count: usize, size: usize) {
        if count >= size {
            self.variations = self.variations.saturating_add(count as u64);
        } else {
            self.variations = 0;
            self.parents.drain(..1.min(self.parents.len()));
        }
    }

    pub(super) fn text(&self) -> Option<String> {
        if self.parents.is_empty() {
            return self.products.map(|offset| offset.to_string());
        }
        let products = self.products.map_or_else(|| "end".to_owned(), |offset| offset.to_string());
        let parents: Vec<String> = self.parents.iter().map(u64::to_string).collect();
        Some(format!("{products}:{}:{}", self.variations, parents.join(",")))
    }
}
