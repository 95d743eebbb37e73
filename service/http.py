"""The probes and `/metrics`, on loopback unless the configuration says otherwise."""

from __future__ import annotations

import json
import socket
import threading
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Final, cast

from prometheus_client import CollectorRegistry
from prometheus_client.exposition import CONTENT_TYPE_LATEST, generate_latest

from service.errors import UnreachableError
from service.health import Health, Probe

PROBES: Final = ("/livez", "/readyz", "/startupz")


class Handler(BaseHTTPRequestHandler):
    """Answers GET and HEAD for the probes and the metrics; reads nothing, changes nothing."""

    server_version = "tidegate"
    sys_version = ""
    timeout = 10.0  # a scraper that stalls must not hold a thread for ever

    def __init__(self, health: Health, registry: CollectorRegistry, *args: Any) -> None:
        self._health, self._registry = health, registry
        super().__init__(*args)

    def do_GET(self) -> None:
        """Answer one request."""
        path = self.path.partition("?")[0]
        if path == "/metrics":
            self._send(200, CONTENT_TYPE_LATEST, generate_latest(self._registry))
        elif path in PROBES:
            reasons = self._health.reasons(cast(Probe, path[1:]))
            body: dict[str, object] = {"status": "failing" if reasons else "ok", "reasons": reasons}
            if path == "/readyz" and (notes := self._health.notes()):
                body["degraded"] = notes
            self._send(503 if reasons else 200, "application/json", json.dumps(body).encode() + b"\n")
        else:
            self._send(404, "text/plain", b"try /livez, /readyz, /startupz or /metrics\n")

    def do_HEAD(self) -> None:
        """As GET, without the body: `curl -I`, and checkers that only look at the status."""
        self.do_GET()

    def _send(self, status: int, content_type: str, body: bytes) -> None:
        self.send_response(status)
        self.send_header("Content-Type", content_type)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the library's name
        """Say nothing: a probe every second is no news."""


class _Server6(ThreadingHTTPServer):
    address_family = socket.AF_INET6


class HttpServer:
    """The server and its thread; `port` is the real one, also where 0 was asked for."""

    def __init__(self, host: str, port: int, health: Health, registry: CollectorRegistry) -> None:
        host = host.removeprefix("[").removesuffix("]")
        kind = _Server6 if ":" in host else ThreadingHTTPServer
        try:
            self._server = kind((host, port), partial(Handler, health, registry))
        except OSError as error:
            raise UnreachableError(
                f"cannot listen on {host}:{port}",
                where="http.host, http.port",
                why=error.strerror or str(error),
                remedy="Choose a free port, or 0 for any, and a host that is this machine",
            ) from error
        self._server.daemon_threads = True
        self.host, self.port = host, int(self._server.server_address[1])
        self._thread = threading.Thread(target=self._server.serve_forever, name="http", daemon=True)
        self._thread.start()

    @property
    def address(self) -> str:
        """`http://host:port`."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"http://{host}:{self.port}"

    def close(self) -> None:
        """Stop answering."""
        self._server.shutdown()
        self._server.server_close()
        self._thread.join(5)
