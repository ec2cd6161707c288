"""A small stand-in for ModelScope's hub: its addresses, its listing, ranged downloads, and its bad days."""

from __future__ import annotations

import hashlib
import json
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

COMMIT = "5a3ed0b1c6b5a5e1a6c3b6f35fd2b2a9c0e4d7f1"


class StandInHub:
    """Serves one folder as one model with one revision. The attributes below may be changed while it runs."""

    def __init__(self, folder: Path, model: str, revision: str = "master") -> None:
        self.folder, self.model, self.revision = folder, model, revision
        self.licence = "cc-by-nc-4.0"
        # File -> bytes after which the connection breaks, once.
        self.cuts: dict[str, int] = {}
        # File -> bytes after which nothing more comes until the stand-in is closed.
        self.stalls: dict[str, int] = {}
        # Files whose content arrives changed.
        self.spoiled: set[str] = set()
        # (file, first byte asked for), in order.
        self.asked: list[tuple[str, int]] = []
        self.closing = threading.Event()

    def listing(self) -> list[dict[str, Any]]:
        entries: list[dict[str, Any]] = [{"Path": "assets", "Name": "assets", "Type": "tree", "Size": 0}]
        for path in sorted(self.folder.iterdir()):
            content = path.read_bytes()
            entries.append(
                {
                    "Path": path.name,
                    "Name": path.name,
                    "Type": "blob",
                    "Size": len(content),
                    "Sha256": hashlib.sha256(content).hexdigest(),
                    "Revision": COMMIT,
                    "CommittedDate": 1_700_000_000,
                }
            )
        return entries


@contextmanager
def running(hub: StandInHub) -> Iterator[str]:
    """Give the address at which the stand-in answers."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def log_message(self, *args: Any) -> None:
            pass

        def do_GET(self) -> None:
            address = urlsplit(self.path)
            query = {name: values[0] for name, values in parse_qs(address.query).items()}
            if address.path == f"/openapi/v1/models/{hub.model}":
                self.answer({"success": True, "data": {"id": hub.model, "license": hub.licence}})
            elif not address.path.startswith(f"/api/v1/models/{hub.model}/repo") or query["Revision"] != hub.revision:
                self.answer({"Code": 10010205001, "Message": "not found", "Success": False}, 404)
            elif address.path.endswith("/repo/files"):
                self.answer({"Code": 200, "Success": True, "Data": {"Files": hub.listing()}})
            else:
                self.file(query["FilePath"])

        def answer(self, document: dict[str, Any], status: int = 200) -> None:
            content = json.dumps(document).encode()
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def file(self, name: str) -> None:
            content = (hub.folder / name).read_bytes()
            if name in hub.spoiled:
                content = content[:-1] + bytes([content[-1] ^ 1])
            ranged = re.fullmatch(r"bytes=(\d+)-", self.headers.get("Range", ""))
            first = int(ranged[1]) if ranged else 0
            hub.asked.append((name, first))
            self.send_response(206 if ranged else 200)
            self.send_header("Content-Length", str(len(content) - first))
            if ranged:
                self.send_header("Content-Range", f"bytes {first}-{len(content) - 1}/{len(content)}")
            self.end_headers()
            # The peer may be gone: some of these tests kill it.
            with suppress(OSError):
                cut, stall = hub.cuts.pop(name, None), hub.stalls.get(name)
                if cut is not None:
                    self.wfile.write(content[first:cut])
                    self.close_connection = True
                elif stall is not None:
                    self.wfile.write(content[first:stall])
                    hub.closing.wait(60)
                    self.close_connection = True
                else:
                    self.wfile.write(content[first:])

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        hub.closing.set()
        server.shutdown()
        thread.join()
        server.server_close()
