"""Ports on loopback where something else than a provider answers, or nothing."""

import asyncio
import contextlib
import datetime as dt
import ipaddress
import socket
import ssl
from collections.abc import AsyncIterator
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID


def dead_port() -> int:
    """One where nobody listens."""
    with socket.socket() as port:
        port.bind(("127.0.0.1", 0))
        return port.getsockname()[1]


@contextlib.asynccontextmanager
async def answering(
    reply: bytes, secured: ssl.SSLContext | None = None, *, hangs_up: bool = False
) -> AsyncIterator[str]:
    """A port on loopback that answers whatever comes with these bytes."""

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(ConnectionError, ssl.SSLError, TimeoutError), contextlib.closing(writer):
            if not hangs_up:
                await asyncio.wait_for(reader.read(1), 5)
            writer.write(reply)
            await writer.drain()

    server = await asyncio.start_server(answer, "127.0.0.1", 0, ssl=secured)
    loop = asyncio.get_running_loop()
    before = loop.get_exception_handler()
    loop.set_exception_handler(lambda *_: None)  # a handshake that fails is what these tests are for
    try:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    finally:
        server.close()
        await server.wait_closed()
        loop.set_exception_handler(before)


def certificate(folder: Path) -> ssl.SSLContext:
    """A server's, signed by itself."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "127.0.0.1")])
    now = dt.datetime.now(dt.UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - dt.timedelta(days=1))
        .not_valid_after(now + dt.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]), critical=False)
        .sign(key, hashes.SHA256())
    )
    place = folder / "self-signed.pem"
    plain = serialization.NoEncryption()
    form = serialization.PrivateFormat.PKCS8
    place.write_bytes(
        key.private_bytes(serialization.Encoding.PEM, form, plain) + made.public_bytes(serialization.Encoding.PEM)
    )
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(place)
    return context
