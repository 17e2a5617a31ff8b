#!/usr/bin/env python3
"""A whole Hightower viewer in plain Python: starts the monitoring, saves the next frame, stops it.

usage: plain_viewer.py HOST PORT FILE.png
"""

import socket
import struct
import sys

START, STOP, REPLY = 0, 1, 39


def order(host, port, command):
    """Sends a command by UDP and waits until it is acknowledged."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as s:
        s.settimeout(2)
        s.sendto(struct.pack(">qq", 16, command), (host, port))
        length, code = struct.unpack(">qq", s.recv(2000)[:16])
        assert code == REPLY, f"not an answer: command {code}, {length} bytes"


def exactly(stream, count):
    data = stream.read(count)
    if len(data) < count:
        sys.exit("the agent closed the connection")
    return data


def main(host, port, path):
    with socket.create_connection((host, port), timeout=10) as s, s.makefile("rb") as stream:
        order(host, port, START)
        magic, length = struct.unpack("<2sQ", exactly(stream, 10))
        assert magic == b"HT" and length < 64 << 20, "not a Hightower agent"
        with open(path, "wb") as f:
            f.write(exactly(stream, length))
    order(host, port, STOP)


if __name__ == "__main__":
    if len(sys.argv) != 4:
        sys.exit(__doc__)
    main(sys.argv[1], int(sys.argv[2]), sys.argv[3])
