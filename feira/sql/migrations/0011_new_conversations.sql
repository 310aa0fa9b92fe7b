-- How many conversations a buyer opened within the last hour, whichever server was asked.
CREATE INDEX conversations_by_opening ON conversations (buyer_id, created_at);
