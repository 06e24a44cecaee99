"""Failed logins are counted in Redis."""

import asyncio
from collections.abc import AsyncIterator
from urllib.parse import urlsplit

import pytest
from redis.asyncio import Redis

from app.auth import attempts as attempts_module
from app.auth.attempts import (
    ACCOUNT_FAILURES,
    ACCOUNT_WINDOW,
    ADDRESS_FAILURES,
    FAILURES,
    KNOWN_SECONDS,
    LONGEST_PAUSE,
    WINDOW,
    LoginAttempts,
    Origin,
)
from app.demo.embedded import Addresses
from app.errors import QueueUnavailable, TooManyAttempts
from tests.support.tcp_proxy import TcpProxy, tcp_proxy

ANA = "ana@clinica.example"
HERE, THERE = Origin("192.0.2.1"), Origin("192.0.2.2")


async def fail(attempts: LoginAttempts, times: int, correo: str = ANA, origin: Origin = HERE) -> None:
    for _ in range(times):
        await attempts.count(correo, origin)


async def is_refused(attempts: LoginAttempts, correo: str = ANA, origin: Origin = HERE) -> bool:
    try:
        await attempts.count(correo, origin)
    except TooManyAttempts:
        return True
    await attempts.release(correo, origin)
    return False


async def test_after_five_failures_the_next_has_to_wait(attempts: LoginAttempts) -> None:
    await fail(attempts, FAILURES)
    with pytest.raises(TooManyAttempts, match="15 minutos") as caught:
        await attempts.count(ANA, HERE)
    assert WINDOW - 60 < caught.value.retry_after <= WINDOW


async def test_others_and_the_same_from_elsewhere_do_not_wait(attempts: LoginAttempts) -> None:
    await fail(attempts, FAILURES)
    assert await is_refused(attempts)
    assert not await is_refused(attempts, "eva@clinica.example")
    assert not await is_refused(attempts, origin=THERE)


async def test_letters_in_upper_case_are_no_further_guesses(attempts: LoginAttempts) -> None:
    await fail(attempts, FAILURES)
    assert await is_refused(attempts, ANA.upper())


async def test_after_fifty_failures_an_address_has_to_wait(attempts: LoginAttempts) -> None:
    for number in range(ADDRESS_FAILURES):
        await fail(attempts, 1, f"persona{number}@clinica.example")
    assert await is_refused(attempts, "otra@clinica.example")
    assert not await is_refused(attempts, "otra@clinica.example", THERE)


async def test_guesses_made_at_the_same_time_do_not_pass_together(attempts: LoginAttempts) -> None:
    made = await asyncio.gather(*(attempts.count(ANA, HERE) for _ in range(40)), return_exceptions=True)
    assert made.count(None) == FAILURES
    assert all(isinstance(one, TooManyAttempts) for one in made if one is not None)


async def test_what_is_refused_does_not_make_the_wait_longer(attempts: LoginAttempts, redis: Redis) -> None:
    await fail(attempts, FAILURES)
    for key in await redis.keys("respaldos:ingreso:*"):
        await redis.pexpire(key, 5_000)
    with pytest.raises(TooManyAttempts, match="un minuto") as caught:
        await attempts.count(ANA, HERE)
    assert caught.value.retry_after in (4, 5)


async def test_when_the_time_is_over_all_is_forgotten(attempts: LoginAttempts, redis: Redis) -> None:
    await fail(attempts, FAILURES)
    for key in await redis.keys("respaldos:ingreso:*"):
        await redis.pexpire(key, 1)
    async with asyncio.timeout(30):
        while await redis.keys("respaldos:ingreso:*"):
            await asyncio.sleep(0.01)
    assert not await is_refused(attempts)


async def test_every_count_ends_by_itself(attempts: LoginAttempts, redis: Redis) -> None:
    await fail(attempts, 2)
    await attempts.release(ANA, HERE)
    keys = await redis.keys("respaldos:ingreso:*")
    assert len(keys) == 3
    for key in keys:
        assert 0 < await redis.ttl(key) <= ACCOUNT_WINDOW


