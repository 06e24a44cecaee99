"""Settings: what is wrong stops the start with one line that names it, and no secret is ever in it."""

import re
from pathlib import Path

import pytest

from app.errors import SettingsError
from app.settings import EmbeddedServer, Settings, demo_settings, load_settings

EXAMPLE = Path(__file__).parent.parent / ".env.example"

SECRET = "x-hidden-x"

# A value that each setting refuses. Those without one take any text.
MALFORMED = {
    "DATABASE_URL": f"mysql://usuario:{SECRET}@host/base",
    "CLINIC_DATABASE_URL": f"usuario:{SECRET}@host",
    "CLINIC_RESTORE_DATABASE_URL": SECRET,
    "TENANCY": "row",
    "OWNERSHIP_RULES": "{no es json",
    "REDIS_URL": f"http://:{SECRET}@host",
    "AWS_S3_REGION_NAME": "us east",
    "AWS_BACKUP_BUCKET_NAME": "Con Mayúsculas",
    "AWS_ENDPOINT_URL_S3": "ftp://almacen",
    "AWS_PUBLIC_ENDPOINT_URL_S3": "almacen",
    "S3_STORAGE_CLASS": "barata",
    "S3_SSE": "rot13",
    "S3_CHECKSUMS": "crc",
    "JWT_SECRET": SECRET,
    "JWT_JWKS_URL": "claves",
    "JWT_ALGORITHM": "none",
    "TIME_ZONE": "America/Narnia",
    "BACKUP_HOUR": "24",
    "BACKUP_MINUTE": "-1",
    "RETENTION_DAYS": "0",
    "RETENTION_MINIMUM": "ninguno",
    "RETENTION_DAILY": "-1",
    "RETENTION_WEEKLY": "-1",
    "RETENTION_MONTHLY": "1.5",
    "PURGE_DAYS": "-7",
    "TOKEN_HOURS": "0",
    "WEBHOOK_URL": "aviso",
    "STORAGE_PRICE_GB_MONTH": "-0.1",
    "EMAIL_PORT": "70000",
    "EMAIL_USE_TLS": "quizás",
    "DEFAULT_FROM_EMAIL": "nadie",
    "NOTIFY_SUCCESS": "sometimes",
    "EMBEDDED": "postgres,mysql",
}

