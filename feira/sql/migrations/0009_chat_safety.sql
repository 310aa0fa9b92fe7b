CREATE TYPE attachment_state AS ENUM (
    'awaiting_upload',  -- -> ready (the bytes are what was announced), -> refused, -> forgotten
    'ready',            -- -> refused (an image that cannot be drawn), -> forgotten (never sent, or its message was deleted)
    'refused',          -- -> forgotten
    'forgotten',        -- -> gone, or the row is deleted: its objects are
    'gone'              -- kept for the deleted message that named it
);

-- Files on their way into a message, and in one.
CREATE TABLE attachments (
    id uuid PRIMARY KEY DEFAULT uuidv7(),
    conversation_id uuid NOT NULL REFERENCES conversations,
    sender_id uuid NOT NULL REFERENCES users,
    name text NOT NULL CONSTRAINT attachments_name_short CHECK (length(name) BETWEEN 1 AND 120),
    content_type text NOT NULL,
    size_bytes int NOT NULL CONSTRAINT attachments_size_positive CHECK (size_bytes > 0),
    state attachment_state NOT NULL DEFAULT 'awaiting_upload',
    reason text NOT NULL DEFAULT '',
    -- The message that it goes with, from right before that is committed: no other message may take it.
    client_id uuid,
    claimed_at timestamptz,
    -- Where that message stands; written down later, by the sweep.
    message_seq bigint,
    -- Images: the size of the picture, drawn anew without metadata.
    width int,
    height int,
    -- Until then the upload's form may write; null once what it may have written since was deleted.
    upload_until timestamptz,
    created_at timestamptz NOT NULL DEFAULT now(),
    CONSTRAINT attachments_claimed_whole CHECK ((client_id IS NULL) = (claimed_at IS NULL)),
    CONSTRAINT attachments_sent_by_a_message CHECK (message_seq IS NULL OR client_id IS NOT NULL),
    CONSTRAINT attachments_drawn_whole CHECK ((width IS NULL) = (height IS NULL))
);
CREATE INDEX attachments_unsettled ON attachments (created_at) WHERE message_seq IS NULL;
CREATE INDEX attachments_forgotten ON attachments (created_at) WHERE state = 'forgotten';
CREATE INDEX attachments_uploads ON attachments (upload_until) WHERE upload_until IS NOT NULL;
CREATE INDEX attachments_waiting ON attachments (sender_id) WHERE client_id IS NULL;
CREATE INDEX attachments_by_conversation ON attachments (conversation_id, id) WHERE client_id IS NOT NULL;
