CREATE TABLE notifications (
    id uuid PRIMARY KEY DEFAULT uuidv7(),
    user_id uuid NOT NULL REFERENCES users,
    kind text NOT NULL,
    data jsonb NOT NULL,
    -- The effect's name, so that a job that runs twice notifies once.
    dedup text NOT NULL CONSTRAINT notifications_dedup_unique UNIQUE,
    created_at timestamptz NOT NULL DEFAULT now(),
    read_at timestamptz
);
CREATE INDEX notifications_by_user ON notifications (user_id, id);
CREATE INDEX notifications_unread ON notifications (user_id, id) WHERE read_at IS NULL;
