"""Connect: a neighbour from what the settings say, or a simulated one, with its connections closed when it ends."""

from __future__ import annotations

import ssl
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

import aiohttp
from cryptography import x509
from joserfc.errors import JoseError
from joserfc.jwk import ECKey, RSAKey

from adapters.documents.makers import kept
from adapters.documents.pdf import PdfDocuments
from adapters.sdk.client import Access, SdkApi
from adapters.sdk.neighbour import SdkNeighbour
from adapters.sdk.simulator import Simulator
from adapters.sdk.simulator_http import BASE, serving
from gateway.errors import SetupError
from gateway.model.base import SECOND, Instant
from gateway.ports import Clock


@asynccontextmanager
async def connected(
    *,
    url: str,
    token_url: str,
    client_id: str,
    key_file: Path,
    algorithm: str,
    addresses: Sequence[str],
    clock: Clock,
    scopes: str = "",
    certificate: Path | None = None,
    authorities: Path | None = None,
) -> AsyncIterator[SdkNeighbour]:
    """The message service at `url`.

    Args:
        scopes: in the place of those that the API's description names.
        certificate: ours, with its key, for mutual TLS (SAD §6.2.2).
        authorities: who may have issued the service's; else those of the machine.

    Raises:
        SetupError: a key or a certificate cannot be read, or the key does not fit the algorithm.
    """
    key = _read(RSAKey if algorithm == "RS256" else ECKey, key_file)
    access = Access(
        base=url,
        token_url=token_url,
        client_id=client_id,
        key=key,
        algorithm=algorithm,
        **({"scopes": scopes} if scopes else {}),
    )
    connector = aiohttp.TCPConnector(ssl=_tls(certificate, authorities))
    async with kept() as makers, aiohttp.ClientSession(connector=connector) as session:
        documents = PdfDocuments(makers=makers)
        yield SdkNeighbour(SdkApi(access, session, clock), addresses, documents, expires=_end(certificate))


def _tls(certificate: Path | None, authorities: Path | None) -> ssl.SSLContext:
    try:
        context = ssl.create_default_context(cafile=authorities)
        if certificate is not None:
            context.load_cert_chain(certificate)
    except (OSError, ssl.SSLError) as trouble:
        raise SetupError(
            "a certificate for SDK cannot be read",
            swedish="Certifikatet för SDK, eller filen med utfärdare, går inte att läsa.",
            next_step="Ange PEM i SAMBUD_SDK_CERTIFICATE (med sin nyckel) och SAMBUD_SDK_CA_FILE.",
        ) from trouble
    context.minimum_version = ssl.TLSVersion.TLSv1_2  # SAD §6.2.2
    return context


def _end(certificate: Path | None) -> Instant | None:
    """When our own certificate ends: the first of its file."""
    if certificate is None:
        return None
    found = x509.load_pem_x509_certificates(certificate.read_bytes())
    return Instant(min(int(one.not_valid_after_utc.timestamp()) for one in found) * SECOND)


@asynccontextmanager
async def simulated(
    addresses: Mapping[str, Sequence[str]], service: Simulator, clock: Clock
) -> AsyncIterator[Mapping[str, SdkNeighbour]]:
    """A simulated service on loopback, and a neighbour for each client, by client id and its addresses."""
    async with kept() as makers, serving(service) as address, aiohttp.ClientSession() as session:
        found, documents = {}, PdfDocuments(makers=makers)
        for name, own in addresses.items():
            key = ECKey.generate_key("P-256")
            service.join(name, key, own)
            access = Access(
                base=address + BASE, token_url=f"{address}/token", client_id=name, key=key, algorithm="ES256"
            )
            found[name] = SdkNeighbour(SdkApi(access, session, clock), own, documents)
        yield found


@asynccontextmanager
async def offered(
    clients: Mapping[str, Sequence[str]], keys: Path, port: int, clock: Clock
) -> AsyncIterator[Sequence[str]]:
    """A simulated service for clients of others, while the context lasts; gives lines that say how each reaches it.

    Raises:
        SetupError: the port is taken, or a key can be neither read nor made.
    """
    service = Simulator(clock)
    for name, addresses in clients.items():
        service.join(name, _read_or_made(keys / f"{name}.pem"), addresses)
    async with AsyncExitStack() as stack:
        try:
            address = await stack.enter_async_context(serving(service, port))
        except OSError as trouble:
            raise SetupError(
                f"the port {port} cannot be used",
                swedish=f"Porten {port} går inte att använda.",
                next_step="Ange en annan med --port, eller 0 för en ledig.",
            ) from trouble
        lines = [f"Låtsad meddelandetjänst på {address} (bara den här datorn). Avsluta med Ctrl-C."]
        for name in clients:
            lines += [
                "",
                f"SAMBUD_SDK_URL={address}{BASE}",
                f"SAMBUD_SDK_TOKEN_URL={address}/token",
                f"SAMBUD_SDK_CLIENT_ID={name}",
                f"SAMBUD_SDK_KEY_FILE={keys / f'{name}.pem'}",
                "SAMBUD_SDK_ALGORITHM=ES256",
            ]
        yield lines


def _read(kind: type[RSAKey] | type[ECKey], file: Path) -> RSAKey | ECKey:
    try:
        return kind.import_key(file.read_bytes())
    except (OSError, ValueError, JoseError) as trouble:
        raise SetupError(
            "the key for SDK cannot be read",
            swedish=f"Nyckeln {file} går inte att läsa.",
            next_step="Ange en privat nyckel i PEM som passar algoritmen (SAMBUD_SDK_ALGORITHM).",
        ) from trouble


def _read_or_made(file: Path) -> RSAKey | ECKey:
    """A client's key, made on the first start; whoever reads the file is that client."""
    if file.exists():
        return _read(ECKey, file)
    key = ECKey.generate_key("P-256")
    try:
        file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        file.touch(mode=0o600, exist_ok=False)
        file.write_bytes(key.as_pem(private=True))
    except OSError as trouble:
        raise SetupError(
            "the key of a simulated client cannot be written",
            swedish=f"Nyckeln {file} går inte att skriva.",
            next_step="Ange en annan katalog med --keys.",
        ) from trouble
    return key
