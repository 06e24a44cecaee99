"""Tokens of a backend whose keys stand at an address."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import jwt
import pytest
from aiohttp import web
from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1
from cryptography.hazmat.primitives.asymmetric.ec import generate_private_key as ec_key

from app.auth import jwks
from app.auth.jwks import KeySet
from app.auth.public_key import PublicKey
from app.errors import KeysUnavailable, TokenRefused
from tests.support.signing import (
    AUDIENCE,
    BACKEND,
    SECRET,
    backend_token,
    claims,
    jwk,
    our_tokens,
    public_pem,
    rsa_key,
)


class Backend:
    """Serves `keys` at `url`; `answer` replaces the whole answer, `readings` counts them."""

    def __init__(self) -> None:
        self.keys: list[Any] = []
        self.answer: web.Response | None = None
        self.going_on = asyncio.Event()
        self.going_on.set()
        self.readings = 0
        self.url = ""
        self._runner = web.ServerRunner(web.Server(self._serve))

    async def _serve(self, request: web.BaseRequest) -> web.StreamResponse:
        self.readings += 1
        await self.going_on.wait()
        if request.path == "/otra":
            return web.json_response({"keys": [jwk(rsa_key())]})
        return self.answer or web.json_response({"keys": self.keys})

    async def start(self, port: int = 0) -> None:
        await self._runner.setup()
        site = web.TCPSite(self._runner, "127.0.0.1", port)
        await site.start()
        self.url = f"http://127.0.0.1:{self._runner.addresses[0][1]}/claves"

    async def stop(self) -> None:
        self.going_on.set()
        await self._runner.cleanup()


class Clock:
    """A clock that a test moves; seconds."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
async def backend() -> AsyncIterator[Backend]:
    """A backend with one key, `uno`."""
    serving = Backend()
    serving.keys = [jwk(rsa_key())]
    await serving.start()
    yield serving
    await serving.stop()


@pytest.fixture
def clock() -> Clock:
    """The key set's clock."""
    return Clock()


@pytest.fixture
async def keys(backend: Backend, clock: Clock) -> AsyncIterator[KeySet]:
    """The backend's key set."""
    async with closing(KeySet(backend.url, "RS256", clock=clock)) as found:
        yield found


@asynccontextmanager
async def closing(found: KeySet) -> AsyncIterator[KeySet]:
    try:
        yield found
    finally:
        await found.close()


def known(key: PublicKey, name: str = "uno") -> bool:
    return key.public_numbers() == rsa_key(name).public_key().public_numbers()  # type: ignore[union-attr]


async def test_tokens_are_verified_with_the_keys_at_the_address(backend: Backend) -> None:
    tokens = our_tokens(jwks_url=backend.url, issuer=BACKEND, audience=AUDIENCE)
    try:
        assert (await tokens.verify(backend_token(kid="uno"))).clinica_id == 7
        for wrong in (
            backend_token(rsa_key("otra"), kid="uno"),
            backend_token(kid="otra"),
            backend_token(kid="uno", iss="https://otra.example"),
            backend_token(kid="uno", aud="otra"),
            backend_token(kid="uno", exp=1),
            jwt.encode(claims(), SECRET, "HS256", headers={"kid": "uno"}),
        ):
            with pytest.raises(TokenRefused):
                await tokens.verify(wrong)
        assert backend.readings == 1
    finally:
        await tokens.close()


async def test_a_token_need_not_name_the_only_key(backend: Backend, keys: KeySet) -> None:
    assert known(await keys.key(None))


async def test_a_token_has_to_name_one_of_several_keys(backend: Backend, keys: KeySet) -> None:
    backend.keys.append(jwk(rsa_key("otra"), "dos"))
    with pytest.raises(TokenRefused):
        await keys.key(None)
    assert known(await keys.key("dos"), "otra")


async def test_an_unknown_key_is_looked_for_once_a_minute(backend: Backend, keys: KeySet, clock: Clock) -> None:
    await keys.key("uno")
    backend.keys = [jwk(rsa_key("otra"), "dos")]
    clock.now += 59
    for _ in range(3):
        with pytest.raises(TokenRefused, match="clave que no se conoce"):
            await keys.key("dos")
    assert backend.readings == 1
    clock.now += 1
    assert known(await keys.key("dos"), "otra")
    with pytest.raises(TokenRefused):
        await keys.key("tres")
    assert backend.readings == 2


async def test_a_key_that_the_backend_has_withdrawn_is_good_for_an_hour_at_most(
    backend: Backend, keys: KeySet, clock: Clock
) -> None:
    await keys.key("uno")
    backend.keys = [jwk(rsa_key("otra"), "dos")]
    clock.now += 3599
    await keys.key("uno")
    clock.now += 1
    with pytest.raises(TokenRefused):
        await keys.key("uno")


