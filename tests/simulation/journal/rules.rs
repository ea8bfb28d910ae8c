//! What a seller has said about SKUs.

/// A bundle takes so many of a SKU.
#[derive(Debug, Clone, PartialEq)]
pub struct Component {
    pub bundle: String,
    pub sku: String,
    pub quantity: i64,
}

#[derive(Debug, Clone, PartialEq)]
pub struct Rule {
    pub sku: Option<String>,
    pub store: Option<String>,
    pub share: Option<i64>,
    pub buffer: Option<i64>,
    pub threshold: Option<i64>,
    pub max_shown: Option<i64>,
    pub enabled: Option<bool>,
}
