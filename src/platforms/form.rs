//! The fields that a person fills in to connect a store, for the console's forms. The HTTP API uses the same field names;
//! only [`Platform::check_config`](super::Platform::check_config) decides what is valid.

/// Where a field's value goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FieldKind {
    /// The store's `base_url`.
    Address,
    /// A connector-specific setting, as text.
    Setting,
    /// A credential, never shown once saved.
    Secret,
}

/// One field of a store's form.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StoreField {
    /// Its name in the API; credentials are nested under `credentials`.
    pub name: &'static str,
    /// Its name in the console.
    pub label: &'static str,
    /// What to enter and where to find it.
    pub help: &'static str,
    /// Where its value goes.
    pub kind: FieldKind,
    /// Whether a store must have it.
    pub required: bool,
}

/// The form for stores on one platform.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StoreForm {
    /// The connector's name.
    pub platform: &'static str,
    /// The platform's name in the console.
    pub label: &'static str,
    /// Its fields, in display order.
    pub fields: &'static [StoreField],
}

const fn field(name: &'static str, label: &'static str, help: &'static str, kind: FieldKind, required: bool) -> StoreField {
    StoreField { name, label, help, kind, required }
}

const fn required(name: &'static str, label: &'static str, help: &'static str) -> StoreField {
    field(name, label, help, FieldKind::Setting, true)
}

const fn setting(name: &'static str, label: &'static str, help: &'static str) -> StoreField {
    field(name, label, help, FieldKind::Setting, false)
}

const fn required_secret(name: &'static str, label: &'static str, help: &'static str) -> StoreField {
    field(name, label, help, FieldKind::Secret, true)
}

const fn secret(name: &'static str, label: &'static str, help: &'static str) -> StoreField {
    field(name, label, help, FieldKind::Secret, false)
}

const fn form(platform: &'static str, label: &'static str, fields: &'static [StoreField]) -> StoreForm {
    StoreForm { platform, label, fields }
}

const APP_SECRET: StoreField = required_secret("app_secret", "App secret", "From the app's page in the platform's developer console.");
const REFRESH_TOKEN: StoreField =
    secret("refresh_token", "Refresh token", "Issued when the seller authorized the app. Renewed automatically.");
const AUTH_CODE: StoreField =
    secret("auth_code", "Authorization code", "Instead of tokens, right after the seller has authorized the app.");
const ACCESS_TOKEN: StoreField =
    secret("access_token", "Access token", "If you already have one. Otherwise it is requested automatically.");

