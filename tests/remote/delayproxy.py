#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""
A TCP proxy on loopback that is as far away as it is told: delays by half the round trip each way, caps the rate of each connection,
cuts or stalls it after so many bytes.
usage: delayproxy.py HOST:PORT [--port=N] [--rtt=MS] [--rate=BYTES/S] [--cut=BYTES] [--stall=BYTES]; prints its port
"""
import argparse
import asyncio
import collections

WINDOW = 8 << 20  # bytes under way in one direction of a connection: what TCP would have at 50 ms and 1.3 Gbit/s


class Side(asyncio.Protocol):
    """One end of a connection. What comes here goes out at the peer, later."""

    def __init__(self, options, back):
        self.options, self.back = options, back
        self.peer = self.transport = None
        self.early = collections.deque()
        self.under_way = self.passed = 0
        self.free_at = 0.0  # when what came so far is sent, by the rate
        self.stuck = False  # the peer takes no more for now
        self.loop = asyncio.get_running_loop()

    def connection_made(self, transport):
        self.transport = transport
        transport.set_write_buffer_limits(WINDOW)

    def data_received(self, data):
        if self.peer is None or self.peer.transport is None:
            self.early.append(data)
            return
        o = self.options
        self.passed += len(data)
        if self.back and o.stall and self.passed > o.stall:
            self.transport.pause_reading()
            return
        if self.back and o.cut and self.passed > o.cut:
            self.peer.transport.abort()
            self.transport.abort()
            return
        now = self.loop.time()
        when = now + o.rtt / 2000
        if o.rate:
            self.free_at = max(self.free_at, now) + len(data) / o.rate
            when += self.free_at - now
        self.under_way += len(data)
        if self.under_way > WINDOW:
            self.transport.pause_reading()
        if when <= now:
            self.pass_on(data)
        else:
            self.loop.call_at(when, self.pass_on, data)

    def pass_on(self, data):
        self.under_way -= len(data)
        if self.peer.transport and not self.peer.transport.is_closing():
            self.peer.transport.write(data)
        self.go_on()

    def go_on(self):
        if self.under_way <= WINDOW // 2 and not self.stuck and not self.transport.is_closing():
            self.transport.resume_reading()

    # Who asks for all of a file and reads slowly, or stops: the rest stays where it is, as with TCP.
    def pause_writing(self):
        if self.peer and self.peer.transport:
            self.peer.stuck = True
            self.peer.transport.pause_reading()

    def resume_writing(self):
        if self.peer and self.peer.transport:
            self.peer.stuck = False
            self.peer.go_on()

    def connection_lost(self, _):
        if self.peer and self.peer.transport:
            self.loop.call_later(self.options.rtt / 2000 + 0.001, self.peer.transport.close)


async def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("to")
    for name in ("port", "rate", "cut", "stall"):
        parser.add_argument(f"--{name}", type=int, default=0)
    parser.add_argument("--rtt", type=float, default=0)
    options = parser.parse_args()
    host, port = options.to.rsplit(":", 1)
    loop = asyncio.get_running_loop()

    async def connect(front):
        # The handshake's round trip; libcurl sends nothing before it is over, but here the kernel has answered at once.
        await asyncio.sleep(options.rtt / 1000)
        back = Side(options, True)
        back.peer = front
        await loop.create_connection(lambda: back, host, int(port))
        front.peer = back
        while front.early:
            front.data_received(front.early.popleft())

    def accept():
        front = Side(options, False)
        loop.create_task(connect(front))
        return front

    server = await loop.create_server(accept, "127.0.0.1", options.port, backlog=256)
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(main())
