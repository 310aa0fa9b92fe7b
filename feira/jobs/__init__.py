"""Committed job rows carried out once: relay, worker, sweeper, schedule, one module per kind of job."""
