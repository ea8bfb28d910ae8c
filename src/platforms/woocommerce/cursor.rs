//! The cursor of WooCommerce's product list: pages of products, each followed by the variations of its products.

pub(super) const VARIATIONS_PAGE: usize = 100;

/// What to read next: first the variations of products already listed, then the next page of products.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Cursor {
    /// The next page of products; 0 if there is none.
    pub(super) page: u64,
    /// The next page of the first parent's variations.
    pub(super) variations_page: u64,
    /// Products whose variations have not been read yet.
    pub(super) parents: Vec<u64>,
}

impl Cursor {
    /// Parses `page`, or `page:variations page:parent,parent,…`.
    pub(super) fn read(cursor: Option<&str>) -> Option<Self> {
        let mut parts = cursor.unwrap_or("1").split(':');
        let page = parts.next()?.parse().ok()?;
        let variations_page = parts.next().map_or(Some(1), |text| text.parse().ok())?;
        let parents = parts.next().map_or(Some(Vec::new()), |ids| ids.split(',').map(|id| id.parse().ok()).collect())?;
        parts.next().is_none().then_some(Self { page, variations_page, parents })
    }

    /// Moves on after a page of `count` variations. A full page may have a successor.
    pub(super) fn advance_variations(&mut self, count: usize) {
        if count == VARIATIONS_PAGE {
            self.variations_page = self.variations_page.saturating_add(1);
        } else {
            self.variations_page = 1;
            self.parents.drain(..1.min(self.parents.len()));
        }
    }

    pub(super) fn text(&self) -> Option<String> {
        if self.parents.is_empty() {
            return (self.page > 0).then(|| self.page.to_string());
        }
        let parents: Vec<String> = self.parents.iter().map(u64::to_string).collect();
        Some(format!("{}:{}:{}", self.page, self.variations_page, parents.join(",")))
    }
}
