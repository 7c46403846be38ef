"""The server of the page: on this machine alone unless it is told otherwise, and then only for whoever has the address with its token."""

from __future__ import annotations

import ipaddress
import secrets
import socket
from collections.abc import Callable
from contextlib import closing

import uvicorn

from seedbed.errors import MachineError
from seedbed.view.app import ENTRY, Viewer, make_app

PATIENCE = 2  # seconds that an answer may still take when the server is told to end
LOCAL = ("127.0.0.1", "localhost", "[::1]")


def serve(viewer: Viewer, *, host: str, port: int, announce: Callable[[str], None]) -> None:
    """Answer until interrupted.

    port: 0 takes one that is free.
    announce: is given the address.
    """
    local = is_local(host)
    token = "" if local else secrets.token_urlsafe(24)
    with closing(_listen(host, port)) as listening:
        port = listening.getsockname()[1]
        app = make_app(viewer, hosts=LOCAL if local else (), token=token)
        shown = f"[{host}]" if ":" in host else host
        announce(f"http://{shown}:{port}/" + (f"?{ENTRY}={token}" if token else ""))
        config = uvicorn.Config(
            app, log_level="warning", access_log=False, server_header=False, lifespan="off", timeout_graceful_shutdown=PATIENCE
        )
        uvicorn.Server(config).run(sockets=[listening])


def is_local(host: str) -> bool:
    """Whether only this machine reaches an address."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _listen(host: str, port: int) -> socket.socket:
    try:
        return socket.create_server((host, port), family=socket.AF_INET6 if ":" in host else socket.AF_INET)
    except OSError as error:
        raise MachineError(
            f"{host}:{port}", found=f"no way to listen there: {error.strerror}", expected="a free port", do="name another with --port"
        ) from error