async def test_a_success_forgets_the_failures(attempts: LoginAttempts, redis: Redis) -> None:
    await fail(attempts, FAILURES - 1)
    await attempts.count(ANA, HERE)
    await attempts.succeeded(ANA, HERE)
    await fail(attempts, FAILURES)
    assert await is_refused(attempts)


async def test_a_success_does_not_forget_what_else_came_from_the_address(attempts: LoginAttempts) -> None:
    """Who has one account could else guess the passwords of all others."""
    for number in range(ADDRESS_FAILURES - 1):
        await fail(attempts, 1, f"persona{number}@clinica.example")
    for _ in range(3):
        await attempts.count(ANA, HERE)
        await attempts.succeeded(ANA, HERE)
    await fail(attempts, 1, "otra@clinica.example")
    assert await is_refused(attempts)


async def test_a_clinic_whose_people_all_come_from_one_address_does_not_lock_itself_out(
    attempts: LoginAttempts,
) -> None:
    for number in range(2 * ADDRESS_FAILURES):
        await attempts.count(f"persona{number}@clinica.example", HERE)
        await attempts.succeeded(f"persona{number}@clinica.example", HERE)
    assert not await is_refused(attempts)


async def test_what_nobody_could_decide_is_no_failure(attempts: LoginAttempts, redis: Redis) -> None:
    for _ in range(2 * FAILURES):
        await attempts.count(ANA, HERE)
        await attempts.release(ANA, HERE)
    assert not await redis.keys("respaldos:ingreso:*")


async def test_guesses_from_everywhere_become_slower_and_shut_nobody_out(
    attempts: LoginAttempts, redis: Redis
) -> None:
    office, home = Origin("203.0.113.1"), Origin("203.0.113.2")
    await attempts.count(ANA, office)
    await attempts.succeeded(ANA, office)
    (known,) = await redis.keys("respaldos:ingreso:conocida:*")
    assert KNOWN_SECONDS - 60 < await redis.ttl(known) <= KNOWN_SECONDS
    for number in range(ACCOUNT_FAILURES):
        await fail(attempts, 1, origin=Origin(f"198.51.100.{number}"))
    (pause,) = await redis.keys("respaldos:ingreso:pausa:*")
    # The first waits, of a second, two and four, are over by themselves on a machine that is busy.
    for number in range(20, 23):
        await redis.delete(pause)
        await fail(attempts, 1, origin=Origin(f"198.51.100.{number}"))
    for number, wait in enumerate((8, 16, 32, *[LONGEST_PAUSE] * 4), start=30):
        with pytest.raises(TooManyAttempts) as caught:
            await attempts.count(ANA, home)
        assert wait - 4 < caught.value.retry_after <= wait
        # Who comes in from where they always do is not kept out by strangers, however many ask.
        await attempts.count(ANA, office)
        await attempts.release(ANA, office)
        await redis.delete(pause)
        await fail(attempts, 1, origin=Origin(f"198.51.100.{number}"))
    assert not await is_refused(attempts, "eva@clinica.example", home)
    # Nor are they free to guess.
    await redis.delete(*await redis.keys("respaldos:ingreso:pausa:*"))
    await fail(attempts, FAILURES, origin=office)
    assert await is_refused(attempts, origin=office)


async def test_behind_a_proxy_that_is_not_known_one_does_not_shut_out_all(attempts: LoginAttempts) -> None:
    def behind(claimed: str) -> Origin:
        return Origin("172.18.0.1", claimed)

    for number in range(ADDRESS_FAILURES):
        await fail(attempts, 1, f"persona{number}@clinica.example", behind("198.51.100.1"))
    assert await is_refused(attempts, "otra@clinica.example", behind("198.51.100.1"))
    for claimed in ("198.51.100.2", "unknown", ""):
        assert not await is_refused(attempts, "otra@clinica.example", behind(claimed))
    # What anybody may claim gives no more guesses at one person's password, and is not remembered as theirs.
    for number in range(ACCOUNT_FAILURES):
        await fail(attempts, 1, origin=behind(f"203.0.113.{number}"))
    assert await is_refused(attempts, origin=behind("203.0.113.99"))
    await attempts.succeeded(ANA, behind("203.0.113.0"))
    await fail(attempts, ACCOUNT_FAILURES, origin=behind("203.0.113.0"))
    assert await is_refused(attempts, origin=behind("203.0.113.0"))


