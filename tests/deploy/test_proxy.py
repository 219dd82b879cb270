"""The proxy's configuration as it is shipped, in Debian's nginx, in front of a gateway that serves (security.md 7.7, 7.8).

The named peer is nginx; paths and ports of deploy/proxy/sambud.conf are moved to a folder and to loopback, and nothing
else in it is changed. The certificate comes from a CA of the test's own.
"""

from __future__ import annotations

import base64
import http.client
import json
import os
import re
import shutil
import socket
import ssl
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from urllib.parse import parse_qs, urlencode, urlsplit

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from gateway.demo import demo_directory
from gateway.factors import code_for
from gateway.model.base import Instant
from tests.path.test_startup import Machine

ROOT = Path(__file__).parent.parent.parent
PROXY = ROOT / "deploy" / "proxy"
NAME = "sambud.kommunen.example"
pytestmark = pytest.mark.slow


def certificates(folder: Path) -> None:
    """ca.pem, certificate.pem and key.pem for NAME, good for a day."""
    now = datetime.now(UTC)

    def signed(subject: str, key: ec.EllipticCurvePrivateKey, by: ec.EllipticCurvePrivateKey, *, ca: bool) -> bytes:
        named = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, subject)])
        made = (
            x509.CertificateBuilder()
            .subject_name(named)
            .issuer_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "Test CA")]))
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - timedelta(hours=1))
            .not_valid_after(now + timedelta(days=1))
            .add_extension(x509.BasicConstraints(ca=ca, path_length=None), critical=True)
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
            .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(by.public_key()), critical=False)
        )
        if ca:
            usage = x509.KeyUsage(False, False, False, False, False, True, True, False, False)
            made = made.add_extension(usage, critical=True)
        else:
            made = made.add_extension(x509.SubjectAlternativeName([x509.DNSName(subject)]), critical=False)
        return made.sign(by, hashes.SHA256()).public_bytes(serialization.Encoding.PEM)

    root, own = ec.generate_private_key(ec.SECP256R1()), ec.generate_private_key(ec.SECP256R1())
    (folder / "ca.pem").write_bytes(signed("Test CA", root, root, ca=True))
    (folder / "certificate.pem").write_bytes(signed(NAME, own, root, ca=False))
    key = own.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    (folder / "key.pem").write_bytes(key)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@dataclass
class Answer:
    status: int
    headers: http.client.HTTPMessage
    text: str


