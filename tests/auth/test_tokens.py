"""Whom a token speaks for, and every reason to refuse one."""

import hashlib
import hmac
import time
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, SECP384R1
from cryptography.hazmat.primitives.asymmetric.ec import generate_private_key as ec_key
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.rsa import generate_private_key as rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from app.auth.principal import Principal, Roles
from app.errors import LoginUnavailable, SettingsError, TokenRefused
from tests.support.signing import (
    BACKEND,
    SECRET,
    backend_token,
    backend_tokens,
    claims,
    forged,
    our_claims,
    our_token,
    our_tokens,
    public_pem,
    rsa_key,
)

ADMIN = Roles(("administrador",)).member(usuario="12", nombre="Ana Peñaranda", clinica_id=7, rol="Administrador")
SUPERADMIN = Roles(()).superadmin(usuario="ana@plataforma.example", nombre="Ana")


async def refused(token: str, **changes: Any) -> str:
    with pytest.raises(TokenRefused) as caught:
        await backend_tokens(**changes).verify(token)
    return str(caught.value)


@pytest.mark.parametrize("principal", [ADMIN, SUPERADMIN])
async def test_who_gets_a_token_of_ours_is_known_by_it(principal: Principal) -> None:
    tokens = our_tokens()
    assert await tokens.verify(tokens.issue(principal)) == principal


async def test_a_token_of_ours_lasts_as_long_as_it_is_said_to() -> None:
    tokens = our_tokens(hours=2)
    said = jwt.decode(tokens.issue(ADMIN), SECRET, ["HS256"])
    assert said["exp"] - int(said["iat"]) == tokens.seconds == 7200
    assert said["iss"] == "respaldos"


async def test_the_backends_tokens_are_believed() -> None:
    assert await backend_tokens().verify(backend_token(nombre="Ana")) == Principal(
        "12", "Ana", 7, "Administrador", admin=True, superadmin=False, paciente=False
    )


async def test_without_jwt_issuer_any_other_issuer_is_the_backend() -> None:
    tokens = backend_tokens(issuer=None)
    for issuer in ("https://otra.example", None):
        assert (await tokens.verify(backend_token(iss=issuer))).clinica_id == 7


async def test_without_jwt_audience_it_does_not_matter_whom_a_token_is_for() -> None:
    for audience in ("otro", ["a", "b"], None):
        assert (await backend_tokens(audience=None).verify(backend_token(aud=audience))).clinica_id == 7


@pytest.mark.parametrize(
    ("algorithm", "key"),
    [
        ("RS512", rsa_key()),
        ("PS256", rsa_key()),
        ("ES256", ec_key(SECP256R1())),
        ("ES384", ec_key(SECP384R1())),
        ("EdDSA", Ed25519PrivateKey.generate()),
    ],
)
async def test_each_algorithm_of_the_settings_serves(algorithm: str, key: Any) -> None:
    tokens = backend_tokens(public_key=public_pem(key), algorithm=algorithm)
    assert (await tokens.verify(backend_token(key, algorithm))).clinica_id == 7


async def test_a_key_pasted_into_one_line_serves() -> None:
    tokens = backend_tokens(public_key=public_pem(rsa_key()).replace("\n", "\\n"))
    assert (await tokens.verify(backend_token())).clinica_id == 7


async def test_the_clocks_may_be_half_a_minute_apart() -> None:
    now = int(time.time())
    for claim, moment in (("exp", now - 15), ("nbf", now + 15), ("iat", now + 15)):
        changes: dict[str, Any] = {claim: moment}
        assert (await backend_tokens().verify(backend_token(**changes))).clinica_id == 7
        assert (await backend_tokens().verify(our_token(**changes))).clinica_id == 7


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"exp": 31}, "venció"),
        ({"nbf": -60}, "todavía no vale"),
        ({"iat": -60}, "todavía no vale"),
    ],
)
async def test_a_token_out_of_its_time_is_refused(changes: dict[str, int], reason: str) -> None:
    then: dict[str, Any] = {name: int(time.time()) - ago for name, ago in changes.items()}
    assert reason in await refused(backend_token(**then))
    assert reason in await refused(our_token(**then))


