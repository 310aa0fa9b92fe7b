-- Whom people do not want to hear from. Asked for every message that is posted: nearly always one probe that finds nothing.
CREATE TABLE user_blocks (
    blocker_id uuid NOT NULL REFERENCES users,
    blocked_id uuid NOT NULL REFERENCES users,
    created_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (blocker_id, blocked_id),
    CONSTRAINT user_blocks_of_others CHECK (blocker_id <> blocked_id)
);
CREATE INDEX user_blocks_by_blocked ON user_blocks (blocked_id);
