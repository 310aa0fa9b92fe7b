-- Money can be reserved first and taken once the orders stand.
ALTER TYPE payment_state ADD VALUE 'authorized' BEFORE 'captured';  -- -> captured, -> canceled
ALTER TABLE payments
    -- Whether money is taken at once or reserved first: set for good with the gateway.
    ADD COLUMN capture text CONSTRAINT payments_capture_known CHECK (capture IN ('automatic', 'manual')),
    ADD COLUMN authorized_until timestamptz;
-- Payments that a provider has to be told of, if their request did not.
CREATE INDEX payments_to_introduce ON payments (created_at) WHERE state = 'created';