@pytest.mark.parametrize("name", ["exp", "iat", "sub", "clinica_id", "rol"])
async def test_a_token_without_a_claim_is_refused(name: str) -> None:
    without: dict[str, Any] = {name: None}
    assert f"«{name}»" in await refused(backend_token(**without))
    assert f"«{name}»" in await refused(our_token(**without))


async def test_the_issuer_and_the_audience_are_missed_where_they_are_configured() -> None:
    assert "«iss»" in await refused(backend_token(iss=None))
    assert "«aud»" in await refused(backend_token(aud=None))


async def test_another_issuers_or_another_services_token_is_refused() -> None:
    assert "emisor" in await refused(backend_token(iss="https://otra.example"))
    assert "destinatario" in await refused(backend_token(aud="otro"))
    assert "destinatario" in await refused(backend_token(aud=["uno", "otro"]))


@pytest.mark.parametrize("name", ["exp", "iat", "nbf"])
@pytest.mark.parametrize("value", [True, "9999999999", "mañana", [1], 1e400, float("nan")])
async def test_a_date_that_is_none_is_refused(name: str, value: object) -> None:
    await refused(our_token(**{name: value}))


@pytest.mark.parametrize(
    "value", [True, False, 0, -1, 1.0, "", "-1", "1.0", " 1", "x", [1], {"id": 1}, "9" * 5000, 2**63, "٣"]
)
async def test_a_clinic_that_is_not_a_number_is_refused(value: object) -> None:
    assert "clinica_id" in await refused(our_token(clinica_id=value))


async def test_a_clinics_number_may_be_written_as_text() -> None:
    assert (await our_tokens().verify(our_token(clinica_id="7"))).clinica_id == 7


@pytest.mark.parametrize("name", ["sub", "rol"])
@pytest.mark.parametrize("value", ["", " ", "\n", "a\x00b", "a\nb", "\ud800", True, ["12"], {}])
async def test_a_claim_that_is_not_a_line_of_text_is_refused(name: str, value: object) -> None:
    assert f"«{name}»" in await refused(our_token(**{name: value}))


async def test_a_subject_may_be_a_number_as_the_clinics_number_their_users() -> None:
    assert (await our_tokens().verify(our_token(sub=12))).usuario == "12"


async def test_a_name_that_cannot_be_shown_is_left_out() -> None:
    for name in ("a\x00b", 5):
        assert (await our_tokens().verify(our_token(nombre=name))).nombre is None


@pytest.mark.parametrize("issuer", [BACKEND, "respaldos"])
@pytest.mark.parametrize("algorithm", ["none", "None", "", None, 5, []])
async def test_a_token_without_signature_is_refused(issuer: str, algorithm: object) -> None:
    for signature in (b"", b"x"):
        await refused(forged({"alg": algorithm}, claims(iss=issuer), signature))
    await refused(forged({}, claims(iss=issuer)))


@pytest.mark.parametrize("issuer", [BACKEND, "respaldos"])
async def test_a_token_signed_with_the_public_key_as_if_it_were_a_secret_is_refused(issuer: str) -> None:
    for pem in (public_pem(rsa_key()), public_pem(rsa_key()).strip()):
        unsigned = forged({"alg": "HS256", "typ": "JWT"}, claims(iss=issuer)).rpartition(".")[0]
        digest = hmac.new(pem.encode(), unsigned.encode(), hashlib.sha256).digest()
        signature = forged({}, None, digest).rpartition(".")[2]
        await refused(f"{unsigned}.{signature}")
        await refused(f"{unsigned}.{signature}", issuer=None)


