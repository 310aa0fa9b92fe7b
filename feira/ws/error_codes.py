"""The codes of errors that the socket itself gives; those of orders, messages and so on are the same as over HTTP."""

from __future__ import annotations

from typing import Final

ERROR_CODES: Final = {
    "request.invalid": "A message is not what its type says; `field` names the part.",
    "socket.not_connected": "Send `connect` first.",
    "socket.connected_already": "Send `refresh` for a newer token.",
    "socket.too_many_topics": "Unsubscribe from some first.",
    "socket.rate_limited": "Too many messages; wait for `retry_after`.",
    "socket.overloaded": "Too many messages wait for their commit; wait for answers.",
    "socket.connect_opens_a_stream": "Over HTTP, `connect` goes to `/v1/socket/stream`.",
    "socket.stream_required": "Over HTTP, this needs `?stream=ID`.",
    "auth.other_session": "The newer token belongs to another session; open a new socket.",
    "topic.malformed": "There is no such topic.",
    "topic.not_a_conversation": "Only conversations have messages, cursors, typing and offers.",
    "topic.not_found": "There is no such topic, or it is not yours.",
}
