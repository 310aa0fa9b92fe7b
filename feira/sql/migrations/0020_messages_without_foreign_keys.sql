-- Each message would ask for its conversation and its sender again, and lock the sender's row: a tenth of its cost.
-- The statements that append messages update the conversation and join the sender's membership, and neither a
-- conversation nor a user is ever deleted.
ALTER TABLE messages DROP CONSTRAINT messages_conversation_id_fkey;
ALTER TABLE messages DROP CONSTRAINT messages_sender_id_fkey;