async def test_neither_issuer_can_speak_for_the_other() -> None:
    ours_by_the_backend = jwt.encode(our_claims(), rsa_key(), "RS256")
    the_backends_by_us = jwt.encode(claims(), SECRET, "HS256")
    for token in (ours_by_the_backend, the_backends_by_us):
        assert "algoritmo" in await refused(token)
        assert "algoritmo" in await refused(token, issuer=None)


async def test_another_algorithm_of_the_same_key_is_refused() -> None:
    assert "algoritmo" in await refused(backend_token(algorithm="RS512"))
    assert "algoritmo" in await refused(backend_token(algorithm="PS256"))


async def test_another_key_and_a_changed_token_are_refused() -> None:
    assert "firma" in await refused(backend_token(rsa_key("otra")))
    assert "firma" in await refused(jwt.encode(our_claims(), "otro secreto, que también es bastante largo", "HS256"))
    header, _, signature = our_token().split(".")
    payload = our_token(clinica_id=8).split(".")[1]
    assert "firma" in await refused(f"{header}.{payload}.{signature}")


@pytest.mark.parametrize(
    "token",
    [
        "",
        ".",
        "..",
        "a.b.c",
        "x" * 500,
        "ñ.ñ.ñ",
        "\ud800",
        "a.b.c.d",
        "e30.e30.",
        "bnVsbA.bnVsbA.",
        forged({"alg": "HS256", "crit": ["otro"]}, our_claims()),
        forged({"alg": "HS256", "kid": 5}, our_claims()),
        forged({"alg": "HS256"}, ["no", "es", "un", "objeto"]),
        forged({"alg": "HS256"}, {"iss": ["respaldos"]}),
    ],
    # Named, since pytest-xdist's processes would each name them by their own time.
    ids=map(str, range(14)),
)
async def test_what_is_no_token_is_refused(token: str) -> None:
    await refused(token)


async def test_a_token_that_is_too_long_is_refused_unread() -> None:
    token = our_token(relleno="x" * 9000)
    assert "largo" in await refused(token)


async def test_nothing_foreign_is_believed_where_nothing_is_configured() -> None:
    with pytest.raises(TokenRefused, match="emisor"):
        await our_tokens().verify(backend_token())


@pytest.mark.parametrize("kind", ["refresh", "REFRESH", "reset_password", "", 7, ["access"]])
async def test_a_token_that_only_renews_opens_nothing(kind: object) -> None:
    assert "token_type" in await refused(backend_token(token_type=kind))


@pytest.mark.parametrize("kind", ["access", "sliding", "Bearer"])
async def test_a_token_that_says_that_it_is_for_access_is_believed(kind: str) -> None:
    assert (await backend_tokens().verify(backend_token(token_type=kind))).clinica_id == 7


@pytest.mark.parametrize("kind", ["ID", "Refresh", "Offline", None])
async def test_a_token_whose_other_claim_says_that_it_is_none_for_access_opens_nothing(kind: str | None) -> None:
    """Keycloak's, which signs what says who somebody is with the same key, for the same audience."""
    said = claims() | {"typ": kind}
    assert "«typ»" in await refused(jwt.encode(said, rsa_key(), "RS256"))
    assert (await backend_tokens().verify(backend_token(typ="Bearer"))).clinica_id == 7


@pytest.mark.parametrize(("typ", "good"), [("at+jwt", True), ("application/AT+JWT", True), ("logout+jwt", False)])
async def test_the_headers_kind_counts(typ: str, good: bool) -> None:
    token = jwt.encode(claims(), rsa_key(), "RS256", headers={"typ": typ})
    if good:
        assert (await backend_tokens().verify(token)).clinica_id == 7
    else:
        assert "cabecera" in await refused(token)


