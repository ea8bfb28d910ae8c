-- What a bundle is made of: quantity units of the SKU component for each unit of the SKU bundle, which has no stock of its own.
CREATE TABLE bundle_components (
    seller_id BYTEA NOT NULL REFERENCES sellers (id) ON DELETE CASCADE,
    bundle TEXT NOT NULL,
    component TEXT NOT NULL,
    quantity BIGINT NOT NULL,
    PRIMARY KEY (seller_id, bundle, component)
);
CREATE INDEX bundle_components_component ON bundle_components (seller_id, component, bundle);

-- Whether the seller has any, so that whoever has none pays for none.
ALTER TABLE sync_settings ADD COLUMN has_bundles BOOLEAN NOT NULL DEFAULT FALSE;

-- An event of a bundle has a row of its own, with 4 in in_count, and one for each component, whose event_id is the event's, the
-- character 31, and the component.
CREATE TRIGGER bundle_components_setup AFTER INSERT OR DELETE OR UPDATE ON bundle_components
    FOR EACH ROW EXECUTE FUNCTION draw_setup_version();