async def test_one_network_of_ipv6_is_one_address(attempts: LoginAttempts) -> None:
    for number in range(FAILURES):
        await fail(attempts, 1, origin=Origin(f"2001:db8:1:2::{number + 1}"))
    assert await is_refused(attempts, origin=Origin("2001:db8:1:2:ffff::1"))
    assert not await is_refused(attempts, origin=Origin("2001:db8:1:3::1"))


async def test_an_ipv4_address_is_the_same_written_as_ipv6(attempts: LoginAttempts) -> None:
    await fail(attempts, FAILURES, origin=Origin(f"::ffff:{HERE.direccion}"))
    assert await is_refused(attempts, origin=HERE)
    assert not await is_refused(attempts, origin=Origin(f"::ffff:{THERE.direccion}"))


async def test_redis_does_not_learn_who_it_was(attempts: LoginAttempts, redis: Redis) -> None:
    await fail(attempts, 1)
    for key in await redis.keys("*"):
        assert "ana" not in key
        assert HERE.direccion not in key


async def test_anything_may_be_typed(attempts: LoginAttempts) -> None:
    for typed in ("", "\ud800", "a\x00b", "x" * 100_000):
        await attempts.count(typed, Origin("testclient", claimed=typed))


@pytest.fixture
async def proxy(servers: Addresses) -> AsyncIterator[TcpProxy]:
    """Stands before Redis."""
    address = urlsplit(servers.redis_url or "")
    async with tcp_proxy(address.hostname or "", address.port or 0) as made:
        yield made


@pytest.fixture
async def behind_proxy(redis_url: str, redis: Redis, proxy: TcpProxy) -> AsyncIterator[LoginAttempts]:
    """A counter that speaks with Redis through `proxy`."""
    address = urlsplit(redis_url)
    netloc = f"{address.netloc.rpartition('@')[0]}@127.0.0.1:{proxy.port}"
    counter = LoginAttempts(address._replace(netloc=netloc).geturl())
    yield counter
    await counter.close()


@pytest.mark.parametrize("fault", ["refuse", "hang", "drop"])
async def test_without_redis_nobody_gets_in_and_with_it_again_everybody(
    behind_proxy: LoginAttempts, proxy: TcpProxy, fault: str
) -> None:
    await behind_proxy.count(ANA, HERE)
    match fault:
        case "refuse":
            await proxy.refuse()
        case "hang":
            proxy.hang()
        case "drop":
            proxy.drop()
    for ask in (behind_proxy.count, behind_proxy.succeeded, behind_proxy.release)[: 1 if fault == "hang" else 3]:
        with pytest.raises(QueueUnavailable, match="REDIS_URL"):
            await ask(ANA, HERE)
    proxy.restore()
    await proxy.listen()
    await behind_proxy.succeeded(ANA, HERE)


async def test_a_restart_of_redis_that_loses_its_scripts_is_not_noticed(
    attempts: LoginAttempts, redis: Redis
) -> None:
    await attempts.count(ANA, HERE)
    await redis.script_flush()
    await attempts.count(ANA, HERE)
    await redis.script_flush()
    await attempts.release(ANA, HERE)


async def test_a_redis_that_does_not_know_us_says_so_without_the_password(servers: Addresses) -> None:
    address = urlsplit(servers.redis_url or "")
    counter = LoginAttempts(f"redis://:equivocada@{address.hostname}:{address.port}/0")
    try:
        with pytest.raises(QueueUnavailable) as caught:
            await counter.count(ANA, HERE)
        assert "equivocada" not in str(caught.value)
    finally:
        await counter.close()


def test_the_limits_are_those_of_the_design() -> None:
    assert (attempts_module.FAILURES, attempts_module.ADDRESS_FAILURES) == (5, 50)
