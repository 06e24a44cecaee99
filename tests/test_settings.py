"""A setting that is wrong stops the start with one line that names it and shows no secret."""

import re
from pathlib import Path
from typing import Any

import pytest

from app.connections.databases import clinic_database, tenancy
from app.connections.embedded import embedded_servers
from app.connections.resources import compression, open_resources, secret_columns
from app.connections.storage import copy_options, s3_options
from app.demo.embedded import Addresses
from app.errors import SettingsError
from app.settings import (
    ADDRESSES,
    DEMO_ENV,
    EmbeddedServer,
    Settings,
    demo_settings,
    load_settings,
    unknown_names,
)

SERVED = {"DATABASE_URL": "postgresql://u:p@h:5432/b", "AWS_BACKUP_BUCKET_NAME": "respaldos-clinica"}

# Of every setting that can be malformed, values that are.
MALFORMED = {
    "database_url": [
        "mysql://u:Secreta9@h/b",
        "h/b",
        "postgresql://u:Secreta9@h:puerto/b",
        "postgresql://u:Secreta9@h",
    ],
    "clinic_database_url": ["http://u:Secreta9@h/b", "postgresql://u:Secreta9@h:99999/b"],
    "clinic_restore_database_url": ["Secreta9", "postgresql://[::1/b"],
    "tenancy": ["columna", "COLUMN"],
    "ownership_rules": ["auth_user=shared", "[]", '{"auth_user": 1}', '"texto"', "{"],
    "record_labels": [
        *("paciente={nombre}", "[]", '{"a": 1}', '{"a": "sin columnas"}', '{"a": "{}"}', '{"a": "{b"}'),
        *('{"a": "{b.}"}', '{"a": "{b!r}"}', '{"a": "{b:>9}"}', '{"a": "{b}", "a": "{c}"}'),
    ],
    "redis_url": ["http://:Secreta9@h", "Secreta9", "redis://:Secreta9@h:puerto/0", "redis://"],
    "aws_s3_region_name": ["us east", "us_east_1"],
    "aws_backup_bucket_name": ["A", "Mayúsculas", "con espacio", "-guion", "x" * 64, "s3://bucket"],
    "aws_endpoint_url_s3": ["s3.example.com", "ftp://h", "https://u:Secreta9@h", "https://h/ruta"],
    "aws_public_endpoint_url_s3": ["s3.example.com", "https://h/ruta/más"],
    "s3_storage_class": ["standard", "STANDARD-IA"],
    "s3_sse": ["aes", "kms"],
    "s3_checksums": ["md5", "crc32"],
    "copy_buckets": [
        *("oficina", "{}", '{"name": "a"}', '[{"name": "a"}]', '[{"name": "A b", "bucket": "copia"}]'),
        '[{"name": "a", "bucket": "copia", "endpoint_url": "https://u:Secreta9@h"}]',
        '[{"name": "a", "bucket": "copia", "clave": "Secreta9"}]',
        '[{"name": "a", "bucket": "copia", "secret_access_key": ["Secreta9"]}]',
        '[{"name": "a", "bucket": "copia", "days": 0}]',
    ],
    "compression": ["FAST", "gzip", "6"],
    "jwt_secret": ["Secreta9-corta"],
    "jwt_public_key": ["Secreta9", "/ruta/clave.pem"],
    "jwt_jwks_url": ["h/jwks", "ftp://h"],
    "jwt_algorithm": ["HS256", "none", "rs256"],
    "time_zone": ["Marte/Olimpo", "/etc/passwd", "../etc", "America", "UTC+4", "."],
    "backup_hour": ["24", "-1", "dos", "2.5"],
    "backup_minute": ["60", "-1", "media"],
    "backup_window_minutes": ["-1", "721", "dos horas"],
    "point_minutes": ["14", "-1", "1441", "cada hora"],
    "point_hours": ["8:00-19:00", "08:00", "19:00-08:00", "08:00-08:00", "08:00-24:01", "24:00-24:00", "siempre"],
    "retention_days": ["0", "-1", "treinta"],
    "retention_point_days": ["0", "dos"],
    "retention_minimum": ["0", "uno"],
    "retention_daily": ["-1", "x"],
    "retention_weekly": ["-1", "x"],
    "retention_monthly": ["-1", "x"],
    "retention_yearly": ["-1", "x"],
    "purge_days": ["-1", "x"],
    "export_hours": ["0", "169", "un día"],
    "jwt_unchecked": ["sub", "iss;aud"],
    "jwt_max_hours": ["0", "un día"],
    "jwt_require_auth_time": ["siempre"],
    "superadmin_login": ["nunca"],
    "token_hours": ["0", "ocho"],
    "webhook_secret": ["whsec_Secreta9 sin Base64"],
    "forwarded_allow_ips": ["proxy.example.com", "10.0.0.1, 300.1.1.1", "*"],
    "cors_allowed_origins": [
        *("*", "clinica.example", "https://a.example,https://b.example/ruta", "https://*", "https://*:8443"),
        *("https://*.com", "https://*.com.bo", "https://*.co.uk:8443", "https://a.*.com", "https://*a.example.com"),
        *("https://*.*.example.com", "https://*.example.*", "*://*.example.com", "https://*.example.com/"),
        *("https://*.example.com:*", "https://*.127.0.0.1", "https://a.example,https://*", "https://*.-.com/*"),
    ],
    "webhook_url": ["hooks.example/Secreta9", "ftp://h/Secreta9"],
    "storage_price_gb_month": ["-0.1", "nan", "inf", "barato"],
    "email_host": ["smtp://h", "con espacio", "a@b"],
    "email_port": ["0", "65536", "smtp"],
    "email_use_tls": ["quizás", "2"],
    "restore_disable_triggers": ["quizás", "2"],
    "default_from_email": ["nadie", "a@b@c", "con espacio@h"],
    "log_format": ["xml", "JSON"],
    "notify_success": ["nunca", "Always"],
    "public_url": ["respaldos.example.com", "ftp://h", "https://u:Secreta9@h"],
    "encryption": ["quizás", "2"],
    "aws_endpoint_url_kms": ["kms.example", "http://u:Secreta9@h/ruta"],
    "embedded": ["oracle", "postgres;redis", "postgres,mysql"],
}

