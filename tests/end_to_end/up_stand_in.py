"""`feira up` with stand-ins for its children: python up_stand_in.py DATA_DIR PORT [ROLE_OF_SERVERS]

As a child: python up_stand_in.py serve|work|finish. `serve` answers every request with its process id.
"""

import asyncio
import http.server
import os
import signal
import socket
import sys
from pathlib import Path

from feira.commands.up import NodeCommands, Up, UpOptions
from feira.platform.runtime.config import load_config


class _Server(http.server.ThreadingHTTPServer):
    def server_bind(self) -> None:
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        super().server_bind()


class _Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        body = str(os.getpid()).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


def _serve() -> None:
    config = load_config(os.environ)
    # The default of SIGTERM ends it at once: nothing here needs a drain.
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    print(f"listening on {config.port}", flush=True)
    _Server((config.host, config.port), _Handler).serve_forever()


def _work() -> None:
    signal.sigwait({signal.SIGTERM})


async def _up(data_dir: Path, port: int, serve: str) -> None:
    def stand_in(role: str) -> list[str]:
        return [sys.executable, __file__, role]

    commands = NodeCommands(
        migrate=stand_in("finish"),
        seed=stand_in("finish"),
        serve=stand_in(serve),
        work=stand_in("work"),
    )
    options = UpOptions(data_dir=data_dir, port=port)
    await Up(load_config({}), options, commands, lambda line: print(line, flush=True)).run()


if __name__ == "__main__":
    match sys.argv[1]:
        case "serve":
            _serve()
        case "work":
            signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})
            _work()
        case "finish":
            print("done", flush=True)
        case data_dir:
            serve = sys.argv[3] if len(sys.argv) > 3 else "serve"
            asyncio.run(_up(Path(data_dir), int(sys.argv[2]), serve))