@pytest.mark.parametrize("outage", ["gone", "500", "not json", "no list", "too large"])
async def test_known_keys_outlive_an_outage(backend: Backend, keys: KeySet, clock: Clock, outage: str) -> None:
    await keys.key("uno")
    match outage:
        case "gone":
            await backend.stop()
        case "500":
            backend.answer = web.json_response({"keys": []}, status=500)
        case "not json":
            backend.answer = web.Response(text="<html>")
        case "no list":
            backend.answer = web.json_response({"keys": None})
        case "too large":
            backend.answer = web.json_response({"keys": [], "relleno": "x" * jwks.MAX_BYTES})
    clock.now += 2 * 3600
    assert known(await keys.key("uno"))
    with pytest.raises(TokenRefused):
        await keys.key("dos")


async def test_after_a_start_without_the_backend_its_keys_are_read_as_soon_as_it_is_there(
    backend: Backend, keys: KeySet, clock: Clock
) -> None:
    port = int(backend.url.rsplit(":", 1)[1].partition("/")[0])
    await backend.stop()
    with pytest.raises(KeysUnavailable, match="JWT_JWKS_URL"):
        await keys.key("uno")
    again = Backend()
    again.keys = backend.keys
    await again.start(port)
    try:
        with pytest.raises(KeysUnavailable, match="JWT_JWKS_URL"):
            await keys.key("uno")
        assert again.readings == 0
        clock.now += 5
        assert known(await keys.key("uno"))
    finally:
        await again.stop()


async def test_a_backend_that_hangs_holds_nobody_for_long(
    backend: Backend, keys: KeySet, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(jwks, "TIMEOUT", 0.2)
    backend.going_on.clear()
    with pytest.raises(KeysUnavailable, match="JWT_JWKS_URL"):
        await keys.key("uno")


async def test_who_has_a_known_key_does_not_wait_for_a_refresh(backend: Backend, keys: KeySet, clock: Clock) -> None:
    await keys.key("uno")
    clock.now += 4000
    backend.going_on.clear()
    waiting = asyncio.create_task(keys.key("dos"))
    while backend.readings < 2:
        await asyncio.sleep(0.01)
    assert known(await keys.key("uno"))
    assert not waiting.done()
    backend.going_on.set()
    with pytest.raises(TokenRefused):
        await waiting


async def test_all_who_wait_share_one_reading(backend: Backend, keys: KeySet) -> None:
    found = await asyncio.gather(*(keys.key("uno") for _ in range(20)))
    assert all(map(known, found))
    assert backend.readings == 1


async def test_who_gives_up_waiting_takes_nothing_from_the_others(backend: Backend, keys: KeySet) -> None:
    backend.going_on.clear()
    first = asyncio.create_task(keys.key("uno"))
    while backend.readings < 1:
        await asyncio.sleep(0.01)
    second = asyncio.create_task(keys.key("uno"))
    first.cancel()
    backend.going_on.set()
    assert known(await second)


async def test_a_redirect_is_not_followed(backend: Backend, keys: KeySet) -> None:
    backend.answer = web.Response(status=302, headers={"Location": "/otra"})
    with pytest.raises(KeysUnavailable):
        await keys.key("uno")
    assert backend.readings == 1


async def test_a_file_is_no_address(tmp_path: Any) -> None:
    (tmp_path / "claves").write_text('{"keys": []}')
    async with closing(KeySet(f"file://{tmp_path}/claves", "RS256")) as keys:
        with pytest.raises(KeysUnavailable, match="JWT_JWKS_URL"):
            await keys.key("uno")


@pytest.mark.parametrize(
    "entry",
    [
        jwk(rsa_key(), use="enc"),
        jwk(rsa_key(), alg="RS512"),
        jwk(rsa_key(), key_ops=["sign"]),
        jwk(rsa_key(), kty="oct", k="c2VjcmV0bw"),
        jwk(rsa_key(), n=5),
        jwk(rsa_key(), n="AQAB"),
        {**jwt.algorithms.RSAAlgorithm.to_jwk(rsa_key(), as_dict=True), "kid": "uno", "key_ops": ["verify"]},
        {**jwt.algorithms.ECAlgorithm.to_jwk(ec_key(SECP256R1()).public_key(), as_dict=True), "kid": "uno"},
        {"kid": "uno", "kty": "oct", "k": "c2VjcmV0bw"},
        {"kid": "uno"},
        "uno",
        None,
    ],
)
async def test_a_key_that_is_not_for_this_is_not_used_and_does_no_harm(
    backend: Backend, keys: KeySet, entry: Any
) -> None:
    backend.keys = [entry, jwk(rsa_key("otra"), "dos")]
    with pytest.raises(TokenRefused):
        await keys.key("uno")
    assert known(await keys.key("dos"), "otra")


async def test_the_public_key_in_the_set_is_no_secret(backend: Backend) -> None:
    tokens = our_tokens(jwks_url=backend.url, unchecked=("iss", "aud"))
    pem = public_pem(rsa_key())
    try:
        with pytest.raises(TokenRefused):
            await tokens.verify(jwt.encode(claims(), pem.encode().hex(), "HS256", headers={"kid": "uno"}))
    finally:
        await tokens.close()
