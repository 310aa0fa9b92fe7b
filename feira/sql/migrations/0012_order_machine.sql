ALTER TYPE order_status ADD VALUE 'disputed' BEFORE 'completed';  -- shipped, delivered -> disputed -> completed, refunded, split, or back
ALTER TYPE order_status ADD VALUE 'refunded' BEFORE 'cancelled';  -- a dispute's end: the buyer has it all back
ALTER TYPE order_status ADD VALUE 'split' BEFORE 'cancelled';     -- a dispute's end: the buyer has a part of it back

-- How long a shop takes to ship, from the payment; NULL is the market's usual time.
ALTER TABLE shops ADD COLUMN ship_within_s int
    CONSTRAINT shops_ship_within_sane CHECK (ship_within_s BETWEEN 3600 AND 7776000);

-- All of an order's terms, frozen at checkout: the market's and the shop's later ones move no deadline of an old order.
ALTER TABLE orders ADD COLUMN terms jsonb NOT NULL DEFAULT
    '{"ship_within_s": 259200, "late_cancel_s": 259200, "cancel_answer_s": 172800, "arrive_within_s": 1814400, "auto_accept_s": 1209600, "dispute_decision_s": 604800}';
UPDATE orders SET terms = terms || jsonb_build_object('auto_accept_s', auto_accept_s);
ALTER TABLE orders DROP COLUMN auto_accept_s;

-- Units that will not be shipped any more.
ALTER TABLE order_lines ADD COLUMN cancelled int NOT NULL DEFAULT 0
    CONSTRAINT order_lines_cancelled_in_range CHECK (cancelled BETWEEN 0 AND quantity);

-- A deadline that stands still since then; it goes on later by as much as it stood.
ALTER TABLE order_deadlines ADD COLUMN paused_at timestamptz;
ALTER TABLE order_deadlines DROP CONSTRAINT order_deadlines_kind_known;
ALTER TABLE order_deadlines ADD CONSTRAINT order_deadlines_kind_known CHECK (
    kind IN ('hold', 'ship_by', 'late_cancel', 'cancel_answer', 'arrival', 'auto_accept', 'dispute_decision')
);
DROP INDEX order_deadlines_due;
CREATE INDEX order_deadlines_due ON order_deadlines (kind, due_at) WHERE paused_at IS NULL;

INSERT INTO order_deadlines (order_id, kind, due_at)
SELECT id, 'ship_by', updated_at + interval '3 days' FROM orders WHERE status IN ('paid', 'accepted')
UNION ALL
SELECT id, 'arrival', updated_at + interval '21 days' FROM orders WHERE status = 'shipped';

-- What one side asks of the other and waits for; gone with the answer. The order's topic keeps all of it.
CREATE TABLE order_requests (
    order_id uuid NOT NULL REFERENCES orders,
    kind text NOT NULL CONSTRAINT order_requests_kind_known CHECK (kind IN ('cancel', 'more_time')),
    asked_by uuid NOT NULL REFERENCES users,
    reason text NOT NULL,
    -- Until when the shop would like to ship.
    ship_by timestamptz,
    asked_at timestamptz NOT NULL,
    PRIMARY KEY (order_id, kind),
    CONSTRAINT order_requests_ship_by_for_time CHECK ((kind = 'more_time') = (ship_by IS NOT NULL))
);

CREATE TYPE dispute_state AS ENUM (
    'open',       -- -> withdrawn (buyer), -> settled (both sides), -> decided (support), -> charged_back (the bank)
    'withdrawn',
    'settled',
    'decided',
    'charged_back'
);

CREATE TABLE order_disputes (
    id uuid PRIMARY KEY DEFAULT uuidv7(),
    order_id uuid NOT NULL REFERENCES orders,
    opened_by uuid NOT NULL REFERENCES users,
    problem text NOT NULL CONSTRAINT order_disputes_problem_known CHECK (
        problem IN ('not_arrived', 'damaged', 'not_as_described', 'wrong_item', 'incomplete', 'other')
    ),
    -- Where the order goes on when the buyer withdraws.
    opened_from text NOT NULL CONSTRAINT order_disputes_opened_from_known CHECK (opened_from IN ('shipped', 'delivered')),
    conversation_id uuid NOT NULL REFERENCES conversations,
    state dispute_state NOT NULL DEFAULT 'open',
    opened_at timestamptz NOT NULL,
    -- The proposal on the table: how much goes back to the buyer.
    proposed_by text CONSTRAINT order_disputes_proposed_by_known CHECK (proposed_by IN ('buyer', 'seller')),
    proposed_refund_minor bigint CONSTRAINT order_disputes_proposed_not_negative CHECK (proposed_refund_minor >= 0),
    -- Who of support looks after it.
    claimed_by uuid REFERENCES users,
    claimed_at timestamptz,
    -- How it ended, and by whom; nobody where the bank ended it.
    outcome text CONSTRAINT order_disputes_outcome_known CHECK (outcome IN ('completed', 'refunded', 'split')),
    refund_minor bigint CONSTRAINT order_disputes_refund_not_negative CHECK (refund_minor >= 0),
    ended_by uuid REFERENCES users,
    ended_at timestamptz,
    why text NOT NULL DEFAULT '',
    CONSTRAINT order_disputes_proposal_whole CHECK ((proposed_by IS NULL) = (proposed_refund_minor IS NULL)),
    CONSTRAINT order_disputes_claim_whole CHECK ((claimed_by IS NULL) = (claimed_at IS NULL)),
    CONSTRAINT order_disputes_end_whole CHECK ((state = 'open') = (ended_at IS NULL)),
    CONSTRAINT order_disputes_outcome_whole CHECK (
        (state IN ('settled', 'decided')) = (outcome IS NOT NULL) AND (outcome IS NULL) = (refund_minor IS NULL)
    )
);
CREATE UNIQUE INDEX order_disputes_one_open ON order_disputes (order_id) WHERE state = 'open';
CREATE INDEX order_disputes_by_order ON order_disputes (order_id, id);
-- Support's queue: the open ones first, the oldest of them first of all.
CREATE INDEX order_disputes_queue ON order_disputes (state, id);

CREATE TABLE dispute_evidence (
    id uuid PRIMARY KEY DEFAULT uuidv7(),
    dispute_id uuid NOT NULL REFERENCES order_disputes,
    author_id uuid NOT NULL REFERENCES users,
    side text NOT NULL CONSTRAINT dispute_evidence_side_known CHECK (side IN ('buyer', 'seller', 'support')),
    text text NOT NULL CONSTRAINT dispute_evidence_text_short CHECK (length(text) BETWEEN 1 AND 4000),
    at timestamptz NOT NULL
);
CREATE INDEX dispute_evidence_by_dispute ON dispute_evidence (dispute_id, id);

-- A file that speaks for somebody in a dispute. It stays, whatever becomes of messages.
ALTER TABLE attachments ADD COLUMN evidence_id uuid REFERENCES dispute_evidence;
CREATE INDEX attachments_by_evidence ON attachments (evidence_id) WHERE evidence_id IS NOT NULL;
