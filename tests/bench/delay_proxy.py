#!/usr/bin/env python3
"""A TCP proxy that makes a host on loopback as far away as one likes, for `make bench`.

    delay_proxy.py PORT_FILE HOST_PORT ROUND_TRIP_MS

Every byte comes half a round trip later than it was sent, in both directions, and as fast as it was sent: what is
delayed is not held back by what comes behind. A connection costs a round trip, as in life.
"""
import asyncio
import collections
import signal
import sys


async def pump(reader, writer, delay_s):
    """Two ends of a queue: one takes what comes, the other gives it out when it is due."""
    loop = asyncio.get_running_loop()
    queue = collections.deque()
    is_filled = asyncio.Event()
    room = asyncio.Semaphore(1024) # chunks under way, 64 KiB each: more than the round trip can hold here

    async def fill():
        while True:
            data = await reader.read(65536)
            await room.acquire()
            queue.append((loop.time() + delay_s, data))
            is_filled.set()
            if not data:
                return

    filling = asyncio.create_task(fill())
    try:
        while True:
            while not queue:
                is_filled.clear()
                await is_filled.wait()
            due_s, data = queue.popleft()
            room.release()
            await asyncio.sleep(max(0, due_s - loop.time()))
            if not data:
                break
            writer.write(data)
            await writer.drain()
    except ConnectionError:
        pass
    finally:
        filling.cancel()
        try:
            writer.close()
        except ConnectionError:
            pass


async def main():
    port_file, host_port, round_trip_ms = sys.argv[1], int(sys.argv[2]), float(sys.argv[3])
    delay_s = round_trip_ms / 2000

    connections = set() # asyncio itself holds its tasks weakly

    async def serve(reader, writer):
        connections.add(asyncio.current_task())
        await asyncio.sleep(2 * delay_s) # the handshake
        try:
            out_reader, out_writer = await asyncio.open_connection('127.0.0.1', host_port)
            await asyncio.gather(pump(reader, out_writer, delay_s), pump(out_reader, writer, delay_s),
                                 return_exceptions=True)
        except OSError:
            writer.close()
        connections.discard(asyncio.current_task())

    server = await asyncio.start_server(serve, '127.0.0.1', 0)
    with open(port_file, 'w', encoding='ascii') as file:
        file.write(f'{server.sockets[0].getsockname()[1]}\n')
    await server.serve_forever()


signal.signal(signal.SIGTERM, lambda *_: sys.exit(0)) # before the loop: it has no task to wait for
asyncio.run(main())
