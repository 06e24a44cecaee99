"""What of a clinic is restored by a random restore, and in what mode."""

from dataclasses import dataclass

from hypothesis import strategies as st
from hypothesis.strategies import SearchStrategy

from app.clinic.restore.mode import Modo


@dataclass(frozen=True, slots=True)
class Part:
    """What is chosen: some models by their places, so many records, or else all of it."""

    modo: Modo
    models: tuple[int, ...] = ()
    records: int = 0
    seed: int = 0


WHOLE = Part(Modo.TODO)

_parts = st.one_of(
    st.tuples(st.just(()), st.just(0)),
    st.tuples(st.lists(st.integers(0, 7), min_size=1, max_size=3).map(tuple), st.just(0)),
    st.tuples(st.just(()), st.integers(1, 4)),
)


def parts() -> SearchStrategy[Part]:
    """Any of them, in any mode."""
    return st.builds(
        lambda modo, chosen, seed: Part(modo, chosen[0], chosen[1], seed),
        st.sampled_from(Modo),
        _parts,
        st.integers(0, 2**20),
    )
