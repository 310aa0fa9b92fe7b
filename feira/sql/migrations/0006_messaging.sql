CREATE TABLE conversations (
    id uuid PRIMARY KEY DEFAULT uuidv7(),
    -- What it is about: a product, an order, or nothing.
    subject_kind text CONSTRAINT conversations_subject_known CHECK (subject_kind IN ('product', 'order')),
    subject_id uuid,
    -- Buyer, shop and subject in one string: opening the same conversation twice gives the same one.
    dedup text NOT NULL CONSTRAINT conversations_dedup_unique UNIQUE,
    shop_id uuid NOT NULL REFERENCES shops,
    buyer_id uuid NOT NULL REFERENCES users,
    seq bigint NOT NULL DEFAULT 0 CONSTRAINT conversations_seq_not_negative CHECK (seq >= 0),
    last_message_at timestamptz,
    created_at timestamptz NOT NULL DEFAULT now(),
    CONSTRAINT conversations_subject_whole CHECK ((subject_kind IS NULL) = (subject_id IS NULL))
) WITH (fillfactor = 70);

CREATE TABLE conversation_members (
    conversation_id uuid NOT NULL REFERENCES conversations,
    user_id uuid NOT NULL REFERENCES users,
    -- Cursors only move forward: everything up to and including them.
    read_seq bigint NOT NULL DEFAULT 0,
    delivered_seq bigint NOT NULL DEFAULT 0,
    joined_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (conversation_id, user_id)
) WITH (fillfactor = 70);
CREATE INDEX conversation_members_by_user ON conversation_members (user_id);

-- A conversation's log. `body` is the event as it goes out on the wire.
CREATE TABLE messages (
    conversation_id uuid NOT NULL REFERENCES conversations,
    seq bigint NOT NULL,
    sender_id uuid NOT NULL REFERENCES users,
    -- Chosen by the sender's device: however often a message is resent, it is there once.
    client_id uuid NOT NULL,
    body json NOT NULL,
    at timestamptz NOT NULL,
    PRIMARY KEY (conversation_id, seq),
    CONSTRAINT messages_once_per_client_id UNIQUE (conversation_id, sender_id, client_id)
);
