-- A conversation's log is two tables that share its numbers: messages, which people have to read, and changes, which they
-- have not. Unread messages are (seq - changes) of the conversation less (read_seq - read_changes) of the member.
ALTER TABLE conversations
    -- How many of the log's entries up to seq are changes.
    ADD COLUMN changes bigint NOT NULL DEFAULT 0,
    ADD CONSTRAINT conversations_changes_counted CHECK (changes BETWEEN 0 AND seq);

ALTER TABLE conversation_members
    -- How many of the log's entries up to read_seq are changes.
    ADD COLUMN read_changes bigint NOT NULL DEFAULT 0,
    ADD CONSTRAINT conversation_members_changes_counted CHECK (read_changes BETWEEN 0 AND read_seq),
    -- The buyer, the shop's team, or somebody who was called to help.
    ADD COLUMN role text NOT NULL DEFAULT 'shop'
        CONSTRAINT conversation_members_role_known CHECK (role IN ('buyer', 'shop', 'support'));
UPDATE conversation_members m SET role = 'buyer' FROM conversations c WHERE c.id = m.conversation_id AND c.buyer_id = m.user_id;
ALTER TABLE conversation_members ALTER COLUMN role DROP DEFAULT;

ALTER TABLE messages
    -- The message as it reads now, once it was edited: `body` stays as it was said, until a deletion takes both.
    ADD COLUMN revised json,
    -- Where in the log it was deleted.
    ADD COLUMN deleted_seq bigint,
    ADD CONSTRAINT messages_deleted_are_bare CHECK (deleted_seq IS NULL OR revised IS NULL);

CREATE TABLE conversation_changes (
    conversation_id uuid NOT NULL REFERENCES conversations,
    seq bigint NOT NULL,
    -- Which of the conversation's changes it is: 1, 2, 3 ...
    nth bigint NOT NULL,
    actor_id uuid NOT NULL REFERENCES users,
    -- Chosen by the actor's device, as with messages; null for what cannot happen twice anyway.
    client_id uuid,
    -- The message whose new text `body` carries: a deletion takes it out.
    edited_seq bigint,
    -- Whether people see it between the messages.
    shown boolean NOT NULL,
    body json NOT NULL,
    at timestamptz NOT NULL,
    PRIMARY KEY (conversation_id, seq),
    CONSTRAINT conversation_changes_once_per_client_id UNIQUE (conversation_id, actor_id, client_id)
);
CREATE INDEX conversation_changes_shown ON conversation_changes (conversation_id, seq) WHERE shown;
CREATE INDEX conversation_changes_edits ON conversation_changes (conversation_id, edited_seq) WHERE edited_seq IS NOT NULL;

-- Reactions as they stand; how they came about is in the changes.
CREATE TABLE message_reactions (
    conversation_id uuid NOT NULL,
    message_seq bigint NOT NULL,
    user_id uuid NOT NULL REFERENCES users,
    emoji text NOT NULL CONSTRAINT message_reactions_emoji_short CHECK (length(emoji) BETWEEN 1 AND 16),
    -- Where in the log it was added: an emoji's users stand in this order.
    added_seq bigint NOT NULL,
    PRIMARY KEY (conversation_id, message_seq, user_id, emoji),
    FOREIGN KEY (conversation_id, message_seq) REFERENCES messages (conversation_id, seq)
);

-- Conversations whose members have asked for support, and that nobody has joined yet.
CREATE TABLE support_requests (
    conversation_id uuid PRIMARY KEY REFERENCES conversations,
    requested_by uuid NOT NULL REFERENCES users,
    reason text NOT NULL,
    requested_at timestamptz NOT NULL
);
CREATE INDEX support_requests_oldest ON support_requests (requested_at, conversation_id);

-- A message's reactions as they stand: [{"emoji": ..., "users": [...]}]. Emoji in the order of their code points, so that
-- whoever follows the events can tell it; users in the order in which they came.
CREATE FUNCTION reactions_to(conversation uuid, message bigint) RETURNS json LANGUAGE sql STABLE
RETURN coalesce((
    SELECT json_agg(json_build_object('emoji', emoji, 'users', users) ORDER BY emoji COLLATE "C")
    FROM (
        SELECT emoji, json_agg(user_id ORDER BY added_seq) AS users
        FROM message_reactions WHERE conversation_id = conversation AND message_seq = message GROUP BY emoji
    ) by_emoji
), '[]'::json);

-- The beginning of the message that another one replies to, as it reads now; JSON's null for none.
CREATE FUNCTION quote_of(conversation uuid, message bigint) RETURNS json LANGUAGE sql STABLE
RETURN coalesce((
    SELECT json_build_object(
        'seq', seq, 'sender', sender_id, 'text', left(coalesce(revised, body) ->> 'text', 120), 'deleted', deleted_seq IS NOT NULL
    )
    FROM messages WHERE conversation_id = conversation AND seq = message
), 'null'::json);
