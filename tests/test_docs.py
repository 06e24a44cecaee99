"""What documentation says of the program is so."""

import re
from pathlib import Path

import pytest

DOCS = Path("docs")

# Words of the panel in the guide for a clinic's administrator.
LABELS = sorted(set(re.findall(r"\*\*(.+?)\*\*", (DOCS / "guia.md").read_text().replace("\n", " "))))


@pytest.fixture(scope="module")
def panel() -> str:
    """All that the panel can show."""
    sources = [*Path("app/panel/src").rglob("*.tsx"), *Path("app/panel/src").rglob("*.ts")]
    return " ".join(path.read_text() for path in sources)


@pytest.mark.parametrize("label", LABELS)
def test_the_panel_has_what_the_guide_names(label: str, panel: str) -> None:
    assert label in panel


def test_the_guide_shows_pictures_that_are_there() -> None:
    shown = re.findall(r"!\[.+?\]\((.+?)\)", (DOCS / "guia.md").read_text())
    assert shown
    assert [name for name in shown if not (DOCS / name).is_file()] == []
