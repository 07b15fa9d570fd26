"""Asking the network: names, HTTP, raw sockets, this machine's own ports."""

from __future__ import annotations

import socket
import subprocess
import sys

import pytest

from katcore.sandbox import PYTHON
from tests.support.sandbox_cases import Make, said

TRY = """
import socket, sys
port = int(sys.argv[1])
def attempt(name, call):
    try:
        call()
        print(name, 'worked')
    except OSError as error:
        print(name, 'refused')
attempt('tcp', lambda: socket.create_connection(('127.0.0.1', port), 2))
def udp():
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as s:
        s.sendto(b'x', ('192.0.2.1', 53))
attempt('udp', udp)
attempt('raw', lambda: socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_ICMP))
attempt('packet', lambda: socket.socket(socket.AF_PACKET, socket.SOCK_RAW))
attempt('vsock', lambda: socket.socket(socket.AF_VSOCK, socket.SOCK_STREAM))
attempt('name', lambda: socket.getaddrinfo('example.org', 443))
"""

pytestmark = pytest.mark.slow


def test_network(make: Make) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = str(server.getsockname()[1])
        outside = subprocess.run([sys.executable, "-c", TRY, port], capture_output=True, text=True, check=True).stdout
        assert "tcp worked" in outside and "udp worked" in outside, "the attack works outside"
        inside = said(make().exec([PYTHON, "-c", TRY, port])).splitlines()
    assert [line.split()[1] for line in inside] == ["refused"] * 6, inside


def test_http_to_package_indexes(make: Make) -> None:
    """With the client that is there: an index over the loopback, as a proxy or mirror of this machine would be."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.settimeout(0)
        url = f"http://127.0.0.1:{server.getsockname()[1]}/simple/"
        fetch = f"import urllib.request; urllib.request.urlopen({url!r}, timeout=2)"
        assert make().exec([PYTHON, "-c", fetch]).code == 1
        with pytest.raises(BlockingIOError):
            server.accept()
