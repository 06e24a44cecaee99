"""What passes between this service and a mail server: encryption, login, and what is said where they fail."""

import ipaddress
import ssl
from datetime import UTC, datetime, timedelta
from email.message import EmailMessage
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from app.errors import NotifyError
from app.notify import mail as mail_module
from app.notify.mail import Mailer
from app.notify.options import SmtpOptions
from tests.notify.conftest import ANA, smtp_options
from tests.support.mail_server import PASSWORD, USER, mail_server


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A key and a certificate for 127.0.0.1 that nobody has signed but itself."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "prueba")])
    now = datetime.now(UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(
            x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]), critical=False
        )
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    path = tmp_path_factory.mktemp("tls") / "server.pem"
    path.write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
        + made.public_bytes(serialization.Encoding.PEM)
    )
    return path


@pytest.fixture
def server_tls(certificate: Path) -> ssl.SSLContext:
    """The certificate, as a server uses it."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    return context


@pytest.fixture
def trusted(certificate: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """This machine trusts the certificate."""
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate))


def message() -> EmailMessage:
    made = EmailMessage()
    made["Subject"] = "Prueba"
    made["From"] = "respaldos@example.com"
    made["To"] = ANA
    made.set_content("Hola")
    return made


async def send(options: SmtpOptions) -> str | None:
    mailer = Mailer(options)
    try:
        await mailer.connect()
        return await mailer.send(message(), ANA)
    finally:
        await mailer.close()


@pytest.mark.usefixtures("trusted")
async def test_mail_goes_encrypted_and_logged_in(server_tls: ssl.SSLContext) -> None:
    async with mail_server(tls=server_tls, login=True) as server:
        assert await send(smtp_options(server.port, tls=True, user=USER, password=PASSWORD)) is None
    (received,) = server.received
    assert received.encrypted
    assert received.authenticated


@pytest.mark.usefixtures("trusted")
async def test_at_port_465_encryption_begins_with_the_first_byte(
    server_tls: ssl.SSLContext, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with mail_server(tls=server_tls, implicit_tls=True) as server:
        monkeypatch.setattr(mail_module, "IMPLICIT_TLS_PORT", server.port)
        assert await send(smtp_options(server.port, tls=True)) is None
    assert server.received[0].encrypted


async def test_a_certificate_that_nobody_vouches_for_is_refused(server_tls: ssl.SSLContext) -> None:
    async with mail_server(tls=server_tls, login=True) as server:
        with pytest.raises(NotifyError, match="certificate verify failed"):
            await send(smtp_options(server.port, tls=True, user=USER, password=PASSWORD))
    assert server.received == []


async def test_a_server_without_encryption_gets_neither_mail_nor_password() -> None:
    async with mail_server(login=True) as server:
        with pytest.raises(NotifyError, match="STARTTLS"):
            await send(smtp_options(server.port, tls=True, user=USER, password=PASSWORD))
    assert server.received == []


async def test_a_wrong_password_is_told_without_showing_it() -> None:
    async with mail_server(login=True) as server:
        with pytest.raises(NotifyError, match="535") as caught:
            await send(smtp_options(server.port, user=USER, password="otra-clave"))
    assert "otra-clave" not in str(caught.value)
    assert "EMAIL_HOST" in str(caught.value)
    assert "otra-clave" not in repr(smtp_options(1, password="otra-clave"))


@pytest.mark.parametrize("said", ["530 5.7.0 authentication required", "535 5.7.8 bad credentials"])
async def test_a_server_that_refuses_us_has_not_refused_the_recipient(said: str) -> None:
    """It must be tried again once EMAIL_HOST_USER is right."""
    async with mail_server() as server:
        server.refusals[ANA] = said
        with pytest.raises(NotifyError, match=said[:3]):
            await send(smtp_options(server.port))


async def test_a_server_that_wants_a_login_is_tried_again_later() -> None:
    async with mail_server(login=True) as server:
        with pytest.raises(NotifyError, match="530"):
            await send(smtp_options(server.port))


async def test_a_host_that_is_none_is_told_by_its_name() -> None:
    with pytest.raises(NotifyError, match=r"no-existe\.invalid"):
        await send(smtp_options(25, host="no-existe.invalid"))
