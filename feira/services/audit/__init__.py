"""The audit log: written by every service, read by admins, and by everybody about their own account."""