ANY_TEXT = {
    *("TENANT_COLUMN", "TENANT_TABLE", "TENANT_SCHEMA_COLUMN", "TENANT_ACTIVE_COLUMN", "TENANT_NAME_COLUMN"),
    *("EXCLUDE_TABLES", "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "S3_SSE_KMS_KEY_ID", "JWT_PUBLIC_KEY"),
    *("JWT_ISSUER", "JWT_AUDIENCE", "ADMIN_ROLES", "FORWARDED_ALLOW_IPS", "METRICS_TOKEN", "CORS_ALLOWED_ORIGINS"),
    *("WEBHOOK_SECRET", "EMAIL_HOST", "EMAIL_HOST_USER", "EMAIL_HOST_PASSWORD", "RESPALDOS_HOME"),
}


@pytest.fixture(autouse=True)
def _nothing_set(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """An environment, and a folder, without any setting."""
    for name in Settings.model_fields:
        monkeypatch.delenv(name.upper(), raising=False)
    monkeypatch.chdir(tmp_path)


def test_every_setting_is_either_checked_or_free() -> None:
    assert MALFORMED.keys() | ANY_TEXT == {name.upper() for name in Settings.model_fields}
    assert not MALFORMED.keys() & ANY_TEXT


@pytest.mark.parametrize("name", MALFORMED)
def test_a_malformed_value_is_named_in_one_line(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(name, MALFORMED[name])
    with pytest.raises(SettingsError) as caught:
        load_settings()
    said = str(caught.value)
    assert said.startswith(f"{name}: ")
    assert "\n" not in said
    assert SECRET not in said


def test_nothing_set_embeds_everything() -> None:
    assert load_settings().embedded_servers == frozenset(EmbeddedServer)


@pytest.mark.parametrize(
    ("given", "missing"),
    [
        ({"REDIS_URL": "redis://host"}, "DATABASE_URL"),
        ({"DATABASE_URL": "postgresql://host/base"}, "AWS_BACKUP_BUCKET_NAME"),
        ({"DATABASE_URL": "postgresql://host/base", "AWS_ENDPOINT_URL_S3": "http://host"}, "AWS_BACKUP_BUCKET_NAME"),
        ({"AWS_BACKUP_BUCKET_NAME": "mi-bucket"}, "DATABASE_URL"),
        ({"CLINIC_DATABASE_URL": "postgresql://host/base", "EMBEDDED": "redis,s3"}, "DATABASE_URL"),
    ],
)
def test_one_address_makes_the_others_necessary(
    given: dict[str, str], missing: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in given.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(SettingsError, match=f"^{missing}: falta"):
        load_settings()


@pytest.mark.parametrize(
    ("name", "value", "server"),
    [
        ("DATABASE_URL", "postgresql://host/base", "postgres"),
        ("CLINIC_DATABASE_URL", "postgresql://host/base", "postgres"),
        ("REDIS_URL", "redis://host", "redis"),
        ("AWS_ENDPOINT_URL_S3", "http://host", "s3"),
    ],
)
def test_an_address_of_a_server_that_is_embedded_is_refused(
    name: str, value: str, server: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(name, value)
    monkeypatch.setenv("EMBEDDED", "postgres,redis,s3")
    with pytest.raises(SettingsError, match=f"^{name}: .*{server}"):
        load_settings()


def test_the_driver_need_not_be_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_BACKUP_BUCKET_NAME", "mi-bucket")
    for scheme in ("postgres", "postgresql", "postgresql+asyncpg"):
        monkeypatch.setenv("DATABASE_URL", f"{scheme}://usuario:{SECRET}@host/base")
        url = load_settings().database_url
        assert url is not None
        assert url.get_secret_value() == f"postgresql+asyncpg://usuario:{SECRET}@host/base"


def test_no_secret_is_printed_with_the_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DATABASE_URL", f"postgresql://usuario:{SECRET}@host/base")
    monkeypatch.setenv("AWS_BACKUP_BUCKET_NAME", "mi-bucket")
    for name in ("AWS_SECRET_ACCESS_KEY", "METRICS_TOKEN", "WEBHOOK_SECRET", "EMAIL_HOST_PASSWORD"):
        monkeypatch.setenv(name, SECRET)
    monkeypatch.setenv("JWT_SECRET", SECRET * 4)
    monkeypatch.setenv("REDIS_URL", f"redis://:{SECRET}@host")
    assert SECRET not in repr(load_settings())


def test_the_environment_goes_before_the_file(monkeypatch: pytest.MonkeyPatch) -> None:
    Path(".env").write_text("BACKUP_HOUR=4\nBACKUP_MINUTE=5\n")
    monkeypatch.setenv("BACKUP_HOUR", "3")
    settings = load_settings()
    assert (settings.backup_hour, settings.backup_minute) == (3, 5)


def test_the_demo_is_deaf_to_inherited_addresses_and_keeps_its_secret(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DATABASE_URL", "postgresql://host/of-somebody-else")
    monkeypatch.setenv("AWS_BACKUP_BUCKET_NAME", "de-otro")
    first, second = demo_settings(), demo_settings()
    assert first.embedded_servers == frozenset(EmbeddedServer)
    assert first.aws_backup_bucket_name == "respaldos"
    assert first.jwt_secret is not None
    assert first.jwt_secret == second.jwt_secret


def test_what_the_demo_left_holds_only_while_everything_is_embedded(monkeypatch: pytest.MonkeyPatch) -> None:
    demo_settings()
    assert load_settings().ownership_rules.keys() == {"auth_user"}
    monkeypatch.setenv("DATABASE_URL", "postgresql://host/base")
    monkeypatch.setenv("AWS_BACKUP_BUCKET_NAME", "mi-bucket")
    settings = load_settings()
    assert settings.ownership_rules == {}
    assert settings.jwt_secret is None


def test_the_example_names_every_setting_and_no_other() -> None:
    named = re.findall(r"^#([A-Z0-9_]+)=", EXAMPLE.read_text(encoding="utf-8"), flags=re.MULTILINE)
    assert sorted(named) == sorted(name.upper() for name in Settings.model_fields)


def test_the_example_states_the_defaults(monkeypatch: pytest.MonkeyPatch) -> None:
    defaults = Settings()
    for name, value in re.findall(r"^#([A-Z0-9_]+)=(.+)$", EXAMPLE.read_text(encoding="utf-8"), flags=re.MULTILINE):
        if Settings.model_fields[name.lower()].default in (None, {}):
            continue
        monkeypatch.setenv(name, value)
        if name == "AWS_BACKUP_BUCKET_NAME":
            monkeypatch.setenv("EMBEDDED", "postgres,redis,s3")
        assert getattr(Settings(), name.lower()) == getattr(defaults, name.lower()), name
