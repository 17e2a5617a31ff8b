#!/usr/bin/env python3
"""A wire between two tun devices that loses, delays, reorders and narrows the IP packets on it.

It makes the devices ht0 and ht1 in the network namespace that it is started in, says so, and
carries each packet from one to the other. ht1 may be moved to another namespace meanwhile. Each
line on its standard input is a JSON object with what is to be different from now on; each is
answered with a line that says what was carried so far. It ends when its standard input does.
"""

import fcntl
import heapq
import json
import os
import random
import select
import struct
import sys
import time

TUNSETIFF = 0x400454CA
IFF_TUN = 0x0001
IFF_NO_PI = 0x1000

# Packets that are taken from a device before the other one has its turn.
BURST = 64
# Seconds of traffic that wait where the rate is limited; what comes on top is lost.
QUEUE = 0.25
# Packets under way in one direction; what comes on top is lost.
MOST = 4096
# A packet that is overtaken comes so many seconds later than it would.
HELD = (0.005, 0.05)


class Device:
    """A tun device; it is gone when this process is."""

    def __init__(self, name):
        self.file = os.open("/dev/net/tun", os.O_RDWR | os.O_NONBLOCK)
        wish = struct.pack("16sH22x", name.encode(), IFF_TUN | IFF_NO_PI)
        fcntl.ioctl(self.file, TUNSETIFF, wish)

    def take(self):
        try:
            return os.read(self.file, 65536)
        except BlockingIOError:
            return None
        except OSError:
            # Not up, or not yet.
            return None

    def give(self, packet):
        try:
            os.write(self.file, packet)
        except OSError:
            # Its queue is full or it is down: lost, as on any wire.
            pass


class Way:
    """One direction: what is under way, by when it arrives."""

    def __init__(self, source, sink):
        self.source, self.sink = source, sink
        self.under_way = []
        self.free = 0.0
        self.seen = self.lost = self.overtaken = self.waited = 0

    def load(self, weather, chance, now):
        """Takes what the source has."""
        for _ in range(BURST):
            packet = self.source.take()
            if packet is None:
                return
            self.seen += 1
            arrives = self.arrival(len(packet), weather, chance, now)
            if arrives is None:
                self.lost += 1
            else:
                heapq.heappush(self.under_way, (arrives, self.seen, packet))

    def arrival(self, length, weather, chance, now):
        """When a packet arrives that is sent now; None if it never does."""
        if weather["cut"] or chance.random() < weather["loss"] or len(self.under_way) >= MOST:
            return None
        leaves = now
        if weather["rate"] > 0:
            if self.free - now > QUEUE:
                return None
            self.waited += self.free > now
            leaves = self.free = max(now, self.free) + 8 * length / weather["rate"]
        arrives = leaves + weather["delay_ms"] / 1000
        if chance.random() < weather["reorder"]:
            self.overtaken += 1
            arrives += chance.uniform(*HELD)
        return arrives

    def unload(self, now):
        """Gives the sink what has arrived."""
        while self.under_way and self.under_way[0][0] <= now:
            self.sink.give(heapq.heappop(self.under_way)[2])


def main():
    here, there = Device("ht0"), Device("ht1")
    ways = [Way(here, there), Way(there, here)]
    weather = {"loss": 0.0, "delay_ms": 0.0, "reorder": 0.0, "rate": 0.0, "cut": False}
    chance = random.Random(int(sys.argv[1]))
    print("made", flush=True)
    said = b""
    while True:
        due = min((way.under_way[0][0] for way in ways if way.under_way), default=None)
        wait = None if due is None else max(0.0, due - time.monotonic())
        ready = select.select([here.file, there.file, 0], [], [], wait)[0]
        now = time.monotonic()
        for way in ways:
            if way.source.file in ready:
                way.load(weather, chance, now)
            way.unload(now)
        if 0 not in ready:
            continue
        more = os.read(0, 4096)
        if not more:
            return
        *lines, said = (said + more).split(b"\n")
        for line in lines:
            weather.update(json.loads(line))
            if weather["cut"]:
                for way in ways:
                    way.lost += len(way.under_way)
                    way.under_way.clear()
            print(
                json.dumps(
                    {
                        "seen": sum(way.seen for way in ways),
                        "lost": sum(way.lost for way in ways),
                        "overtaken": sum(way.overtaken for way in ways),
                        "waited": sum(way.waited for way in ways),
                        "under_way": sum(len(way.under_way) for way in ways),
                    }
                ),
                flush=True,
            )


main()
