"""Django's password formats, and what it costs to find out."""

import asyncio
import hashlib
from base64 import b64encode
from dataclasses import dataclass, field
from threading import Lock
from typing import Any

import argon2
import bcrypt
import pytest

from app.auth import passwords
from app.auth.passwords import Passwords
from tests.auth.conftest import CHEAP, stored

RIGHT = "contraseña «difícil»"

# As Django's own hashers made them, of RIGHT.
ARGON2 = "argon2" + argon2.PasswordHasher(time_cost=2, memory_cost=1024, parallelism=8).hash(RIGHT)
ARGON2I = "argon2" + argon2.PasswordHasher(time_cost=2, memory_cost=512, parallelism=2, type=argon2.Type.I).hash(
    RIGHT
)
BCRYPT = "bcrypt$" + bcrypt.hashpw(RIGHT.encode(), bcrypt.gensalt(4)).decode()
BCRYPT_SHA256 = (
    "bcrypt_sha256$" + bcrypt.hashpw(hashlib.sha256(RIGHT.encode()).hexdigest().encode(), bcrypt.gensalt(4)).decode()
)
# `make_password("lètmein", "seasalt", …)` and what Django's tests expect of it (tests/auth_tests/test_hashers.py).
DJANGOS = {
    "pbkdf2_sha256$1000000$seasalt$r1uLUxoxpP2Ued/qxvmje7UH9PUJBkRrvf9gGPL7Cps=": "lètmein",
}


# Named, since pytest-xdist's processes would each name them by their own salts.
@pytest.mark.parametrize(
    "encoded",
    [stored(RIGHT), ARGON2, ARGON2I, BCRYPT, BCRYPT_SHA256],
    ids=["pbkdf2_sha256", "argon2id", "argon2i", "bcrypt", "bcrypt_sha256"],
)
async def test_the_right_password_matches_and_no_other(encoded: str) -> None:
    verifier = Passwords()
    assert await verifier.matches(RIGHT, encoded)
    for wrong in ("", RIGHT + " ", RIGHT.upper(), encoded, "\ud800", "a\x00b", "x" * 100_000):
        assert not await verifier.matches(wrong, encoded)


@pytest.mark.parametrize(("encoded", "password"), DJANGOS.items())
async def test_what_django_has_made_is_understood(encoded: str, password: str) -> None:
    assert await Passwords().matches(password, encoded)


async def test_only_the_first_72_bytes_count_for_bcrypt_as_in_django() -> None:
    encoded = "bcrypt$" + bcrypt.hashpw(b"x" * 72, bcrypt.gensalt(4)).decode()
    assert await Passwords().matches("x" * 100, encoded)
    assert not await Passwords().matches("x" * 71, encoded)


def argon2_of(**cost: Any) -> str:
    good = {"m": 1024, "t": 2, "p": 8} | cost
    return f"argon2$argon2id$v=19$m={good['m']},t={good['t']},p={good['p']}$c29tZXNhbHQ${'A' * 43}"


TOO_COSTLY = [
    stored(RIGHT).replace(f"${CHEAP}$", "$10000001$"),
    stored(RIGHT).replace(f"${CHEAP}$", f"${'9' * 5000}$"),
    argon2_of(m=(1 << 20) + 1),
    argon2_of(t=10_000),
    argon2_of(p=1000),
    BCRYPT.replace("$04$", "$31$"),
]

UNUSABLE = [
    None,
    "",
    "!",
    "!iXrtLyIRSsrEOiYcOuZFHhCe0LBTbTLkqDmBqWaL",
    "demo1234",
    RIGHT,
    "md5$sal$5f4dcc3b5aa765d61d8327deb882cf99",
    "pbkdf2_sha256",
    "pbkdf2_sha256$$$",
    "pbkdf2_sha256$0$sal$" + b64encode(bytes(32)).decode(),
    "pbkdf2_sha256$-5$sal$" + b64encode(bytes(32)).decode(),
    "pbkdf2_sha256$x$sal$" + b64encode(bytes(32)).decode(),
    f"pbkdf2_sha256${CHEAP}$sal$",
    f"pbkdf2_sha256${CHEAP}$sal$ñ",
    f"pbkdf2_sha256${CHEAP}$sal$AAAA",
    "argon2$",
    "argon2$argon2id",
    "argon2$argon2id$v=19$m=1024$c29tZXNhbHQ$AAAA",
    "argon2$argon2id$v=19$m=1024,t=2,p=8$$",
    "argon2$argon2id$v=19$m=1024,t=2,p=8$ñ$ñ",
    "argon2$argon2x$v=19$m=1024,t=2,p=8$c29tZXNhbHQ$AAAA",
    "bcrypt$",
    "bcrypt$$2b$04$corta",
    "bcrypt$$2b$00$" + "a" * 53,
    "bcrypt_sha256$" + BCRYPT,
]


@dataclass
class Work:
    """What has been computed, and how many computations ran at once at most."""

    done: list[int] = field(default_factory=list)
    running: int = 0
    most: int = 0


@pytest.fixture
def work(monkeypatch: pytest.MonkeyPatch) -> Work:
    """Counts every computation of pbkdf2, by its iterations."""
    counted = Work()
    lock = Lock()

    def counting(name: str, password: bytes, salt: bytes, iterations: int) -> bytes:
        with lock:
            counted.running += 1
            counted.most = max(counted.most, counted.running)
        try:
            return hashlib.pbkdf2_hmac(name, password, salt, iterations)
        finally:
            with lock:
                counted.running -= 1
                counted.done.append(iterations)

    monkeypatch.setattr(passwords, "pbkdf2_hmac", counting)
    return counted


@pytest.mark.parametrize("encoded", [*UNUSABLE, *TOO_COSTLY], ids=map(str, range(len(UNUSABLE + TOO_COSTLY))))
async def test_what_is_no_usable_hash_matches_nothing_and_costs_as_much_as_a_wrong_password(
    work: Work, encoded: str | None
) -> None:
    verifier = Passwords()
    assert not await verifier.matches("mala", stored(RIGHT, 2345))
    for guess in (RIGHT, "", "demo1234"):
        assert not await verifier.matches(guess, encoded)
    assert work.done == [2345] * 4


async def test_before_any_password_has_been_seen_nobody_costs_what_django_would(work: Work) -> None:
    assert not await Passwords().matches(RIGHT, None)
    assert work.done == [CHEAP]


async def test_many_at_once_wait_for_each_other_and_stop_nobody_else(work: Work) -> None:
    verifier = Passwords()
    encoded = stored(RIGHT, 100_000)
    ticks = 0

    async def others() -> None:
        nonlocal ticks
        while True:
            await asyncio.sleep(0)
            ticks += 1

    working = asyncio.create_task(others())
    found = await asyncio.gather(*(verifier.matches(RIGHT, encoded) for _ in range(12)))
    working.cancel()
    assert all(found)
    assert len(work.done) == 12
    assert work.most <= passwords.AT_ONCE
    assert ticks > 12