async def test_another_issuers_token_is_good_for_so_long_at_most() -> None:
    now = int(time.time())
    assert "JWT_MAX_HOURS" in await refused(backend_token(iat=now, exp=now + 24 * 3600 + 1))
    assert (await backend_tokens().verify(backend_token(iat=now, exp=now + 24 * 3600))).clinica_id == 7
    # From when it was given, not from now on.
    assert "JWT_MAX_HOURS" in await refused(backend_token(iat=now - 30 * 24 * 3600, exp=now + 60))
    assert "JWT_MAX_HOURS" in await refused(backend_token(exp=now + 3601), max_hours=1)
    assert (await backend_tokens().verify(our_token(iat=now, exp=now + 99 * 3600))).clinica_id == 7


async def test_without_a_secret_nothing_is_issued_and_nothing_of_ours_believed() -> None:
    tokens = backend_tokens(secret=None)
    with pytest.raises(LoginUnavailable, match="JWT_SECRET"):
        tokens.issue(ADMIN)
    with pytest.raises(TokenRefused, match="JWT_SECRET"):
        await tokens.verify(our_token())
    assert (await tokens.verify(backend_token())).clinica_id == 7


async def test_only_our_own_word_makes_a_superadmin() -> None:
    assert (await our_tokens().verify(our_token(rol="superadmin", clinica_id=None))).superadmin
    assert "clinica_id" in await refused(backend_token(rol="superadmin", clinica_id=None))


async def test_a_clinics_role_that_is_called_superadmin_is_none() -> None:
    for token in (our_token(rol="superadmin"), backend_token(rol="superadmin")):
        found = await backend_tokens().verify(token)
        assert (found.superadmin, found.admin, found.clinica_id) == (False, False, 7)


@pytest.mark.parametrize(
    ("rol", "admin", "paciente"),
    [
        ("administrador", True, False),
        ("ADMIN", True, False),
        (" Administrador ", True, False),
        ("Administradór", False, False),
        ("Recepcionista", False, False),
        ("Paciente", False, True),
        ("PACÍENTE", False, True),
        (" paciente", False, True),
    ],
)
async def test_what_each_role_is(rol: str, admin: bool, paciente: bool) -> None:
    found = await backend_tokens().verify(backend_token(rol=rol))
    assert (found.admin, found.paciente, found.superadmin) == (admin, paciente, False)


PRIVATE = rsa_key().private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({"public_key": "-----BEGIN PUBLIC KEY-----\nnada\n-----END PUBLIC KEY-----"}, "JWT_PUBLIC_KEY"),
        ({"public_key": PRIVATE}, "JWT_PUBLIC_KEY"),
        ({"public_key": public_pem(rsa(public_exponent=65537, key_size=1024))}, "JWT_PUBLIC_KEY"),  # noqa: S505
        ({"public_key": public_pem(ec_key(SECP256R1()))}, "JWT_PUBLIC_KEY"),
        ({"public_key": public_pem(ec_key(SECP384R1())), "algorithm": "ES256"}, "JWT_PUBLIC_KEY"),
        ({"public_key": public_pem(rsa_key()), "algorithm": "EdDSA"}, "JWT_PUBLIC_KEY"),
        ({"jwks_url": "http://127.0.0.1:1/claves"}, "JWT_JWKS_URL"),
        ({"issuer": "respaldos"}, "JWT_ISSUER"),
        ({"issuer": None, "unchecked": ["aud"]}, r"^JWT_ISSUER: falta.*JWT_UNCHECKED=iss\)$"),
        ({"audience": None, "unchecked": ["iss"]}, r"^JWT_AUDIENCE: falta.*JWT_UNCHECKED=aud\)$"),
        ({"secret": "corto"}, "JWT_SECRET"),
        ({"secret": public_pem(rsa_key())}, "JWT_SECRET"),
    ],
)
def test_what_could_not_be_relied_on_stops_the_start_and_is_named(changes: dict[str, Any], named: str) -> None:
    with pytest.raises(SettingsError, match=named) as caught:
        backend_tokens(**changes)
    assert "nada" not in str(caught.value)
