"""Names of records in sentences, and the same sentences without them."""

import pytest

from app.record_names import named, without_names


@pytest.mark.parametrize("key", ["4711", "(1, 2)", "«pacientes» 15", "f(x(1", "”"])
def test_a_name_can_be_taken_out_again(key: str) -> None:
    sentence = "faltan {0} y {0}; «Ana» queda"
    with_name = sentence.format(named("Ana (“la ñata”)", key))
    assert 'Ana ("la ñata")' in with_name
    assert "ñata" not in without_names(with_name)
    assert key in without_names(with_name)
    assert without_names(sentence.format(named("", key))) == sentence.format(key)
