"""A real S3-compatible server on this machine (moto's), behind a connection that can be cut, slowed and counted."""

import logging
import socket
import threading
import time
from collections.abc import Iterable
from contextlib import nullcontext, suppress
from typing import Any

import requests


class Wire:
    """A proxy between a client and the server.

    Attributes:
        cut_after: bytes that clients can still send before every connection is cut; None: unlimited.
        down: no connection is accepted.
        delay: seconds that each read waits, in both directions.
        tries: number of connection attempts.
        lost_answers: number of the server's next answers that are lost with their connection.
    """

    def __init__(self, port: int) -> None:
        self.to = port
        self.down, self.delay, self.cuts, self.lost_answers, self.tries = False, 0.0, 0, 0, 0
        self.cut_after: int | None = None
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        self._open: set[socket.socket] = set()
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
                self.tries += 1
                if self.down:
                    client.close()
                    continue
                server = socket.create_connection(("127.0.0.1", self.to))
            except OSError:
                return
            self._open |= {client, server}
            for source, sink in ((client, server), (server, client)):
                threading.Thread(
                    target=self._pump, args=(source, sink, source is client), daemon=True
                ).start()

    def _pump(self, source: socket.socket, sink: socket.socket, is_clients: bool) -> None:
        with suppress(OSError):
            while data := source.recv(1 << 16):
                time.sleep(self.delay)
                if is_clients and self.cut_after is not None:
                    self.cut_after -= len(data)
                    if self.cut_after < 0:
                        self.cut_after = None
                        self.cut()
                        break
                if not is_clients and self.lost_answers:
                    self.lost_answers -= 1
                    self.cuts += 1
                    break
                sink.sendall(data)
        for end in (source, sink):
            with suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)
            self._open.discard(end)

    def cut(self) -> None:
        """Cut all connections."""
        self.cuts += 1
        for end in list(self._open):
            with suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        self._listener.close()
        self.cut()


class Server:
    """A server with one bucket, `runs`.

    Attributes:
        asked: (method, object) of each received request.
        answer: the response to every request instead of the real one, such as `503 Slow Down`.
        heedless: it does not know If-None-Match, as some servers do not.
    """

    def __init__(self) -> None:
        from moto.moto_server.werkzeug_app import DomainDispatcherApplication, create_backend_app
        from werkzeug.serving import make_server

        self.asked: list[tuple[str, str]] = []
        self.answer: str | None = None
        self.heedless = False
        inner, alone = DomainDispatcherApplication(create_backend_app), threading.Lock()

        def app(environ: dict[str, Any], respond: Any) -> Iterable[bytes]:
            self.asked.append((environ["REQUEST_METHOD"], environ["PATH_INFO"]))
            if self.answer is not None:
                respond(self.answer, [])
                return []
            if self.heedless:
                environ.pop("HTTP_IF_NONE_MATCH", None)
            # moto looks at a condition and writes in two steps, and lists while others write; S3 does each in one.
            is_listing = "list-type" in environ["QUERY_STRING"]
            is_reading = environ["REQUEST_METHOD"] in ("GET", "HEAD") and not is_listing
            with nullcontext() if is_reading else alone:
                answer: Iterable[bytes] = inner(environ, respond)
            return answer

        logging.getLogger("werkzeug").setLevel(logging.ERROR)
        self._server = make_server("127.0.0.1", 0, app, threaded=True)
        threading.Thread(target=self._server.serve_forever, daemon=True).start()
        self.wire = Wire(self._server.port)
        bucket = f"http://127.0.0.1:{self._server.port}/runs"
        requests.put(bucket, timeout=30).raise_for_status()

    def environment(self) -> dict[str, str]:
        """Return the environment variables for clients of this server."""
        return {
            "AWS_ACCESS_KEY_ID": "somebody",
            "AWS_SECRET_ACCESS_KEY": "something",
            "AWS_REGION": "us-east-1",
            "AWS_ENDPOINT_URL": f"http://127.0.0.1:{self.wire.port}",
        }

    def settle(self) -> None:
        """Restore the connection, and clear the recorded requests."""
        wire = self.wire
        wire.down, wire.delay, wire.cuts, wire.lost_answers, wire.cut_after = False, 0.0, 0, 0, None
        self.answer, self.heedless = None, False
        self.asked.clear()

    def close(self) -> None:
        self.wire.close()
        self._server.shutdown()