/// One form for each connector in [`registry`](super::registry()).
pub const FORMS: &[StoreForm] = &[
    form(
        "shopify",
        "Shopify",
        &[
            required("shop", "Shop", "The part before .myshopify.com."),
            setting(
                "location_id",
                "Location",
                "The numeric ID of the location that the store sells from. Nothing is written anywhere else.",
            ),
            required_secret(
                "access_token",
                "Admin API access token",
                "From a custom app with the scopes read_inventory and write_inventory.",
            ),
            secret("refresh_token", "Refresh token", "For apps whose tokens expire. Also needs a client ID and secret."),
            secret("client_id", "Client ID", "The app's ID, needed with a refresh token."),
            secret("client_secret", "Client secret", "The app's secret, needed with a refresh token."),
        ],
    ),
    form(
        "shopline",
        "SHOPLINE (myshopline.com)",
        &[
            required("handle", "Handle", "The part before .myshopline.com."),
            setting("location_id", "Location", "The ID of the location that the store sells from. Nothing is written anywhere else."),
            ACCESS_TOKEN,
            setting("app_key", "App key", "The app's key, needed to renew its token."),
            secret("app_secret", "App secret", "The app's secret, needed to renew its token."),
            AUTH_CODE,
        ],
    ),
    form(
        "shopline_open",
        "SHOPLINE (shoplineapp.com)",
        &[
            required("handle", "Handle", "The store's handle, sent as the user agent."),
            ACCESS_TOKEN,
            REFRESH_TOKEN,
            AUTH_CODE,
            setting("client_id", "Client ID", "The app's ID, needed to renew its token."),
            setting("redirect_uri", "Redirect URI", "The app's redirect URI, needed to renew its token."),
            secret("client_secret", "Client secret", "The app's secret, needed to renew its token."),
        ],
    ),
    form(
        "shopee",
        "Shopee",
        &[
            required("partner_id", "Partner ID", "The app's partner ID, from the Open Platform console."),
            required("shop_id", "Shop ID", "The ID of the shop that authorized the app."),
            setting("region", "Region", "Leave empty to use the global host."),
            setting("location_id", "Location", "For shops with several warehouses: the one that the store sells from."),
            required_secret("partner_key", "Partner key", "The app's partner key, from the Open Platform console."),
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
            setting("auth", "Keys", "header (the default), or query if the shop's server drops the Authorization header."),
            required_secret(
                "consumer_key",
                "Consumer key",
                "From WooCommerce > Settings > Advanced > REST API, with Read/Write permission.",
            ),
            required_secret("consumer_secret", "Consumer secret", "Shown once, together with the key."),
        ],
    ),
    form(
        "lazada",
        "Lazada",
        &[
            setting("region", "Country", "The two-letter country code, such as sg."),
            required("app_key", "App key", "The app's key, from the Open Platform console."),
            setting("warehouse_code", "Warehouse", "For sellers with several warehouses: the code of the one that the store sells from."),
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
            required("app_key", "App key", "The app's key, from the Partner Center."),
            required("shop_cipher", "Shop cipher", "The cipher of the shop that authorized the app."),
            setting("warehouse_id", "Warehouse", "For shops with several warehouses: the one that the store sells from."),
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
            required("region", "Region", "na, eu or fe."),
            required("seller_id", "Seller ID", "The account's merchant token."),
            required("marketplace_id", "Marketplace ID", "For example, ATVPDKIKX0DER for the United States."),
            setting("fulfillment_channel", "Fulfillment channel", "Leave empty for DEFAULT, stock that you ship yourself."),
            required_secret("refresh_token", "Refresh token", "Issued when the seller authorized the app."),
            required_secret("client_id", "Client ID", "The app's Login with Amazon client ID."),
            required_secret("client_secret", "Client secret", "The app's Login with Amazon client secret."),
        ],
    ),
    form(
        "ebay",
        "eBay",
        &[
            setting("environment", "Environment", "production (the default) or sandbox."),
            setting("merchant_location_key", "Location", "For sellers who split stock by location: the location's key."),
            required_secret("refresh_token", "Refresh token", "Issued when the seller authorized the keyset."),
            required_secret("client_id", "App ID", "The keyset's client ID."),
            required_secret("client_secret", "Cert ID", "The keyset's client secret."),
        ],
    ),
    form(
        "vendure",
        "Vendure",
        &[
            field(
                "base_url",
                "Address",
                "The Vendure server's address without /admin-api, such as https://shop.example.com.",
                FieldKind::Address,
                true,
            ),
            setting(
                "location_id",
                "Stock location",
                "The stock location to update when a listing doesn't name one. Leave empty for Vendure's default.",
            ),
            setting("channel_token", "Channel token", "For servers with several channels. Leave empty for the default channel."),
            secret("username", "Administrator", "The username of an administrator who may read and update the catalog."),
            secret("password", "Password", "The administrator's password."),
            secret("api_key", "API key", "Instead of an administrator, if the server accepts API keys."),
        ],
    ),
    form(
        "medusa",
        "Medusa",
        &[
            field(
                "base_url",
                "Address",
                "The Medusa server's address without /admin, such as https://shop.example.com.",
                FieldKind::Address,
                true,
            ),
            setting(
                "location_id",
                "Stock location",
                "The ID of the stock location to update when a listing doesn't name one. It starts with sloc_.",
            ),
            secret("api_key", "Secret API key", "From Settings > Secret API Keys in the Medusa admin."),
            secret("email", "Email", "Instead of a key: the email address of a Medusa admin user."),
            secret("password", "Password", "That user's password."),
        ],
    ),
    form(
        "simulated",
        "Simulated platform or HTTP bridge",
        &[
            field(
                "base_url",
                "Address",
                "The address of the bridge or the simulated platform, such as https://bridge.example.com.",
                FieldKind::Address,
                true,
            ),
            setting("external_store", "Name on the platform", "The store's name there. Leave empty to use its ID here."),
            secret("token", "Access token", "Sent as a bearer token, if the bridge needs one."),
        ],
    ),
];

/// The form for stores on this platform.
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
                "add {} to FORMS: without it nobody can connect such a store in the console",
                platform.name()
            );
        }
        assert_eq!(FORMS.len(), registry().len());
    }
}
