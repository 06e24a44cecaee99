"""Each test that docs/security.md names is there."""

import re
from pathlib import Path

ROOT = Path(__file__).parents[1]


def test_the_tests_that_show_it_exist() -> None:
    named = re.findall(r"`(tests/[^`]+)`", (ROOT / "docs" / "security.md").read_text())
    assert len(named) > 15
    for name in named:
        path, _, test = name.partition("::")
        assert f"def {test}(" in (ROOT / path).read_text() if test else (ROOT / path).exists(), name
