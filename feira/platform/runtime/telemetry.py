"""What a process tells of itself: structured log lines on standard error.

Metrics stand beside what they measure (`metrics.py`), in Prometheus's own registry, served at /metrics.

A log line is a constant event name (`http.request`) and fields. Secrets never get in: fields with a secret's
name are masked, tracebacks show no local variables, and nothing logs bodies, tokens or query strings.
"""

from __future__ import annotations

import logging
import sys
from typing import Final, Literal, TextIO, cast

import orjson
import structlog
from structlog.typing import EventDict, Processor, WrappedLogger

from feira.platform.runtime.config import MASK, LogLevel

LogFormat = Literal["console", "json"]

_LEVELS: Final[dict[LogLevel, int]] = {
    "debug": logging.DEBUG,
    "info": logging.INFO,
    "warning": logging.WARNING,
    "error": logging.ERROR,
}
SECRET_FIELDS: Final = frozenset(
    {
        "access_token",
        "authorization",
        "cookie",
        "password",
        "refresh_token",
        "secret",
        "secret_key",
        "token",
    }
)
# Chatty below warning, and none of it about the market.
_QUIET_LIBRARIES: Final = ("aiobotocore", "arq", "asyncio", "botocore", "urllib3")


def configure_logging(
    level: LogLevel, log_format: LogFormat, *, stream: TextIO | None = None
) -> None:
    """Send this process's log lines, and those of its libraries, to `stream` (standard error)."""
    output = stream or cast("TextIO", sys.stderr)
    shared: list[Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        mask_secrets,
    ]
    finish = _finish_json() if log_format == "json" else _finish_console(output)
    structlog.configure(
        processors=[*shared, *finish],
        wrapper_class=structlog.make_filtering_bound_logger(_LEVELS[level]),
        logger_factory=structlog.WriteLoggerFactory(file=output),
        cache_logger_on_first_use=True,
    )
    _adopt_libraries(_LEVELS[level], output, shared, finish)


def mask_secrets(_logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
    """Mask fields that carry a secret's name, whoever logged them."""
    for name in SECRET_FIELDS.intersection(event):
        event[name] = MASK
    return event


def _finish_json() -> list[Processor]:
    transform = structlog.tracebacks.ExceptionDictTransformer(show_locals=False)
    return [
        structlog.processors.ExceptionRenderer(transform),
        structlog.processors.JSONRenderer(serializer=_to_json),
    ]


def _to_json(event: EventDict, **_options: object) -> str:
    # `default=str` lets ids, paths and exceptions be fields.
    return orjson.dumps(event, default=str, option=orjson.OPT_NON_STR_KEYS).decode()


def _finish_console(stream: TextIO) -> list[Processor]:
    return [
        structlog.dev.ConsoleRenderer(
            colors=stream.isatty(),
            # The default prints local variables, and those hold secrets.
            exception_formatter=structlog.dev.plain_traceback,
        )
    ]


def _adopt_libraries(
    level: int, stream: TextIO, shared: list[Processor], finish: list[Processor]
) -> None:
    handler = logging.StreamHandler(stream)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=[structlog.stdlib.add_logger_name, *shared],
            processors=[
                structlog.stdlib.ProcessorFormatter.remove_processors_meta,
                *finish,
            ],
        )
    )
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level)
    for name in _QUIET_LIBRARIES:
        logging.getLogger(name).setLevel(max(level, logging.WARNING))
