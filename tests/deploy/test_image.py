"""What can be said of the image without making one."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


def last_stage() -> list[str]:
    text = re.sub(r"\\\n\s*", "", (ROOT / "Dockerfile").read_text(encoding="utf-8"))
    return re.split(r"^FROM .*\n", text, flags=re.MULTILINE)[-1].splitlines()


def test_it_is_built_from_what_is_locked() -> None:
    text = (ROOT / "Dockerfile").read_text(encoding="utf-8")
    assert re.findall(r"pip install (.*)", text) == [
        "--require-hashes -r requirements.lock",
        "--require-hashes -r requirements-build.lock",
        "--no-deps /opt/build/dist/*.whl",
    ]
    assert "pip wheel --no-deps --no-build-isolation" in text
    assert re.findall(r"npm (\w+)", text) == ["ci", "run"]


@pytest.mark.parametrize("name", ["requirements.lock", "requirements-build.lock"])
def test_what_is_locked_is_locked_by_its_digest(name: str) -> None:
    lock = (ROOT / name).read_text(encoding="utf-8")
    packages = [found for found in re.split(r"^(?=[a-z0-9])", lock, flags=re.MULTILINE) if "==" in found]
    assert packages
    assert all("--hash=sha256:" in package for package in packages)


def test_it_runs_as_somebody_who_owns_nothing() -> None:
    stage = last_stage()
    # A number: Kubernetes cannot tell of a name whether it is root's.
    assert [line for line in stage if line.startswith("USER")] == ["USER 10001:10001"]
    after = stage[stage.index("USER 10001:10001") :]
    assert not any(line.startswith(("RUN", "COPY", "ADD")) for line in after)
    # Where it starts it reads a .env, so nobody may put one there.
    assert "WORKDIR /opt/respaldos" in stage
    assert not any("chown" in line or "chmod" in line for line in stage)


def test_it_has_neither_what_tells_secrets_nor_what_is_for_development() -> None:
    ignored = (ROOT / ".dockerignore").read_text(encoding="utf-8").splitlines()
    assert ignored[0] == "*"
    assert not {line for line in ignored if line.startswith("!") and (".env" in line or "tests" in line)}
    assert "app/demo" in ignored
