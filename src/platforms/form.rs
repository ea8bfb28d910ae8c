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

/// The forms, one for each connector in [`registry`](super::registry).
pub const FORMS: &[StoreForm] = &[StoreForm {
    platform: "simulated",
    label: "Simulated platform or HTTP bridge",
    fields: &[
        StoreField {
            name: "base_url",
            label: "Address",
            help: "Where the bridge or the simulated platform answers, such as https://bridge.example.com.",
            kind: FieldKind::Address,
            needed: true,
        },
        StoreField {
            name: "external_store",
            label: "Name at the platform",
            help: "What the store is called there. Left empty, its id here is used.",
            kind: FieldKind::Setting,
            needed: false,
        },
        StoreField {
            name: "token",
            label: "Access token",
            help: "Sent as a bearer token, if the bridge asks for one.",
            kind: FieldKind::Secret,
            needed: false,
        },
    ],
}];

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
