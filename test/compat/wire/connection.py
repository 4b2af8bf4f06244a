"""One connection to a node, without a client between: frames out, frames in."""

import socket
import struct

from .schema import Reader, WireError, request, response, schemas

CLIENT_ID = "compat"
API_VERSIONS = 18
# An answer may wait for the disk, and a disk with much to write back takes its time; longer than any request allows.
PATIENCE = 90


class Closed(Exception):
    """The node closed the connection instead of answering."""


class Connection:
    """A socket and the counter of its correlation ids."""

    def __init__(self, node, timeout=PATIENCE):
        self.socket = socket.create_connection((node.host, node.port), timeout)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.correlation = 0

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.socket.close()

    # -- frames

    def send_raw(self, data):
        try:
            self.socket.sendall(data)
        except (ConnectionResetError, BrokenPipeError) as error:
            raise Closed(str(error)) from None

    def send_frame(self, frame):
        self.send_raw(struct.pack(">i", len(frame)) + frame)

    def take(self, count):
        data = bytearray()
        while len(data) < count:
            try:
                part = self.socket.recv(count - len(data))
            except ConnectionResetError as error:
                raise Closed(str(error)) from None
            if not part:
                raise Closed(f"after {len(data)} of {count} bytes")
            data += part
        return bytes(data)

    def receive_frame(self):
        (size,) = struct.unpack(">i", self.take(4))
        if not 0 <= size <= 1 << 28:
            raise WireError(f"an answer of {size} bytes")
        return self.take(size)

    def is_closed_by_node(self, seconds=30):
        """Whether the node closes the connection within the time, having sent nothing."""
        self.socket.settimeout(seconds)
        try:
            return self.socket.recv(1) == b""
        except ConnectionResetError:
            return True
        except TimeoutError:
            return False

    # -- messages

    def send(self, api, version, body, client_id=CLIENT_ID):
        """Sends a request; returns its correlation id."""
        self.correlation += 1
        self.send_frame(frame(api, version, body, self.correlation, client_id))
        return self.correlation

    def receive(self, api, version, correlation):
        """The answer to a request, decoded to its last byte."""
        return answer(api, version, self.receive_frame(), correlation)

    def call(self, api, version, body):
        return self.receive(api, version, self.send(api, version, body))


def frame(api, version, body, correlation, client_id=CLIENT_ID):
    """A request with its header, without the length before it."""
    schema = request(api)
    head = {
        "RequestApiKey": schema.key,
        "RequestApiVersion": version,
        "CorrelationId": correlation,
        "ClientId": client_id,
    }
    header = schemas()["RequestHeader"].encode(head, 2 if version in schema.flexible else 1)
    return header + schema.encode(body, version)


def answer(api, version, data, correlation):
    """Decodes an answer's frame, header and all."""
    reader = Reader(data)
    # the answer to ApiVersions must be readable before versions are agreed on
    flexible = version in response(api).flexible and response(api).key != API_VERSIONS
    head = schemas()["ResponseHeader"].read(reader, 1 if flexible else 0)
    if head["CorrelationId"] != correlation:
        raise WireError(f"an answer to request {head['CorrelationId']} instead of {correlation}")
    return response(api).decode(data[reader.at :], version)
