-- Every privileged act: who, what, when, from where, before and after. Rows are written in the transaction of the act,
-- and nobody changes or removes one. No foreign keys: an entry outlives what it is about.
CREATE TABLE audit_entries (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    at timestamptz NOT NULL DEFAULT now(),
    actor_kind text NOT NULL CONSTRAINT audit_entries_actor_kind_known CHECK (actor_kind IN ('user', 'machine')),
    actor_id uuid,
    -- Of an operator on the machine: the operating system's user, and the machine.
    actor_name text NOT NULL DEFAULT '',
    -- Which of the platform's roles they had then.
    actor_roles text[] NOT NULL DEFAULT '{}',
    session_id uuid,
    api_key_id uuid,
    act text NOT NULL CONSTRAINT audit_entries_act_dotted CHECK (act ~ '^[a-z_]+\.[a-z_]+$'),
    object_kind text NOT NULL,
    object_id text NOT NULL,
    -- Whose account it is about, where it is about the safety of one: their own security history.
    account_id uuid,
    reason text NOT NULL DEFAULT '',
    before jsonb,
    after jsonb,
    address inet,
    user_agent text NOT NULL DEFAULT '',
    request_id text NOT NULL DEFAULT '',
    CONSTRAINT audit_entries_actor_known CHECK ((actor_kind = 'user') = (actor_id IS NOT NULL)),
    CONSTRAINT audit_entries_machine_named CHECK (actor_kind = 'user' OR actor_name <> '')
);
CREATE INDEX audit_entries_of_actors ON audit_entries (actor_id, id);
CREATE INDEX audit_entries_of_objects ON audit_entries (object_kind, object_id, id);
CREATE INDEX audit_entries_of_acts ON audit_entries (act, id);
CREATE INDEX audit_entries_of_accounts ON audit_entries (account_id, id) WHERE account_id IS NOT NULL;
CREATE INDEX audit_entries_by_time ON audit_entries USING brin (at) WITH (pages_per_range = 16, autosummarize = on);

CREATE FUNCTION audit_is_insert_only() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'the audit log is insert-only'
        USING ERRCODE = 'restrict_violation', CONSTRAINT = 'audit_insert_only';
END $$;
CREATE TRIGGER audit_entries_insert_only BEFORE UPDATE OR DELETE OR TRUNCATE ON audit_entries
    FOR EACH STATEMENT EXECUTE FUNCTION audit_is_insert_only();
