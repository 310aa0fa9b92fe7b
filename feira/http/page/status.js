// Words for states, the same wherever an order, a shop or a product is shown.

const ORDERS = {
  pending_payment: ["Waiting for payment", "warm"],
  paid: ["Paid", "hot"],
  accepted: ["Being prepared", "hot"],
  shipped: ["On its way", "hot"],
  delivered: ["Delivered", "good"],
  disputed: ["Disputed", "warm"],
  refunded: ["Refunded", "bad"],
  split: ["Settled", ""],
  completed: ["Completed", "good"],
  cancelled: ["Cancelled", "bad"],
  expired: ["Expired", ""],
};

const PRODUCTS = { draft: ["Draft", "warm"], published: ["On the market", "good"], archived: ["Archived", ""] };

const OFFERS = {
  open: ["Open", "hot"],
  countered: ["Answered with another", "warm"],
  accepted: ["Accepted", "good"],
  declined: ["Declined", "bad"],
  withdrawn: ["Taken back", ""],
  expired: ["Ran out", ""],
};

const SHOPS = {
  applied: ["Applied", "warm"],
  verifying: ["Being verified", "warm"],
  verified: ["Waiting for approval", "warm"],
  approved: ["Open", "good"],
  restricted: ["Restricted", "bad"],
  suspended: ["Suspended", "bad"],
  rejected: ["Turned down", "bad"],
};

const EVENTS = {
  "order.created": "Order placed",
  "order.paid": "Paid",
  "order.paid_late": "Paid after the hold had ended; the money goes back",
  "order.payment_declined": "Payment declined",
  "order.accepted": "Accepted by the stall",
  "order.partially_shipped": "A part is on its way",
  "order.shipped": "On its way",
  "order.parcel_delivered": "A parcel arrived",
  "order.delivered": "Delivered",
  "order.completed": "Completed",
  "order.cancelled": "Cancelled",
  "order.rest_cancelled": "The rest was cancelled",
  "order.cancel_requested": "The buyer asks to cancel",
  "order.cancel_declined": "The stall does not cancel",
  "order.ship_by_missed": "The stall is late; the buyer may cancel",
  "order.more_time_requested": "The stall asks for more time",
  "order.ship_by_extended": "The stall has more time",
  "order.dispute_opened": "Something is wrong: a dispute was opened",
  "order.evidence_added": "Evidence was added",
  "order.settlement_proposed": "A settlement is proposed",
  "order.dispute_withdrawn": "The dispute was withdrawn",
  "order.dispute_overdue": "Support takes longer than it should",
  "order.dispute_settled": "Both sides settled",
  "order.dispute_decided": "Support decided",
  "order.charged_back": "The buyer's bank took the money back",
  "order.chargeback_won": "The money is back",
  "order.chargeback_lost": "The buyer's bank kept the money",
  "order.expired": "Expired without payment",
  "order.refunded": "Money returned",
};

const words = (table, key) => table[key] ?? [String(key).replaceAll("_", " "), ""];

export const orderStatus = (status) => words(ORDERS, status);
export const offerStatus = (status) => words(OFFERS, status);
export const productStatus = (status) => words(PRODUCTS, status);
export const shopStatus = (status) => words(SHOPS, status);
export const eventTitle = (kind) => EVENTS[kind] ?? kind.split(".").at(-1).replaceAll("_", " ");
