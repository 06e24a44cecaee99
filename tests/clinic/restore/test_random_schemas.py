"""Whatever the schema, and whatever has happened: a restore is exact, or refused with a sentence and nothing changed.

`make random` tries as many cases as time allows; these are the same ones every time, each with both versions of
PostgreSQL and by both roles, in two of the four combinations.
"""

from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from tests.clinic.conftest import Database
from tests.clinic.restore.conftest import Writer, crossed, ordinary
from tests.random_restores.choices import WHOLE, parts
from tests.random_restores.restoring import Ground, run
from tests.random_restores.schemas import Case, cases

FIXED = settings(
    derandomize=True,
    max_examples=50,
    # `make random` looks for the smallest case.
    phases=[Phase.generate],
    suppress_health_check=list(HealthCheck),
)


@crossed
@FIXED
@given(case=cases(most=4, chosen=st.just(WHOLE)))
async def test_a_restore_is_exact_or_refused(any_database: Database, writer: Writer, case: Case) -> None:
    ground = await Ground.of(any_database.url, any_database.sql, ordinary=writer is ordinary)
    await run(ground, case)


@crossed
@FIXED
@given(case=cases(most=4, chosen=parts()))
async def test_a_part_is_as_in_the_backup_and_the_rest_as_it_was(
    any_database: Database, writer: Writer, case: Case
) -> None:
    ground = await Ground.of(any_database.url, any_database.sql, ordinary=writer is ordinary)
    await run(ground, case)
