-- Keys with which a shop's programs ask. Only the SHA-256 of a key is here.
CREATE TABLE api_keys (
    id uuid PRIMARY KEY DEFAULT uuidv7(),
    shop_id uuid NOT NULL REFERENCES shops,
    -- Who made it, and as whom it acts.
    made_by uuid NOT NULL REFERENCES users,
    name text NOT NULL,
    scopes text[] NOT NULL CONSTRAINT api_keys_scopes_some CHECK (cardinality(scopes) > 0),
    key_sha256 bytea NOT NULL CONSTRAINT api_keys_key_unique UNIQUE,
    created_at timestamptz NOT NULL DEFAULT now(),
    expires_at timestamptz,
    last_used_at timestamptz,
    revoked_at timestamptz
);
CREATE INDEX api_keys_of_shops ON api_keys (shop_id, id) WHERE revoked_at IS NULL;
