CREATE TYPE report_state AS ENUM (
    'open',             -- -> dismissed, message_removed, sender_limited (a moderator decides)
    'dismissed',
    'message_removed',
    'sender_limited'
);

-- What people tell the market's moderators of: a message, or (without one) a conversation as a whole.
CREATE TABLE reports (
    id uuid PRIMARY KEY DEFAULT uuidv7(),
    reporter_id uuid NOT NULL REFERENCES users,
    conversation_id uuid NOT NULL REFERENCES conversations,
    message_seq bigint,
    sender_id uuid REFERENCES users,
    -- The message as it read when it was reported: whoever deletes it later does not take the evidence along.
    message json,
    reason text NOT NULL CONSTRAINT reports_reason_known CHECK (reason IN ('spam', 'fraud', 'off_platform', 'harassment', 'illegal_goods', 'other')),
    text text NOT NULL CONSTRAINT reports_text_short CHECK (length(text) <= 1000),
    state report_state NOT NULL DEFAULT 'open',
    created_at timestamptz NOT NULL,
    claimed_by uuid REFERENCES users,
    claimed_at timestamptz,
    decided_by uuid REFERENCES users,
    decided_at timestamptz,
    why text,
    CONSTRAINT reports_message_whole CHECK ((message_seq IS NULL) = (message IS NULL) AND (message_seq IS NULL) = (sender_id IS NULL)),
    CONSTRAINT reports_claimed_whole CHECK ((claimed_by IS NULL) = (claimed_at IS NULL)),
    CONSTRAINT reports_decided_whole CHECK (
        (state = 'open') = (decided_by IS NULL) AND (state = 'open') = (decided_at IS NULL) AND (state = 'open') = (why IS NULL)
    ),
    CONSTRAINT reports_once UNIQUE NULLS NOT DISTINCT (reporter_id, conversation_id, message_seq),
    FOREIGN KEY (conversation_id, message_seq) REFERENCES messages (conversation_id, seq)
);
-- The queue: enums sort as they are declared, so the open ones come first, the oldest of them first of all.
CREATE INDEX reports_queue ON reports (state, id);
CREATE INDEX reports_by_reporter ON reports (reporter_id, id);

-- Who may say nothing for a while. Asked for every message that is posted: nearly always one probe that finds nothing.
CREATE TABLE posting_limits (
    user_id uuid PRIMARY KEY REFERENCES users,
    until timestamptz NOT NULL,
    -- Who decided it, when and why stands there.
    report_id uuid NOT NULL REFERENCES reports
);