@dataclass
class Front:
    """nginx, the gateway behind it, and a client that knows the test's CA."""

    folder: Path
    plain: int
    port: int
    gateway: subprocess.Popen[str]
    credentials: dict[str, tuple[str, bytes]]

    def ask(
        self,
        method: str,
        path: str,
        *,
        body: str | bytes | None = None,
        source: str = "127.0.0.1",
        host: str = NAME,
        **headers: str,
    ) -> Answer:
        trust = ssl.create_default_context(cafile=str(self.folder / "ca.pem"))
        with (
            socket.create_connection(("127.0.0.1", self.port), timeout=60, source_address=(source, 0)) as line,
            trust.wrap_socket(line, server_hostname=NAME) as tls,
        ):
            connection = http.client.HTTPConnection(NAME)
            connection.sock = tls
            named = {name.replace("_", "-"): value for name, value in headers.items()}
            connection.request(method, path, body=body, headers={"Host": host, **named})
            response = connection.getresponse()
            return Answer(response.status, response.headers, response.read().decode())

    def post(self, path: str, value: object, *, source: str = "127.0.0.1", **headers: str) -> Answer:
        return self.ask(
            "POST", path, body=json.dumps(value), source=source, **{"Content_Type": "application/json", **headers}
        )

    def code(self, login: str) -> str:
        return code_for(self.credentials[login][1], Instant(time.time_ns() // 1000))


@pytest.fixture(scope="module")
def front(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Front]:
    """A gateway of its own with the demo's directory (as data, no demo store), served behind the shipped file."""
    program = shutil.which("nginx", path="/usr/sbin:/usr/bin")
    if program is None:
        if os.environ.get("SAMBUD_REQUIRE_PEERS"):
            pytest.fail("nginx is missing: install the package nginx")
        pytest.skip("nginx is missing: the package nginx brings it")
    folder = tmp_path_factory.mktemp("front")
    certificates(folder)
    shutil.copy(PROXY / "sambud-borta.html", folder)
    machine = Machine(folder, {"SAMBUD_SOCKET": str(folder / "http.sock"), "SAMBUD_PUBLIC_URL": f"https://{NAME}"})
    (folder / "directory.toml").write_text(demo_directory())
    given = folder / "first.txt"
    assert machine.run("init").returncode == 0
    applied = machine.run("directory", "apply", str(folder / "directory.toml"), "--credentials", str(given))
    assert applied.returncode == 0, applied.stderr
    credentials = {}
    for line in given.read_text().splitlines():
        login, password, uri = line.split("\t")
        [secret] = parse_qs(urlsplit(uri).query)["secret"]
        credentials[login] = (password, base64.b32decode(secret + "=" * (-len(secret) % 8)))
    plain, port = free_port(), free_port()
    config = folder / "nginx.conf"
    config.write_text(moved(folder, plain, port))
    serving = subprocess.Popen(
        [sys.executable, "-m", "gateway", "serve"],
        cwd=ROOT,
        env=machine.environment(),
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    try:
        assert serving.stdout is not None
        assert "svarar" in serving.stdout.readline()
        with subprocess.Popen([program, "-c", str(config), "-e", str(folder / "start.log")]) as proxy:
            try:
                for _ in range(200):
                    with socket.socket() as probe:
                        if probe.connect_ex(("127.0.0.1", port)) == 0:
                            break
                    time.sleep(0.05)
                yield Front(folder, plain, port, serving, credentials)
            finally:
                proxy.terminate()
    finally:
        serving.kill()
        serving.communicate()


def moved(folder: Path, plain: int, port: int) -> str:
    """The shipped file with paths in `folder` and ports on loopback; each place must be there to be moved."""
    text = (PROXY / "sambud.conf").read_text("utf-8")
    for old, new in (
        ("listen 80;", f"listen 127.0.0.1:{plain};"),
        ("listen 443 ssl http2", f"listen 127.0.0.1:{port} ssl http2"),
        ("listen [::]:80;", ""),
        ("listen [::]:443 ssl http2 default_server;", ""),
        ("listen [::]:443 ssl http2;", ""),
        ("unix:/run/sambud/http.sock", f"unix:{folder}/http.sock"),
        ("/etc/nginx/sambud", str(folder)),
        ("/var/log/nginx/", f"{folder}/"),
    ):
        assert old in text, old
        text = text.replace(old, new)
    temporary = "".join(
        f"{kind}_temp_path {folder}/{kind};\n" for kind in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    )
    user = "user root root;\n" if os.geteuid() == 0 else ""
    return (
        f"{user}daemon off;\npid {folder}/pid;\nevents {{ worker_connections 256; }}\nhttp {{\n{temporary}{text}\n}}\n"
    )


# --- TLS -------------------------------------------------------------------------------------------------------------


def handshake(front: Front, least: ssl.TLSVersion, most: ssl.TLSVersion) -> str | None:
    trust = ssl.create_default_context(cafile=str(front.folder / "ca.pem"))
    trust.minimum_version, trust.maximum_version = least, most
    with (
        socket.create_connection(("127.0.0.1", front.port), timeout=60) as line,
        trust.wrap_socket(line, server_hostname=NAME) as tls,
    ):
        return tls.version()


def test_tls_1_3_is_spoken_and_nothing_older(front: Front) -> None:
    """security.md 7.8."""
    assert handshake(front, ssl.TLSVersion.TLSv1_3, ssl.TLSVersion.TLSv1_3) == "TLSv1.3"
    with pytest.raises(ssl.SSLError, match=r"(?i)protocol"):
        handshake(front, ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_2)


def test_a_call_in_clear_is_sent_to_the_own_name_whatever_host_it_names(front: Front) -> None:
    connection = http.client.HTTPConnection("127.0.0.1", front.plain, timeout=60)
    connection.request("GET", "/inkorg?a=1", headers={"Host": "ond.example"})
    answer = connection.getresponse()
    assert (answer.status, answer.headers["Location"]) == (301, f"https://{NAME}/inkorg?a=1")
    connection.close()


# --- through it ------------------------------------------------------------------------------------------------------


def test_somebody_signs_in_and_reads_a_page_through_the_proxy(front: Front) -> None:
    """Cookies with __Host- need Secure, and the gateway speaks clear text to the proxy: it must know how it is called."""
    shown = front.ask("GET", "/logga-in")
    assert shown.status == 200
    assert shown.headers.get_all("Strict-Transport-Security") == ["max-age=63072000; includeSubDomains"]
    [before] = [value.split(";")[0] for value in shown.headers.get_all("Set-Cookie") or ()]
    found = re.search(r'name="_csrf" value="([0-9a-f]{64})"', shown.text)
    assert found
    login = "al-sos"
    fields = {"login": login, "password": front.credentials[login][0], "code": front.code(login), "_csrf": found[1]}
    signed = front.ask(
        "POST",
        "/logga-in",
        body=urlencode(fields),
        Content_Type="application/x-www-form-urlencoded",
        Cookie=before,
        Origin=f"https://{NAME}",
        Sec_Fetch_Site="same-origin",
    )
    assert signed.status == 303, signed.text
    cookies = [value for value in signed.headers.get_all("Set-Cookie") or () if "Max-Age=0" not in value]
    [session] = [value for value in cookies if value.startswith("__Host-")]
    assert "Secure" in session
    assert "HttpOnly" in session
    page = front.ask("GET", "/arenden", Cookie=session.split(";")[0])
    assert page.status == 200
    assert "<h1" in page.text
    assert front.ask("GET", "/arenden").status == 303


def test_a_form_from_elsewhere_is_refused_also_behind_the_proxy(front: Front) -> None:
    """Row W06: the origin that counts is the public address, not a header that the caller chose."""
    shown = front.ask("GET", "/logga-in")
    before = shown.headers["Set-Cookie"].split(";")[0]
    token = re.search(r'name="_csrf" value="([0-9a-f]{64})"', shown.text)
    assert token
    body = urlencode({"login": "al-sos", "password": "x", "code": "000000", "_csrf": token[1]})
    refused = front.ask(
        "POST",
        "/logga-in",
        body=body,
        Content_Type="application/x-www-form-urlencoded",
        Cookie=before,
        Origin="https://ond.example",
        X_Forwarded_Host="ond.example",
    )
    assert refused.status == 403


@pytest.mark.parametrize("host", ["ond.example", "localhost", f"{NAME}.ond.example", "127.0.0.1"])
def test_another_host_gets_nothing(front: Front, host: str) -> None:
    """Row W11: a Host that is not the name in the certificate."""
    answer = front.ask("GET", "/logga-in", host=host)
    assert answer.status == 421
    assert "logga" not in answer.text


def test_another_name_in_the_handshake_gets_no_certificate(front: Front) -> None:
    trust = ssl.create_default_context(cafile=str(front.folder / "ca.pem"))
    trust.check_hostname = False
    with (
        socket.create_connection(("127.0.0.1", front.port), timeout=60) as line,
        pytest.raises(ssl.SSLError, match=r"(?i)unrecognized.name"),
    ):
        trust.wrap_socket(line, server_hostname="ond.example")


def test_the_callers_own_address_reaches_the_gateway_and_a_claimed_one_does_not(front: Front) -> None:
    """Row W11: refusals at sign-in are counted by address. Whoever claims other addresses is still one; another is another."""

    def tried(number: int, source: str) -> int:
        """A sign-in without fields: counted as any other, and no password is tried."""
        return front.post("/api/v1/sessions", {}, source=source, X_Forwarded_For=f"203.0.113.{number}").status

    seen = set()
    for number in range(1, 250):
        seen.add(tried(number, "127.0.0.7"))
        if 429 in seen:
            break
    print(f"refused as too many after {number} from one address")
    assert 429 in seen, "claimed addresses were counted one by one"
    assert tried(1, "127.0.0.8") != 429, "every caller was counted as one"


def test_what_is_too_large_is_refused_by_the_proxy_and_what_fits_by_the_gateways_own_measure(front: Front) -> None:
    big = front.ask("POST", "/api/v1/sessions", body=b"", Content_Length=str(200 * 1024 * 1024))
    assert big.status == 413
    own = front.post("/api/v1/sessions", {"login": "x" * 3_000_000, "password": "y", "code": "1"})
    assert own.status == 413


@contextmanager
def half_a_request(front: Front) -> Iterator[None]:
    """A body that is on its way: the proxy has had 300,000 octets of it."""
    trust = ssl.create_default_context(cafile=str(front.folder / "ca.pem"))
    with (
        socket.create_connection(("127.0.0.1", front.port), timeout=60) as line,
        trust.wrap_socket(line, server_hostname=NAME) as tls,
    ):
        head = f"POST /api/v1/messages HTTP/1.1\r\nHost: {NAME}\r\nContent-Length: 900000\r\n\r\n"
        tls.sendall(head.encode() + b"x" * 300_000)
        yield


def temporary_files(front: Front) -> list[str]:
    """What the workers hold open in their folders for bodies: nginx takes the name away at once, not the file."""
    master = (front.folder / "pid").read_text().strip()
    workers = Path(f"/proc/{master}/task/{master}/children").read_text().split()
    held = [os.readlink(entry) for worker in workers for entry in Path(f"/proc/{worker}/fd").iterdir()]
    return [name for name in held if name.startswith((f"{front.folder}/client_body", f"{front.folder}/proxy"))]


def test_nothing_that_passes_is_written_to_disk_and_the_log_holds_no_ids(front: Front) -> None:
    """Bodies are clear text at the proxy; they go on as they come."""
    canary = "kanariefågel-i-kroppen"
    front.post("/api/v1/sessions?q=kanarie-i-frågan".replace("å", "a"), {"login": canary * 20_000, "password": "y"})
    front.ask("GET", "/api/v1/messages/0c7ae1f2-7f0e-4f49-8e58-0a1b2c3d4e5f")
    front.ask("GET", "/inkorg/seat.ekeliden/arende/hemlig-del")
    with half_a_request(front):
        time.sleep(0.5)  # as long as nginx would need to begin a file
        assert not temporary_files(front)
    log = (front.folder / "sambud.log").read_text()
    assert " GET /api/v1/messages 4" in log
    assert " GET /inkorg " in log
    for held in ("kanarie", "0c7ae1f2", "hemlig", "seat.ekeliden", "127.0.0", "?"):
        assert held not in log, held
    errors = front.folder / "sambud-error.log"
    assert not errors.exists() or "kanarie" not in errors.read_text()


def test_probes_are_answered_to_this_machine_alone(front: Front) -> None:
    assert front.ask("GET", "/healthz", source="127.0.0.9").status == 403
    assert front.ask("GET", "/metrics", source="127.0.0.9").status == 403
    assert front.ask("GET", "/healthz").status != 403


def test_when_the_gateway_is_gone_the_page_shows_the_numbers_to_call(front: Front) -> None:
    """A statutory duty is never delayed by anything (design.md section 3). Last in this file: it ends the gateway."""
    front.gateway.kill()
    front.gateway.wait()
    answer = front.ask("GET", "/arenden")
    assert answer.status == 502
    assert "112" in answer.text
    assert "tel:" in answer.text
    assert answer.headers["Retry-After"] == "30"
    assert "nginx" not in answer.text
