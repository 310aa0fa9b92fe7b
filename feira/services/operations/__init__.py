"""What the market's own people see and do."""
