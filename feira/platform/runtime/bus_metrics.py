"""What the bus counts. None of it is lost for good: the top check reads it from Postgres."""

from typing import Final

from prometheus_client import Counter

LINKS_LOST: Final = Counter("feira_bus_links_lost", "Connections that broke or failed", ["link"])
MESSAGES_DROPPED: Final = Counter(
    "feira_bus_messages_dropped", "Messages that gave way to newer ones while Redis was away"
)
GAPS_CLOSED: Final = Counter(
    "feira_bus_gaps_closed", "Topics heard again after something may have been missed"
)
