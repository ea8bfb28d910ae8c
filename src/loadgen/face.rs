//! The wire format between the service and the simulated platform, and how it names stores and listings.
use serde_json::{Value, json};

/// Models of one Shopee item.
const MODELS_PER_ITEM: usize = 50;
/// The id of the first Shopee item. Item ids must differ from all model ids, since a model id equal to its item's id
/// denotes the item itself.
const FIRST_ITEM: usize = 1_000_000_000;

/// A face of the simulated platform.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, serde::Serialize, serde::Deserialize, clap::ValueEnum)]
#[serde(rename_all = "kebab-case")]
pub enum Face {
    /// The simulated platform's own protocol.
    #[default]
    Own,
    /// Shopify's GraphQL, with cost points and idempotency keys.
    Shopify,
    /// Shopee's signed calls, each of which sets the models of one item.
    Shopee,
}

impl Face {
    /// A store's name at the platform.
    pub(super) fn store_name(self, seller: &str, index: usize) -> String {
        match self {
            Self::Own | Self::Shopify => format!("load-{seller}-{index}"),
            // Shop ids are numbers; a random one does not collide with another run.
            Self::Shopee => rand::random_range(1_000_000_000_u64..1_000_000_000_000).to_string(),
        }
    }

    /// The `external_id` of the listing for SKU `number`.
    fn external_id(self, number: usize) -> String {
        match self {
            Self::Own => format!("item-{number:05}"),
            Self::Shopify | Self::Shopee => (number + 1).to_string(),
        }
    }

    /// The platform's name for the item of SKU `number`.
    pub(super) fn item(self, number: usize) -> String {
        match self {
            Self::Own | Self::Shopify => self.external_id(number),
            Self::Shopee => format!("{}/{}", shopee_item(number), self.external_id(number)),
        }
    }

    /// The row that pairs SKU `number`, as the service's interface takes it.
    pub(super) fn listing(self, sku: &str, number: usize) -> Value {
        let mut row = json!({ "sku": sku, "external_id": self.external_id(number) });
        if let (Self::Shopee, Some(row)) = (self, row.as_object_mut()) {
            row.insert("item_id".to_owned(), json!(shopee_item(number).to_string()));
        }
        row
    }
}

fn shopee_item(number: usize) -> usize {
    FIRST_ITEM + number / MODELS_PER_ITEM
}

/// The number of the SKU behind an `external_id` or a platform item name.
pub(super) fn number_of(name: &str) -> Option<usize> {
    match name.strip_prefix("item-") {
        Some(number) => number.parse().ok(),
        None => name.rsplit('/').next()?.parse::<usize>().ok()?.checked_sub(1),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_every_face_lead_back_to_their_sku() {
        for face in [Face::Own, Face::Shopify, Face::Shopee] {
            for number in [0, 49, 50, 12_345] {
                assert_eq!(number_of(&face.item(number)), Some(number), "{face:?}");
                assert_eq!(number_of(&face.external_id(number)), Some(number), "{face:?}");
            }
        }
        assert_eq!(Face::Shopee.item(50), "1000000001/51");
        assert_eq!((number_of("0"), number_of("mug")), (None, None));
    }
}