# Any text at all is valid in these, so nothing is malformed.
FREE = {
    *("tenant_column", "tenant_table", "tenant_schema_column", "tenant_active_column", "tenant_name_column"),
    *("exclude_tables", "access_tables", "aws_access_key_id", "aws_secret_access_key", "s3_sse_kms_key_id"),
    *("jwt_issuer", "jwt_audience", "admin_roles", "metrics_token", "email_host_user"),
    *("email_host_password", "respaldos_home", "secret_columns", "support_contact"),
    # What is wrong with them, SealKeys says.
    *("seal_keys", "seal_public_keys"),
    # And MasterKeys.
    *("master_keys", "master_keys_file"),
}


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty folder to work in, and an environment without any setting."""
    monkeypatch.chdir(tmp_path)
    for name in Settings.model_fields:
        monkeypatch.delenv(name.upper(), raising=False)
        monkeypatch.delenv(name, raising=False)
    return tmp_path


def given(monkeypatch: pytest.MonkeyPatch, values: dict[str, str]) -> None:
    for name, value in values.items():
        monkeypatch.setenv(name, value)


def test_every_setting_is_free_or_has_malformed_values() -> None:
    assert set(Settings.model_fields) == set(MALFORMED) | FREE
    assert not set(MALFORMED) & FREE


@pytest.mark.parametrize(("name", "value"), [(name, value) for name, values in MALFORMED.items() for value in values])
@pytest.mark.parametrize("source", ["environment", ".env"])
def test_a_malformed_value_is_told_in_one_line(
    name: str, value: str, source: str, monkeypatch: pytest.MonkeyPatch, folder: Path
) -> None:
    if source == "environment":
        monkeypatch.setenv(name.upper(), value)
    else:
        (folder / ".env").write_text(f"{name.upper()}='{value}'\n", encoding="utf-8")
    with pytest.raises(SettingsError) as raised:
        load_settings()
    said = str(raised.value)
    assert said.startswith(f"{name.upper()}: ")
    assert "no vale; debe ser" in said
    assert "\n" not in said
    assert "Secreta9" not in said


@pytest.mark.parametrize("name", list(Settings.model_fields))
def test_every_setting_says_what_is_valid(name: str) -> None:
    description = Settings.model_fields[name].description
    assert description
    assert description[0].islower() or description.startswith(("AES", "JSON", "RS"))


def test_secrets_do_not_show(monkeypatch: pytest.MonkeyPatch) -> None:
    given(
        monkeypatch,
        SERVED
        | {
            "DATABASE_URL": "postgresql://u:Secreta1@h/b",
            "CLINIC_DATABASE_URL": "postgresql://u:Secreta2@h/b",
            "CLINIC_RESTORE_DATABASE_URL": "postgresql://u:Secreta3@h/b",
            "REDIS_URL": "redis://:Secreta4@h:6379/0",
            "AWS_SECRET_ACCESS_KEY": "Secreta5",
            "JWT_SECRET": "Secreta6" * 5,
            "METRICS_TOKEN": "Secreta7",
            "WEBHOOK_SECRET": "Secreta8",
            "EMAIL_HOST_PASSWORD": "Secreta9",
            "COPY_BUCKETS": '[{"name": "a", "bucket": "b-1", "access_key_id": "x", "secret_access_key": "Secreta0"}]',
        },
    )
    settings = load_settings()
    assert "Secreta" not in repr(settings) + str(settings)
    assert "Secreta" not in repr(s3_options(settings)) + repr(clinic_database(settings))


@pytest.mark.parametrize(
    ("url", "kept"),
    [
        ("postgresql://u:p@h:5432/b", "postgresql+asyncpg://u:p@h:5432/b"),
        ("postgres://u:p@h/b", "postgresql+asyncpg://u:p@h/b"),
        ("postgresql+asyncpg://u@h/b", "postgresql+asyncpg://u@h/b"),
        ("postgresql://u:p@h/b?sslmode=require", "postgresql+asyncpg://u:p@h/b?sslmode=require"),
        ("postgresql:///b?host=/run/postgresql", "postgresql+asyncpg:///b?host=/run/postgresql"),
        ("postgresql://u:p@h1:5432,h2:5433/b", "postgresql+asyncpg://u:p@h1:5432,h2:5433/b"),
        ("postgresql://u:p@[::1]:5432/b", "postgresql+asyncpg://u:p@[::1]:5432/b"),
        ("postgresql://u:p%40ss@h/b", "postgresql+asyncpg://u:p%40ss@h/b"),
    ],
)
def test_addresses_as_people_paste_them(url: str, kept: str, monkeypatch: pytest.MonkeyPatch) -> None:
    given(monkeypatch, SERVED | {"DATABASE_URL": url})
    found = load_settings().database_url
    assert found is not None
    assert found.get_secret_value() == kept


def test_values_of_several_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    given(
        monkeypatch,
        SERVED
        | {
            "EXCLUDE_TABLES": "sesion, cola,,",
            "SECRET_COLUMNS": "nit, paciente.telefono",
            "ACCESS_TABLES": "cuenta, -auth_log",
            "OWNERSHIP_RULES": '{"auth_user": "shared"}',
            "CORS_ALLOWED_ORIGINS": "https://a.example, http://*.localhost:5173,https://*.clinicas.com.bo",
            "FORWARDED_ALLOW_IPS": "10.0.0.1,10.1.0.0/16,::1",
            "TENANCY": "schema",
        },
    )
    settings = load_settings()
    assert settings.exclude_tables == ("sesion", "cola")
    assert secret_columns(settings).names == ("nit", "paciente.telefono")
    assert settings.cors_allowed_origins == (
        "https://a.example",
        "http://*.localhost:5173",
        "https://*.clinicas.com.bo",
    )
    assert settings.forwarded_allow_ips == ("10.0.0.1", "10.1.0.0/16", "::1")
    assert tenancy(settings).rules == {"auth_user": "shared"}
    assert (tenancy(settings).kind, tenancy(settings).exclude) == ("schema", ("sesion", "cola"))
    assert tenancy(settings).access == ("cuenta", "-auth_log")


def test_an_empty_value_is_none_at_all(monkeypatch: pytest.MonkeyPatch) -> None:
    given(monkeypatch, dict.fromkeys((name.upper() for name in Settings.model_fields), ""))
    assert load_settings() == Settings()


# Embedded, or addressed


def test_without_any_address_everything_is_embedded() -> None:
    assert load_settings().embedded_servers == frozenset(EmbeddedServer)


@pytest.mark.parametrize("name", ADDRESSES)
def test_one_address_ends_embedding_and_a_forgotten_one_is_an_error(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    values = SERVED | {
        "CLINIC_DATABASE_URL": "postgresql://u:p@h/b",
        "REDIS_URL": "redis://h:6379/0",
        "AWS_ENDPOINT_URL_S3": "https://s3.example",
    }
    given(monkeypatch, {name: values[name]})
    with pytest.raises(SettingsError, match=r"^(DATABASE_URL|AWS_BACKUP_BUCKET_NAME): falta"):
        load_settings()
    given(monkeypatch, SERVED)
    assert load_settings().embedded_servers == frozenset()


@pytest.mark.parametrize(
    ("embedded", "name", "value"),
    [
        ("postgres", "DATABASE_URL", "postgresql://u:p@h/b"),
        ("postgres", "CLINIC_DATABASE_URL", "postgresql://u:p@h/b"),
        ("postgres", "CLINIC_RESTORE_DATABASE_URL", "postgresql://u:p@h/b"),
        ("redis", "REDIS_URL", "redis://h"),
        ("s3", "AWS_ENDPOINT_URL_S3", "https://s3.example"),
    ],
)
def test_an_address_of_what_is_embedded_is_an_error(
    embedded: str, name: str, value: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    given(monkeypatch, {"EMBEDDED": f"{embedded}", name: value})
    with pytest.raises(SettingsError, match=f"^{name}: no puede tener valor si EMBEDDED nombra a {embedded}"):
        load_settings()


def test_some_embedded_and_some_not(monkeypatch: pytest.MonkeyPatch) -> None:
    given(monkeypatch, {"EMBEDDED": "redis, s3", "DATABASE_URL": "postgresql://u:p@h/b"})
    assert load_settings().embedded_servers == {EmbeddedServer.REDIS, EmbeddedServer.S3}


def test_a_key_of_kms_needs_kms(monkeypatch: pytest.MonkeyPatch) -> None:
    given(monkeypatch, SERVED | {"S3_SSE_KMS_KEY_ID": "clave"})
    with pytest.raises(SettingsError, match="S3_SSE_KMS_KEY_ID"):
        load_settings()


def test_a_webhook_is_always_signed(monkeypatch: pytest.MonkeyPatch) -> None:
    given(monkeypatch, SERVED | {"WEBHOOK_URL": "https://avisos.example"})
    with pytest.raises(SettingsError, match="WEBHOOK_SECRET"):
        load_settings()


@pytest.mark.parametrize(("processors", "chosen"), [(1, "fast"), (3, "fast"), (4, "small"), (64, "small")])
def test_what_compresses_is_chosen_by_the_processors(
    processors: int, chosen: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("os.sched_getaffinity", lambda _: set(range(processors)))
    assert compression(Settings()) == chosen
    for said in ("small", "fast"):
        monkeypatch.setenv("COMPRESSION", said)
        assert compression(Settings()) == said


async def test_without_an_address_nothing_is_opened(monkeypatch: pytest.MonkeyPatch) -> None:
    given(monkeypatch, {"EMBEDDED": ","})
    with pytest.raises(SettingsError, match="DATABASE_URL"):
        async with open_resources(load_settings()):
            pass


def test_embedded_servers_give_their_addresses_and_stay_known_as_ours(
    servers: Addresses, tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("app.demo.embedded.running", lambda *_: _Given(servers))
    settings = load_settings()
    with embedded_servers(settings) as addressed:
        assert addressed.database_url is not None
        assert addressed.database_url.get_secret_value() == servers.database_url
        assert addressed.embedded_servers == settings.embedded_servers
        options = s3_options(addressed)
        assert (options.endpoint_url, options.folder) == (servers.s3_endpoint_url, settings.respaldos_home)
        assert options.access_key_id == servers.s3_access_key_id


class _Given:
    """A context that gives what it was made with."""

    def __init__(self, value: Any) -> None:
        self._value = value

    def __enter__(self) -> Any:
        return self._value

    def __exit__(self, *_: object) -> None:
        pass


# Files


@pytest.mark.parametrize("content", [b"\xff\xfe\x00", "TIME_ZONE=América\n".encode("latin-1")])
def test_an_env_file_that_cannot_be_read(content: bytes, folder: Path) -> None:
    (folder / ".env").write_bytes(content)
    with pytest.raises(SettingsError, match=r"no se puede leer «.*\.env»"):
        load_settings()


def test_the_environment_wins_over_the_file(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (folder / ".env").write_text("BACKUP_HOUR=5\nBACKUP_MINUTE=6\n")
    given(monkeypatch, {"BACKUP_HOUR": "7"})
    settings = load_settings()
    assert (settings.backup_hour, settings.backup_minute) == (7, 6)


def test_the_demo_keeps_its_secret_and_other_commands_read_it(folder: Path) -> None:
    first = demo_settings()
    assert first.jwt_secret is not None
    assert len(first.jwt_secret.get_secret_value()) >= 32
    assert (folder / ".respaldos" / DEMO_ENV).stat().st_mode & 0o077 == 0
    again = demo_settings()
    assert again.jwt_secret == first.jwt_secret == load_settings().jwt_secret
    assert "auth_user" in load_settings().ownership_rules


def test_the_demo_is_deaf_to_the_environment(monkeypatch: pytest.MonkeyPatch, folder: Path) -> None:
    given(monkeypatch, {name.upper(): values[0] for name, values in MALFORMED.items()})
    monkeypatch.setenv("RESPALDOS_HOME", str(folder / "otra"))
    settings = demo_settings()
    assert settings.embedded_servers == frozenset(EmbeddedServer)
    assert settings.respaldos_home == folder / "otra"
    assert settings.database_url is None


def test_a_home_that_cannot_be_made(monkeypatch: pytest.MonkeyPatch, folder: Path) -> None:
    (folder / "archivo").write_text("")
    monkeypatch.setenv("RESPALDOS_HOME", str(folder / "archivo" / "casa"))
    with pytest.raises(SettingsError, match=r"^RESPALDOS_HOME: no se puede escribir"):
        demo_settings()


def test_what_the_demo_left_is_not_read_by_a_service_with_addresses(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    demo_settings()
    given(monkeypatch, SERVED)
    settings = load_settings()
    assert settings.jwt_secret is None
    assert settings.ownership_rules == {}


def test_the_example_names_every_setting_and_no_other() -> None:
    text = (Path(__file__).parents[1] / ".env.example").read_text(encoding="utf-8")
    named = re.findall(r"^#?([A-Z][A-Z0-9_]*)=", text, re.MULTILINE)
    assert sorted(named) == sorted(name.upper() for name in Settings.model_fields)


def test_the_example_gives_the_defaults(folder: Path) -> None:
    """Every value of it that is not a placeholder, taken as it stands, changes nothing."""
    text = (Path(__file__).parents[1] / ".env.example").read_text(encoding="utf-8")
    placeholders = (
        *(*ADDRESSES[:-1], "OWNERSHIP_RULES", "RECORD_LABELS", "EMBEDDED", "AWS_BACKUP_BUCKET_NAME"),
        "COPY_BUCKETS",
    )
    lines = re.findall(r"^#([A-Z][A-Z0-9_]*=.*)$", text, re.MULTILINE)
    (folder / ".env").write_text("\n".join(line for line in lines if line.partition("=")[0] not in placeholders))
    assert load_settings().model_dump() == Settings().model_dump()


def test_a_misspelt_setting_is_told_with_the_one_that_was_meant(tmp_path: Path) -> None:
    file = tmp_path / ".env"
    file.write_text("RETENTION_DAY=90\nBACKUP_HOUR=3\nDJANGO_DEBUG=1\n# RETENTION_DAIYS=1\n")
    environment = {
        "EMAIL_HOST_PASWORD": "x",
        "PATH": "/bin",
        "RESPALDOS_DIAS_A_GUARDAR": "2",
        "AWS_ENDPOINT_URL": "http://s3",
    }
    found = unknown_names(environment, file)
    assert [(each.name, each.nearest) for each in found] == [
        ("DJANGO_DEBUG", None),
        ("RETENTION_DAY", "RETENTION_DAYS"),
        ("EMAIL_HOST_PASWORD", "EMAIL_HOST_PASSWORD"),
        ("RESPALDOS_DIAS_A_GUARDAR", None),
    ]
    assert {each.place for each in found} == {f"«{file}»", "el entorno"}


def test_a_name_beside_the_one_that_it_is_like_is_somebodys_own(tmp_path: Path) -> None:
    cluster = {"RESPALDOS_SERVICE_HOST": "10.0.0.1", "RESPALDOS_API_PORT_8000_TCP_ADDR": "10.0.0.1"}
    assert unknown_names(cluster, tmp_path / "none") == []
    both = {"DATABASE_URL": "x", "DATABASE_URL_OLD": "x", "retention_days": "9", "RETENTION_DAYS_": "1"}
    assert unknown_names(both, tmp_path / "none") == []


@pytest.mark.parametrize(
    ("copies", "named"),
    [
        ('[{"name": "a", "bucket": "uno"}, {"name": "a", "bucket": "dos"}]', "hay dos «a»"),
        ('[{"name": "a", "bucket": "respaldos-clinica"}]', "el bucket de «a»"),
        ('[{"name": "a", "bucket": "uno"}, {"name": "b", "bucket": "uno"}]', "el bucket de «b»"),
        ('[{"name": "a", "bucket": "uno", "days": 7}]', "PURGE_DAYS"),
        ('[{"name": "a", "bucket": "uno", "access_key_id": "x"}]', "le falta su clave"),
        ('[{"name": "a", "bucket": "uno", "secret_access_key_file": "/no/hay"}]', "le falta su clave"),
    ],
)
def test_copies_are_refused_where_they_would_be_none(
    copies: str, named: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    given(monkeypatch, SERVED | {"COPY_BUCKETS": copies})
    with pytest.raises(SettingsError, match=re.escape(named)):
        load_settings()


def test_a_copys_key_may_be_in_a_file(monkeypatch: pytest.MonkeyPatch, folder: Path) -> None:
    (folder / "clave").write_text("Secreta11\n")
    named = '[{"name": "a", "bucket": "uno", "access_key_id": "x", "secret_access_key_file": "clave"}]'
    given(monkeypatch, SERVED | {"COPY_BUCKETS": named})
    (copy,) = load_settings().copy_buckets
    assert copy_options(copy).secret_access_key == "Secreta11"
    (folder / "clave").unlink()
    with pytest.raises(SettingsError, match="«a»"):
        copy_options(copy)
