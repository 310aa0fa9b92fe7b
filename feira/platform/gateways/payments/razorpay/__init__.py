"""The payment port at Razorpay: payment links, captures, refunds, and Route transfers to linked accounts."""
