"""What Prometheus sees of the jobs."""

from __future__ import annotations

from typing import Final

from prometheus_client import Counter, Gauge, Histogram

ATTEMPTS: Final = Counter(
    "feira_job_attempts_total",
    "Attempts by kind and how they ended: done, retry, dead, lost, released.",
    ["kind", "outcome"],
)
SECONDS: Final = Histogram(
    "feira_job_seconds",
    "Seconds an attempt ran.",
    ["kind"],
    buckets=(0.005, 0.02, 0.1, 0.5, 2, 10, 30, 120),
)
WAITED: Final = Histogram(
    "feira_job_waited_seconds",
    "Seconds between a job's due time and its claim.",
    ["kind"],
    buckets=(0.02, 0.1, 0.5, 2, 10, 60, 300, 3600),
)
RUNNING: Final = Gauge("feira_jobs_running", "Attempts running in this process.")
RELAYED: Final = Counter("feira_jobs_relayed_total", "Attempts handed to the queue.")
SWEPT: Final = Counter(
    "feira_jobs_swept_total", "Attempts whose lease ran out.", ["kind", "outcome"]
)
FIRED: Final = Counter("feira_schedule_fires_total", "Slots this process fired.", ["schedule"])
LOOP_FAILURES: Final = Counter(
    "feira_job_loop_failures_total",
    "Times a loop of the worker fell and was started again.",
    ["loop"],
)
