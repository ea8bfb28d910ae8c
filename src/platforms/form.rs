//! What a person fills in to connect a store of each platform: for the console's forms. The interface takes the same
//! names; what is right is decided by [`Platform::check_config`](super::Platform::check_config) alone.

/// How a field is filled in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FieldKind {
    /// An address: the store's `base_url`.
    Address,
    /// A setting of the connector, as text.
    Setting,
    /// One of the credentials; never shown again.
    Secret,
}

/// One field of a store's form.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StoreField {
    /// Its name in the interface; of a credential, within `credentials`.
    pub name: &'static str,
    /// Its name for people.
    pub label: &'static str,
    /// What it is and where it is found.
    pub help: &'static str,
    /// How it is filled in.
    pub kind: FieldKind,
    /// Whether a store of this platform needs it.
    pub needed: bool,
}

/// The form of a platform's stores.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StoreForm {
    /// The word in `platform`.
    pub platform: &'static str,
    /// The platform's name for people.
    pub label: &'static str,
    /// Its fields, in order.
    pub fields: &'static [StoreField],
}

const fn field(name: &'static str, label: &'static str, help: &'static str, kind: FieldKind, needed: bool) -> StoreField {
    StoreField { name, label, help, kind, needed }
}

const fn needed(name: &'static str, label: &'static str, help: &'static str) -> StoreField {
    field(name, label, help, FieldKind::Setting, true)
}

const fn setting(name: &'static str, label: &'static str, help: &'static str) -> StoreField {
    field(name, label, help, FieldKind::Setting, false)
}

const fn needed_secret(name: &'static str, label: &'static str, help: &'static str) -> StoreField {
    field(name, label, help, FieldKind::Secret, true)
}

const fn secret(name: &'static str, label: &'static str, help: &'static str) -> StoreField {
    field(name, label, help, FieldKind::Secret, false)
}

const fn form(platform: &'static str, label: &'static str, fields: &'static [StoreField]) -> StoreForm {
    StoreForm { platform, label, fields }
}

const APP_SECRET: StoreField = needed_secret("app_secret", "App secret", "From the app's page in the platform's console.");
const REFRESH_TOKEN: StoreField =
    secret("refresh_token", "Refresh token", "From the seller's authorisation of the app; renewed by itself.");
const AUTH_CODE: StoreField =
    secret("auth_code", "Authorisation code", "Instead of tokens, right after the seller has authorised the app.");
const ACCESS_TOKEN: StoreField = secret("access_token", "Access token", "If there is one already; otherwise it is fetched.");

