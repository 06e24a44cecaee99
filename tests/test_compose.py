"""compose.yaml, as far as it can be held against the program without Docker: it is not run here."""

import re
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from app.cli.main import LINES
from app.settings import Settings
from tests.support.roles import three_roles

ROOT = Path(__file__).parents[1]
COMPOSE: dict[str, Any] = yaml.safe_load((ROOT / "compose.yaml").read_text(encoding="utf-8"))
SERVICES: dict[str, dict[str, Any]] = COMPOSE["services"]
OURS = sorted(name for name, service in SERVICES.items() if "build" in service)
STAYING = sorted(set(SERVICES) - {"setup", "secret"})


@pytest.mark.parametrize("name", OURS)
def test_what_is_set_are_settings_and_they_are_good(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    given = SERVICES[name]["environment"]
    assert {each.lower() for each in given} <= set(Settings.model_fields)
    for each in Settings.model_fields:
        monkeypatch.delenv(each.upper(), raising=False)
    for each, value in given.items():
        # What is left out of Docker's own .env is empty.
        monkeypatch.setenv(each, re.sub(r"\$\{\w+:-\}", "", value))
    settings = Settings(_env_file=None)
    assert settings.embedded_servers == frozenset()
    urls = (settings.database_url, settings.clinic_database_url, settings.clinic_restore_database_url)
    roles = [re.search(r"//(\w+):", url.get_secret_value()) for url in urls if url is not None]
    assert [role and role[1] for role in roles] == ["respaldos", "respaldos_lector", "respaldos_escritor"]


def test_its_commands_are_ours() -> None:
    run = [str(part) for name in OURS for part in SERVICES[name].get("command", ())]
    called = re.findall(r"\brespaldos,? ([a-z][a-z0-9-]+)", " ".join(run))
    assert {"migrar", "configurar-s3", "worker"} <= set(called)
    assert set(called) - {"respaldos"} <= {*LINES}


def test_what_is_named_is_there() -> None:
    volumes = {each.partition(":")[0] for service in SERVICES.values() for each in service.get("volumes", ())}
    assert volumes == set(COMPOSE["volumes"])
    for service in SERVICES.values():
        assert set(service.get("depends_on", ())) <= set(SERVICES)
        assert {each["source"] for each in service.get("configs", ())} <= set(COMPOSE["configs"])


@pytest.mark.parametrize("name", STAYING)
def test_it_comes_back_with_the_machine(name: str) -> None:
    assert SERVICES[name]["restart"] == "unless-stopped"


def test_the_roles_are_those_of_the_readme() -> None:
    def statements(sql: str) -> list[str]:
        plain = re.sub(r"--.*", "", sql).replace("'…'", "'respaldos-local-only'")
        return [" ".join(each.split()) for each in plain.split(";") if each.strip()]

    assert statements(COMPOSE["configs"]["roles"]["content"]) == statements(three_roles())


def test_the_secret_is_drawn_once(tmp_path: Path) -> None:
    shell, option, script = SERVICES["secret"]["command"]
    # The user is the image's.
    runnable = script.replace("chown respaldos ", "true ").replace("$$", "$")
    drawn = []
    for _ in range(2):
        subprocess.run([shell, option, runnable], cwd=tmp_path, check=True)
        drawn.append((tmp_path / ".env").read_text())
    assert re.fullmatch(r"JWT_SECRET=[\w-]{43}\n", drawn[0])
    assert drawn[0] == drawn[1]
    assert (tmp_path / ".env").stat().st_mode & 0o077 == 0
    assert Settings(_env_file=tmp_path / ".env").jwt_secret is not None
