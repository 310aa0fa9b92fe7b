CREATE TYPE user_status AS ENUM ('active', 'suspended');

CREATE TABLE users (
    id uuid PRIMARY KEY DEFAULT uuidv7(),
    email citext NOT NULL CONSTRAINT users_email_unique UNIQUE,
    email_verified_at timestamptz,
    password_hash text NOT NULL,
    display_name text NOT NULL CONSTRAINT users_display_name_short CHECK (length(display_name) BETWEEN 1 AND 80),
    -- Platform roles; being a buyer needs none, and shop roles live in shop_members.
    roles text[] NOT NULL DEFAULT '{}' CONSTRAINT users_roles_known CHECK (roles <@ ARRAY['support', 'finance', 'admin']),
    locale text NOT NULL DEFAULT 'en',
    time_zone text NOT NULL DEFAULT 'UTC',
    status user_status NOT NULL DEFAULT 'active',
    last_seen_at timestamptz,
    version int NOT NULL DEFAULT 1,
    created_at timestamptz NOT NULL DEFAULT now()
);

CREATE TABLE sessions (
    id uuid PRIMARY KEY DEFAULT uuidv7(),
    user_id uuid NOT NULL REFERENCES users,
    user_agent text NOT NULL DEFAULT '',
    address inet,
    created_at timestamptz NOT NULL DEFAULT now(),
    last_used_at timestamptz NOT NULL DEFAULT now(),
    revoked_at timestamptz,
    revoked_reason text,
    CONSTRAINT sessions_revoked_with_reason CHECK ((revoked_at IS NULL) = (revoked_reason IS NULL))
);
CREATE INDEX sessions_idle ON sessions (last_used_at);
CREATE INDEX sessions_by_user ON sessions (user_id, id) WHERE revoked_at IS NULL;

-- A session's refresh tokens form a chain; presenting a spent one revokes the session.
CREATE TABLE refresh_tokens (
    token_sha256 bytea PRIMARY KEY,
    session_id uuid NOT NULL REFERENCES sessions,
    expires_at timestamptz NOT NULL,
    spent_at timestamptz,
    -- The token that this one was traded for.
    successor_sha256 bytea REFERENCES refresh_tokens DEFERRABLE INITIALLY DEFERRED,
    created_at timestamptz NOT NULL DEFAULT now(),
    CONSTRAINT refresh_tokens_spent_for_another CHECK ((spent_at IS NULL) = (successor_sha256 IS NULL))
);
-- One live token a session: two refreshes can never both win.
CREATE UNIQUE INDEX refresh_tokens_one_live ON refresh_tokens (session_id) WHERE spent_at IS NULL;
CREATE INDEX refresh_tokens_ending ON refresh_tokens (expires_at);
CREATE INDEX refresh_tokens_by_session ON refresh_tokens (session_id);

CREATE TABLE one_time_tokens (
    token_sha256 bytea PRIMARY KEY,
    user_id uuid NOT NULL REFERENCES users,
    purpose text NOT NULL CONSTRAINT one_time_tokens_purpose_known CHECK (purpose IN ('verify_email', 'reset_password')),
    expires_at timestamptz NOT NULL,
    used_at timestamptz,
    created_at timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX one_time_tokens_ending ON one_time_tokens (expires_at);
CREATE INDEX one_time_tokens_by_user ON one_time_tokens (user_id, purpose);

-- Tries that did not succeed (yet), by e-mail and by network address; kept in Postgres so that losing Redis opens no
-- door. A try is counted before its password is looked at, and taken back once it was right.
CREATE TABLE login_throttles (
    subject text PRIMARY KEY,
    failures int NOT NULL CONSTRAINT login_throttles_failures_not_negative CHECK (failures >= 0),
    window_started_at timestamptz NOT NULL,
    blocked_until timestamptz
) WITH (fillfactor = 70);
CREATE INDEX login_throttles_age ON login_throttles (window_started_at);

CREATE TABLE addresses (
    id uuid PRIMARY KEY DEFAULT uuidv7(),
    user_id uuid NOT NULL REFERENCES users,
    name text NOT NULL,
    line1 text NOT NULL,
    line2 text NOT NULL DEFAULT '',
    city text NOT NULL,
    region text NOT NULL DEFAULT '',
    postal_code text NOT NULL,
    country text NOT NULL CONSTRAINT addresses_country_iso CHECK (country ~ '^[A-Z]{2}$'),
    phone text NOT NULL DEFAULT '',
    is_default boolean NOT NULL DEFAULT false,
    created_at timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX addresses_by_user ON addresses (user_id);
CREATE UNIQUE INDEX addresses_one_default ON addresses (user_id) WHERE is_default;

CREATE TYPE shop_status AS ENUM (
    'applied',     -- -> verifying (job opens the provider account), -> rejected (an admin)
    'verifying',   -- -> verified, -> restricted (provider's KYC decision), -> rejected (an admin)
    'verified',    -- -> approved, -> rejected (an admin), -> restricted (provider)
    'approved',    -- -> suspended (an admin), -> restricted (provider)
    'restricted',  -- -> verified (provider), -> suspended, -> rejected (an admin)
    'suspended',   -- -> approved, or -> restricted where the account is not in order (an admin lifts it)
    'rejected'
);

CREATE TABLE shops (
    id uuid PRIMARY KEY DEFAULT uuidv7(),
    owner_id uuid NOT NULL REFERENCES users,
    name text NOT NULL CONSTRAINT shops_name_short CHECK (length(name) BETWEEN 2 AND 80),
    slug text NOT NULL CONSTRAINT shops_slug_unique UNIQUE,
    description text NOT NULL DEFAULT '',
    country text NOT NULL CONSTRAINT shops_country_iso CHECK (country ~ '^[A-Z]{2}$'),
    currency text NOT NULL,
    status shop_status NOT NULL DEFAULT 'applied',
    status_reason text NOT NULL DEFAULT '',
    -- The shop's account at the payment provider, once opened, and what the provider last said of it.
    provider_account text CONSTRAINT shops_provider_account_unique UNIQUE,
    provider_status text NOT NULL DEFAULT 'pending'
    CONSTRAINT shops_provider_status_known CHECK (provider_status IN ('pending', 'verified', 'restricted')),
    version int NOT NULL DEFAULT 1,
    created_at timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX shops_by_status ON shops (status, id);
CREATE INDEX shops_by_owner ON shops (owner_id);

CREATE TABLE shop_members (
    shop_id uuid NOT NULL REFERENCES shops,
    user_id uuid NOT NULL REFERENCES users,
    role text NOT NULL CONSTRAINT shop_members_role_known CHECK (role IN ('owner', 'staff')),
    created_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (shop_id, user_id)
);
CREATE INDEX shop_members_by_user ON shop_members (user_id);