/// The forms, one for each connector in [`registry`](super::registry).
pub const FORMS: &[StoreForm] = &[
    form(
        "shopify",
        "Shopify",
        &[
            needed("shop", "Shop", "The part before .myshopify.com."),
            setting("location_id", "Location", "Where stock is written when a listing names no location: the number of the location."),
            needed_secret("access_token", "Admin API access token", "Of a custom app with read_inventory and write_inventory."),
            secret("refresh_token", "Refresh token", "For apps whose tokens end, together with client id and secret."),
            secret("client_id", "Client id", "Of the app, together with a refresh token."),
            secret("client_secret", "Client secret", "Of the app, together with a refresh token."),
        ],
    ),
    form(
        "shopline",
        "SHOPLINE (myshopline.com)",
        &[
            needed("handle", "Handle", "The part before .myshopline.com."),
            needed("location_id", "Location", "Where stock is written when a listing names no location."),
            ACCESS_TOKEN,
            setting("app_key", "App key", "Of the app, where its token is to be renewed."),
            secret("app_secret", "App secret", "Of the app, where its token is to be renewed."),
            AUTH_CODE,
        ],
    ),
    form(
        "shopline_open",
        "SHOPLINE (shoplineapp.com)",
        &[
            needed("handle", "Handle", "The store's handle, sent as the user agent."),
            ACCESS_TOKEN,
            REFRESH_TOKEN,
            AUTH_CODE,
            setting("client_id", "Client id", "Of the app, where its token is to be renewed."),
            setting("redirect_uri", "Redirect address", "Of the app, where its token is to be renewed."),
            secret("client_secret", "Client secret", "Of the app, where its token is to be renewed."),
        ],
    ),
    form(
        "shopee",
        "Shopee",
        &[
            needed("partner_id", "Partner id", "Of the app in the Open Platform's console."),
            needed("shop_id", "Shop id", "Of the shop that has authorised the app."),
            setting("region", "Region", "Left empty, the common host is used."),
            setting("location_id", "Location", "For shops with several warehouses, when a listing names none."),
            needed_secret("partner_key", "Partner key", "Of the app."),
            REFRESH_TOKEN,
            ACCESS_TOKEN,
            AUTH_CODE,
        ],
    ),
    form(
        "woocommerce",
        "WooCommerce",
        &[
            field("base_url", "Address", "The shop's address, such as https://shop.example.com.", FieldKind::Address, true),
            setting("permalinks", "Permalinks", "pretty (the default) or plain."),
            needed_secret("consumer_key", "Consumer key", "From WooCommerce > Settings > Advanced > REST API, with read and write."),
            needed_secret("consumer_secret", "Consumer secret", "Shown with the key."),
        ],
    ),
    form(
        "lazada",
        "Lazada",
        &[
            setting("region", "Country", "Two letters, such as sg."),
            needed("app_key", "App key", "Of the app in the Open Platform's console."),
            setting("warehouse_code", "Warehouse", "For sellers with several warehouses, when a listing names none."),
            APP_SECRET,
            REFRESH_TOKEN,
            ACCESS_TOKEN,
            AUTH_CODE,
        ],
    ),
    form(
        "tiktok_shop",
        "TikTok Shop",
        &[
            needed("app_key", "App key", "Of the app in the Partner Center."),
            needed("shop_cipher", "Shop cipher", "Of the shop that has authorised the app."),
            setting("warehouse_id", "Warehouse", "For shops with several warehouses, when a listing names none."),
            APP_SECRET,
            REFRESH_TOKEN,
            ACCESS_TOKEN,
            AUTH_CODE,
        ],
    ),
    form(
        "amazon",
        "Amazon",
        &[
            needed("region", "Region", "na, eu or fe."),
            needed("seller_id", "Seller id", "The merchant token of the account."),
            needed("marketplace_id", "Marketplace id", "Such as ATVPDKIKX0DER for the United States."),
            setting("fulfillment_channel", "Fulfilment channel", "DEFAULT, the seller's own, when left empty."),
            needed_secret("refresh_token", "Refresh token", "From the seller's authorisation of the app."),
            needed_secret("client_id", "Client id", "Of the app (Login with Amazon)."),
            needed_secret("client_secret", "Client secret", "Of the app (Login with Amazon)."),
        ],
    ),
    form(
        "ebay",
        "eBay",
        &[
            setting("environment", "Environment", "production (the default) or sandbox."),
            setting("merchant_location_key", "Location", "For sellers who split stock by location."),
            needed_secret("refresh_token", "Refresh token", "From the seller's authorisation of the keyset."),
            needed_secret("client_id", "App id", "Of the keyset (client id)."),
            needed_secret("client_secret", "Cert id", "Of the keyset (client secret)."),
        ],
    ),
    form(
        "vendure",
        "Vendure",
        &[
            field(
                "base_url",
                "Address",
                "Of Vendure's server, without /admin-api, such as https://shop.example.com.",
                FieldKind::Address,
                true,
            ),
            setting("location_id", "Stock location", "Where stock is written when a listing names none. Left empty, Vendure's default."),
            setting("channel_token", "Channel token", "For servers with several channels. Left empty, the default channel."),
            secret("username", "Administrator", "Name of an administrator who may read and update the catalog."),
            secret("password", "Password", "Of the administrator."),
            secret("api_key", "API key", "Instead of an administrator, where the server takes keys."),
        ],
    ),
    form(
        "medusa",
        "Medusa",
        &[
            field("base_url", "Address", "Of Medusa's server, without /admin, such as https://shop.example.com.", FieldKind::Address, true),
            setting("location_id", "Stock location", "Where stock is written when a listing names none: sloc_ and more."),
            secret("api_key", "Secret API key", "From Medusa's Settings > Secret API keys."),
            secret("email", "E-mail", "Instead of a key: of a user of the Medusa admin."),
            secret("password", "Password", "Of that user."),
        ],
    ),
    form(
        "simulated",
        "Simulated platform or HTTP bridge",
        &[
            field(
                "base_url",
                "Address",
                "Where the bridge or the simulated platform answers, such as https://bridge.example.com.",
                FieldKind::Address,
                true,
            ),
            setting("external_store", "Name at the platform", "What the store is called there. Left empty, its id here is used."),
            secret("token", "Access token", "Sent as a bearer token, if the bridge asks for one."),
        ],
    ),
];

/// The form of this platform's stores.
pub fn form_of(platform: &str) -> Option<&'static StoreForm> {
    FORMS.iter().find(|form| form.platform == platform)
}

#[cfg(test)]
mod tests {
    use super::super::registry;
    use super::*;

    #[test]
    fn every_connector_has_a_form() {
        for platform in registry() {
            assert!(
                form_of(platform.name()).is_some(),
                "add {} to FORMS: without it nobody can connect a store in the console",
                platform.name()
            );
        }
        assert_eq!(FORMS.len(), registry().len());
    }
}
