"""The aiohttp runner: our limits, no second access log, and problems even for bytes that are no HTTP."""

from __future__ import annotations

import asyncio
from typing import Any, Final

import structlog
from aiohttp import web
from aiohttp.web_protocol import RequestHandler

from feira.http import problem
from feira.http.middlewares import choose_request_id

KEEPALIVE_S: Final = 75.0
HEADER_LINE_BYTES_MAX: Final = 8190
# A request that is late with its head holds a connection, nothing more.
LINGER_S: Final = 5.0

log = structlog.get_logger()


def build_runner(
    app: web.Application, *, shutdown_timeout_s: float, keepalive_s: float = KEEPALIVE_S
) -> web.AppRunner:
    """A runner for `app`; the caller sets it up, adds sites and cleans it up.

    A connection has `keepalive_s` from its opening, or its last answer, to send the head of a request whole.
    """
    return _Runner(
        app,
        access_log=None,
        keepalive_timeout=keepalive_s,
        max_line_size=HEADER_LINE_BYTES_MAX,
        max_field_size=HEADER_LINE_BYTES_MAX,
        lingering_time=LINGER_S,
        shutdown_timeout=shutdown_timeout_s,
    )


class _Connection(RequestHandler):
    """One connection. aiohttp calls `handle_error` for what never reached a middleware."""

    def handle_error(
        self,
        request: web.BaseRequest,
        status: int = 500,
        exc: BaseException | None = None,
        message: str | None = None,  # noqa: ARG002 - aiohttp's signature
    ) -> web.StreamResponse:
        request_id = choose_request_id(request)
        if status < web.HTTPInternalServerError.status_code:
            # Scanners and broken clients: worth a count, not a traceback.
            log.info("http.malformed", request_id=request_id, status=status)
            answer = problem.to_response(problem.of_unreadable_http(status, request_id))
        else:
            log.error("http.failed", request_id=request_id, exc_info=exc)
            answer = problem.to_response(problem.of_unexpected_error(request_id))
        if request.writer.output_size > 0:
            # RFC 9112, 8: a cut connection is the only way to say that an answer is incomplete.
            raise ConnectionError("an answer was under way")
        answer.headers["X-Request-ID"] = request_id
        answer.force_close()
        return answer

    def log_exception(self, *args: object, **kw: object) -> None:
        if isinstance(kw.get("exc_info"), web.RequestPayloadError):
            # A body that broke off or was not what its framing said; the request itself was answered.
            log.info("http.malformed_body")
            return
        super().log_exception(*args, **kw)


class _Server(web.Server):
    def __call__(self) -> RequestHandler:
        return _Connection(self, loop=self._loop, **self._kwargs)


class _Runner(web.AppRunner):
    async def _make_server(self) -> web.Server:
        made: Any = await super()._make_server()
        return _Server(
            made.request_handler,
            request_factory=made.request_factory,
            loop=asyncio.get_running_loop(),
            **made._kwargs,  # noqa: SLF001 - aiohttp has no public way to choose the connection's class
        )
