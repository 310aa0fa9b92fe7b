-- A passed deadline that could not be carried out is tried again then, so that it does not keep the others waiting.
ALTER TABLE order_deadlines ADD COLUMN retry_at timestamptz;
