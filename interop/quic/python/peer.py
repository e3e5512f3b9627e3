"""The test protocol's server on aioquic."""

import argparse
import asyncio
import logging
import os
import sys
import threading

from aioquic.asyncio import QuicConnectionProtocol
from aioquic.asyncio.server import QuicServer
from aioquic.quic import events
from aioquic.quic.configuration import QuicConfiguration
from aioquic.tls import CipherSuite

ALPN = "aire-quic-test/0"
STREAM_WINDOW = 64 * 1024
CONNECTION_WINDOW = 256 * 1024
# The code that a stream is reset with when its command is none, or fails.
FAILED = 1
PATTERN = bytes((i * 31 + 7) & 0xFF for i in range(256))

log = logging.getLogger("peer")


def parse():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--cert", required=True)
    parser.add_argument("--key", required=True)
    parser.add_argument("--listen", default="127.0.0.1:0")
    parser.add_argument("--retry", action="store_true")
    parser.add_argument("--chacha", action="store_true")
    parser.add_argument("--p256", action="store_true")
    parser.add_argument("--max-streams", type=int, default=100)
    parser.add_argument("--idle-ms", type=int, default=30000)
    options = parser.parse_args()
    if options.p256:
        parser.error("aioquic sends no HelloRetryRequest")
    return options


class Connection(QuicConnectionProtocol):
    """One connection: a reader, and a task that answers, for each of its streams."""

    def __init__(self, *args, max_streams, **kwargs):
        super().__init__(*args, **kwargs)
        # aioquic has no setting for it.
        limit = self._quic._local_max_streams_bidi
        limit.value = limit.sent = max_streams
        self.readers = {}
        self.tasks = set()
        self.resumed = False
        self.address = None

    def quic_event_received(self, event):
        match event:
            case events.HandshakeCompleted():
                self.resumed = event.session_resumed
                self.address = self._quic.get_peer_address()
            case events.StreamDataReceived():
                reader = self.readers.get(event.stream_id)
                if reader is None:
                    reader = self.readers[event.stream_id] = asyncio.StreamReader()
                    task = asyncio.create_task(self.answer(event.stream_id, reader))
                    self.tasks.add(task)
                    task.add_done_callback(self.tasks.discard)
                reader.feed_data(event.data)
                if event.end_stream:
                    reader.feed_eof()
            case events.StreamReset() if event.stream_id in self.readers:
                error = ConnectionError(f"reset by the client with {event.error_code}")
                self.readers[event.stream_id].set_exception(error)
            case events.ConnectionTerminated():
                log.info("connection of %s over: %s", self.address, event)
                for task in self.tasks:
                    task.cancel()

    def write(self, stream, data, end=False):
        self._quic.send_stream_data(stream, data, end)
        self.transmit()

    def reset(self, stream, code):
        self._quic.reset_stream(stream, code)
        try:
            self._quic.stop_stream(stream, code)
        except ValueError:
            pass  # It is over already.
        self.transmit()

    async def answer(self, stream, reader):
        """Does what the first line of the stream says."""
        try:
            line = await reader.readuntil(b"\n")
            await self.obey(stream, reader, *line.decode().split())
        except (asyncio.IncompleteReadError, ConnectionError, ValueError, TypeError) as error:
            log.info("stream %d: %s", stream, error)
            self.reset(stream, FAILED)

    async def obey(self, stream, reader, verb, argument=None):
        said = b""
        match verb:
            case "echo":
                while data := await reader.read(STREAM_WINDOW):
                    self.write(stream, data)
            case "sink":
                count = 0
                while data := await reader.read(STREAM_WINDOW):
                    count += len(data)
                said = str(count)
            case "source":
                whole, part = divmod(int(argument), len(PATTERN))
                self.write(stream, PATTERN * whole + PATTERN[:part])
            case "open":
                await asyncio.gather(*(self.greet(number) for number in range(int(argument))))
                said = "done"
            case "reset":
                return self.reset(stream, int(argument))
            case "keyupdate":
                self.request_key_update()
                said = "ok"
            case "peer":
                host, port = self._quic.get_peer_address()[:2]
                said = f"{host}:{port}"
            case "close":
                self._quic.close(error_code=int(argument), reason_phrase="as told")
                return self.transmit()
            case "resumed":
                said = "yes" if self.resumed else "no"
            case _:
                raise ValueError(f"no such command: {verb}")
        self.write(stream, said.encode() if said else b"", end=True)

    async def greet(self, number):
        """Opens a stream to the client, and returns when it has answered."""
        stream = self._quic.get_next_available_stream_id()
        reader = self.readers[stream] = asyncio.StreamReader()
        self.write(stream, f"hello {number}\n".encode(), end=True)
        answer = await reader.read()
        log.info("stream %d answered %s", stream, answer.decode().rstrip("\n"))


def exit_with_stdin():
    """Ends the process with its standard input: a server never outlives its test."""
    sys.stdin.buffer.read()
    os._exit(0)


async def main():
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    options = parse()
    configuration = QuicConfiguration(
        is_client=False,
        alpn_protocols=[ALPN],
        idle_timeout=options.idle_ms / 1000,
        max_data=CONNECTION_WINDOW,
        max_stream_data=STREAM_WINDOW,
    )
    if options.chacha:
        configuration.cipher_suites = [CipherSuite.CHACHA20_POLY1305_SHA256]
    configuration.load_cert_chain(options.cert, options.key)

    tickets = {}
    host, port = options.listen.rsplit(":", 1)
    transport, _ = await asyncio.get_running_loop().create_datagram_endpoint(
        lambda: QuicServer(
            configuration=configuration,
            create_protocol=lambda *args, **kwargs: Connection(
                *args, max_streams=options.max_streams, **kwargs
            ),
            session_ticket_fetcher=tickets.get,
            session_ticket_handler=lambda ticket: tickets.update({ticket.ticket: ticket}),
            retry=options.retry,
        ),
        local_addr=(host, int(port)),
    )
    threading.Thread(target=exit_with_stdin, daemon=True).start()
    print("listening", transport.get_extra_info("sockname")[1], flush=True)
    await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(main())
