"""Every setting of the service, read from the environment and `.env`, and checked before anything starts."""

import json
import os
import re
import secrets
from base64 import b64decode, b64encode
from collections.abc import Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from enum import StrEnum
from functools import cache
from ipaddress import ip_network
from pathlib import Path
from string import Formatter
from typing import Annotated, Any, Literal, Self
from urllib.parse import urlsplit
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from dotenv import dotenv_values
from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    SecretStr,
    ValidationError,
    field_validator,
    model_validator,
)
from pydantic_settings import BaseSettings, NoDecode, PydanticBaseSettingsSource, SettingsConfigDict

from app.errors import SettingsError
from app.opening_hours import LEAST_MINUTES, MOST_MINUTES, OpeningHours

# Once one of these is set, nothing is embedded unless EMBEDDED names it: a forgotten bucket must be an error
# and never a backup on the wrong disk.
ADDRESSES = (
    "DATABASE_URL",
    "CLINIC_DATABASE_URL",
    "REDIS_URL",
    "AWS_ENDPOINT_URL_S3",
    "AWS_BACKUP_BUCKET_NAME",
)


# What the demo leaves in its home, so that other commands in the same folder go on with it.
DEMO_ENV = "demo.env"

# Nothing but the same e-mail ties a login of Django to a clinic.
DEMO_RULES = '{"auth_user": {"email": "usuario.correoelectronico"}}'


class EmbeddedServer(StrEnum):
    """The servers that the process can serve itself, from wheels."""

    POSTGRES = "postgres"
    REDIS = "redis"
    S3 = "s3"


def _split(value: object) -> object:
    return [part.strip() for part in value.split(",") if part.strip()] if isinstance(value, str) else value


def _parse_json(value: object) -> object:
    # pydantic-settings' own parsing raises an error that says neither what was given nor what is valid.
    return json.loads(value, object_pairs_hook=_each_once) if isinstance(value, str) else value


def _each_once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        raise ValueError("a name stands there twice")
    return found


def _parse_hours(value: object) -> object:
    return OpeningHours.parse(value) if isinstance(value, str) else value


CommaSeparated = Annotated[tuple[str, ...], NoDecode, BeforeValidator(_split)]

_ORIGIN = re.compile(r"https?://[^/\s*@]+")

# With `*` for one label: the subdomains of this machine, or of a domain whose every subdomain is one's own. Under a
# top-level domain, or what countries have in its place, anybody may register a name, and would be let in.
_SUBDOMAINS = re.compile(
    r"https?://\*\.(localhost|(?!(com?|org|net|edu?|gob|gov|mil|ac)\.[a-z]{2}(:|$))([a-z0-9-]+\.)+[a-z][a-z0-9-]+)(:\d+)?"
)

# Not SecretStr, but whoever has one can use it, or it was meant to be one of those.
_NOT_SHOWN = ("aws_access_key_id", "s3_sse_kms_key_id", "jwt_public_key", "webhook_url", "copy_buckets")


# How alike a name has to be to a setting's to be taken for it: one letter in six may be wrong.
_ALIKE = 0.85

# What this service is called: a setting of that name was meant for it.
_PREFIX = "RESPALDOS_"

# What Kubernetes tells every container of a Service that is called like us.
_OF_KUBERNETES = re.compile(r"\w+_(SERVICE_(HOST|PORT)(_\w+)?|PORT(_\d+_(TCP|UDP)\w*)?)")

# What S3's client reads itself, and may be taken for one of ours.
_OTHERS = {"AWS_ENDPOINT_URL", "AWS_REGION", "AWS_DEFAULT_REGION", "AWS_PROFILE", "AWS_SESSION_TOKEN"}


def _setting(default: Any, valid: str, **limits: Any) -> Any:
    """A field whose description says, in Spanish, what a valid value is: the sentence of its error."""
    return Field(default, description=valid, **limits)


_BUCKET = {
    "valid": "un nombre de bucket: de 3 a 63 minúsculas, cifras, puntos o guiones",
    "pattern": r"^[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]$",
}
_HTTP = {"valid": "una dirección http:// o https://", "pattern": r"^https?://[^/\s@]+/?$"}
_REGION = {"valid": "una región, por ejemplo us-east-1", "pattern": r"^[a-z0-9-]+$"}
_STORAGE_CLASS = {"valid": "una clase de almacenamiento de S3", "pattern": r"^[A-Z_]+$"}


class CopyBucket(BaseModel):
    """A bucket for a second copy of each backup; `days` after a backup's deletion its copy is removed, too."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str = _setting(
        ..., "un nombre de hasta 32 minúsculas, cifras o guiones", pattern=r"^[a-z0-9][a-z0-9-]{0,31}$"
    )
    bucket: str = _setting(..., **_BUCKET)
    endpoint_url: str | None = _setting(None, **_HTTP)
    public_endpoint_url: str | None = _setting(None, **_HTTP)
    region: str = _setting("us-east-1", **_REGION)
    access_key_id: str | None = _setting(None, "el identificador de la clave de S3")
    secret_access_key: SecretStr | None = _setting(None, "la clave secreta de S3")
    secret_access_key_file: Path | None = _setting(None, "un archivo con la clave secreta de S3")
    storage_class: str = _setting("STANDARD", **_STORAGE_CLASS)
    sse: Literal["AES256", "none"] = _setting("AES256", "AES256 o none")
    checksums: Literal["sha256", "none"] = _setting("sha256", "sha256 o none")
    days: int = _setting(30, "un número de días, más que PURGE_DAYS", ge=1, le=36_500)


class Settings(BaseSettings):
    """One immutable value for the whole process; a field is the environment variable of the same name."""

    model_config = SettingsConfigDict(frozen=True, extra="ignore", env_ignore_empty=True)

    database_url: SecretStr | None = _setting(None, "una dirección postgresql://usuario:clave@host:puerto/base")
    clinic_database_url: SecretStr | None = _setting(
        None, "una dirección postgresql://usuario:clave@host:puerto/base"
    )
    clinic_restore_database_url: SecretStr | None = _setting(
        None, "una dirección postgresql://usuario:clave@host:puerto/base"
    )
    restore_disable_triggers: bool = _setting(False, "true o false")
    tenancy: Literal["column", "schema"] = _setting("column", "column o schema")
    tenant_column: str = _setting("clinica_id", "el nombre de una columna")
    tenant_table: str | None = _setting(None, "el nombre de una tabla")
    tenant_schema_column: str = _setting("schema_name", "el nombre de una columna")
    tenant_active_column: str = _setting("activa", "el nombre de una columna")
    tenant_name_column: str = _setting("nombre", "el nombre de una columna")
    exclude_tables: CommaSeparated = _setting((), "nombres de tablas separados por comas")
    access_tables: CommaSeparated = _setting((), "nombres de tablas separados por comas, o -tabla")
    ownership_rules: Annotated[dict[str, str | dict[str, str]], NoDecode, BeforeValidator(_parse_json)] = _setting(
        {},
        'JSON, cada tabla una vez: {"tabla": "expresión SQL sobre t", "shared" o un enlace'
        ' {"columna": "tabla.columna"}}',
    )
    secret_columns: CommaSeparated = _setting((), "nombres columna o tabla.columna separados por comas")
    record_labels: Annotated[dict[str, str], NoDecode, BeforeValidator(_parse_json)] = _setting(
        {},
        'JSON, cada tabla una vez: {"tabla": "{columna} {columna.columna de la tabla a la que apunta}"}',
    )

    redis_url: SecretStr | None = _setting(None, "una dirección redis://host:puerto/0")

    aws_access_key_id: str | None = _setting(None, "el identificador de la clave de S3")
    aws_secret_access_key: SecretStr | None = _setting(None, "la clave secreta de S3")
    aws_s3_region_name: str = _setting("us-east-1", **_REGION)
    aws_backup_bucket_name: str = _setting("respaldos", **_BUCKET)
    aws_endpoint_url_s3: str | None = _setting(None, **_HTTP)
    aws_public_endpoint_url_s3: str | None = _setting(None, **_HTTP)
    s3_storage_class: str = _setting("STANDARD_IA", **_STORAGE_CLASS)
    s3_sse: Literal["AES256", "aws:kms", "none"] = _setting("AES256", "AES256, aws:kms o none")
    s3_sse_kms_key_id: str | None = _setting(None, "el identificador de una clave de KMS")
    s3_checksums: Literal["sha256", "none"] = _setting("sha256", "sha256 o none")
    copy_buckets: Annotated[tuple[CopyBucket, ...], NoDecode, BeforeValidator(_parse_json)] = _setting(
        (), 'JSON: [{"name": "oficina", "bucket": "respaldos", "endpoint_url": "https://…", …}], vea .env.example'
    )
    compression: Literal["small", "fast"] | None = _setting(None, "small o fast")
    seal_keys: SecretStr | None = _setting(None, "id:clave en base64 de 32 bytes, separadas por comas")
    seal_public_keys: str | None = _setting(None, "id:clave en base64 de 32 bytes, separadas por comas")
    encryption: bool = _setting(False, "on u off")
    master_keys: SecretStr | None = _setting(
        None, "id:clave en base64 de 32 bytes, o id:aws-kms:clave de KMS, separadas por comas"
    )
    master_keys_file: Path | None = _setting(None, "un archivo con claves maestras, una por línea")
    aws_endpoint_url_kms: str | None = _setting(None, **_HTTP)

    jwt_secret: SecretStr | None = _setting(None, "un secreto de 32 bytes o más")
    jwt_public_key: str | None = _setting(
        None, "una clave pública en formato PEM", pattern=r"^\s*-----BEGIN [A-Z ]+-----"
    )
    jwt_jwks_url: str | None = _setting(None, "una dirección http:// o https://", pattern=r"^https?://\S+$")
    jwt_algorithm: Literal["RS256", "RS384", "RS512", "PS256", "ES256", "ES384", "EdDSA"] = _setting(
        "RS256", "RS256, RS384, RS512, PS256, ES256, ES384 o EdDSA"
    )
    jwt_issuer: str | None = _setting(None, "el emisor (iss) de los tokens ajenos")
    jwt_audience: str | None = _setting(None, "la audiencia (aud) de los tokens ajenos")
    jwt_unchecked: CommaSeparated = _setting((), "iss, aud, o los dos separados por comas")
    jwt_max_hours: int = _setting(24, "un número de horas, 1 o más", ge=1)
    jwt_require_auth_time: bool = _setting(False, "true o false")
    admin_roles: CommaSeparated = _setting(("administrador", "admin"), "nombres de roles separados por comas")

    time_zone: ZoneInfo = _setting(ZoneInfo("America/La_Paz"), "una zona horaria, por ejemplo America/La_Paz")
    backup_hour: int = _setting(2, "un entero de 0 a 23", ge=0, le=23)
    backup_minute: int = _setting(0, "un entero de 0 a 59", ge=0, le=59)
    backup_window_minutes: int = _setting(120, "un número de minutos, de 0 a 720", ge=0, le=720)
    point_minutes: int = _setting(0, "un número de minutos de 15 a 1440, o 0", ge=0, le=MOST_MINUTES)
    point_hours: Annotated[OpeningHours, NoDecode, BeforeValidator(_parse_hours)] = _setting(
        OpeningHours.parse("08:00-19:00"), "un horario, por ejemplo 08:00-19:00"
    )
    retention_days: int = _setting(30, "un número de días, 1 o más", ge=1)
    retention_point_days: int = _setting(2, "un número de días, 1 o más", ge=1)
    retention_minimum: int = _setting(1, "un número de respaldos, 1 o más", ge=1)
    retention_daily: int = _setting(0, "un número de respaldos, 0 o más", ge=0)
    retention_weekly: int = _setting(0, "un número de respaldos, 0 o más", ge=0)
    retention_monthly: int = _setting(0, "un número de respaldos, 0 o más", ge=0)
    retention_yearly: int = _setting(0, "un número de respaldos, 0 o más", ge=0)
    purge_days: int = _setting(7, "un número de días, 0 o más", ge=0)
    export_hours: int = _setting(24, "un número de horas, de 1 a 168", ge=1, le=168)

    superadmin_login: bool = _setting(True, "true o false")
    token_hours: int = _setting(8, "un número de horas, 1 o más", ge=1)
    forwarded_allow_ips: CommaSeparated = _setting((), "direcciones IP o redes, separadas por comas")
    metrics_token: SecretStr | None = _setting(None, "el secreto con que se leen las métricas")
    cors_allowed_origins: CommaSeparated = _setting(
        (),
        "orígenes separados por comas: https://panel.example.com, o https://*.example.com, donde * es un subdominio",
    )

    webhook_url: str | None = _setting(None, "una dirección http:// o https://", pattern=r"^https?://\S+$")
    webhook_secret: SecretStr | None = _setting(
        None, "el secreto con que se firma cada aviso; si empieza con whsec_, lo demás en Base64"
    )
    storage_price_gb_month: float = _setting(0.0125, "un precio en USD, 0 o más", ge=0, allow_inf_nan=False)
    email_host: str | None = _setting(None, "el nombre de un servidor SMTP", pattern=r"^[^\s/@]+$")
    email_port: int = _setting(587, "un puerto de 1 a 65535", ge=1, le=65535)
    email_use_tls: bool = _setting(True, "true o false")
    email_host_user: str | None = _setting(None, "el usuario del servidor SMTP")
    email_host_password: SecretStr | None = _setting(None, "la clave del servidor SMTP")
    default_from_email: str = _setting("respaldos@localhost", "una dirección de correo", pattern=r"^[^@\s]+@[^@\s]+$")
    public_url: str | None = _setting(None, "una dirección http:// o https://", pattern=r"^https?://[^\s@]+$")
    support_contact: str | None = _setting(None, "a quién se pide ayuda: un nombre, un teléfono, un correo")
    notify_success: Literal["always", "on_demand", "never"] = _setting("always", "always, on_demand o never")

    log_format: Literal["text", "json"] = _setting("text", "text o json")

    embedded: Annotated[frozenset[EmbeddedServer] | None, NoDecode, BeforeValidator(_split)] = _setting(
        None, "postgres, redis y s3, separados por comas"
    )
    respaldos_home: Path = _setting(Path(".respaldos"), "una carpeta")

    @field_validator("database_url", "clinic_database_url", "clinic_restore_database_url")
    @classmethod
    def _postgresql_url(cls, value: SecretStr | None) -> SecretStr | None:
        """SQLAlchemy wants the driver in the scheme; people paste the address as every other tool has it."""
        if value is None:
            return None
        scheme, _, rest = value.get_secret_value().partition("://")
        parts = urlsplit(f"//{rest}")
        if scheme not in {"postgresql", "postgres", "postgresql+asyncpg"} or len(parts.path) < 2:
            raise ValueError("not a PostgreSQL address")
        for host in parts.netloc.rpartition("@")[2].split(","):
            # Reading the port raises ValueError where it is none.
            _ = urlsplit(f"//{host}").port
        return SecretStr(f"postgresql+asyncpg://{rest}")

    @field_validator("record_labels")
    @classmethod
    def _templates(cls, value: dict[str, str]) -> dict[str, str]:
        for template in value.values():
            # It raises ValueError where a brace is missing.
            fields = [field for field in Formatter().parse(template) if field[1] is not None]
            if not fields or any(how or as_ or not all((name or "").split(".")) for _, name, how, as_ in fields):
                raise ValueError("not a template of columns")
        return value

    @field_validator("webhook_secret")
    @classmethod
    def _webhook_key(cls, value: SecretStr | None) -> SecretStr | None:
        """As Standard Webhooks writes one, or any other."""
        if value is not None and value.get_secret_value().startswith("whsec_"):
            b64decode(value.get_secret_value().removeprefix("whsec_"), validate=True)
        return value

    @field_validator("redis_url")
    @classmethod
    def _redis_url(cls, value: SecretStr | None) -> SecretStr | None:
        if value is not None:
            parts = urlsplit(value.get_secret_value())
            if parts.scheme not in {"redis", "rediss"} or not parts.hostname or parts.port == 0:
                raise ValueError("not a Redis address")
        return value

    @field_validator("jwt_secret")
    @classmethod
    def _long_secret(cls, value: SecretStr | None) -> SecretStr | None:
        # RFC 7518 §3.2: an HS256 key is at least as long as the hash.
        if value is not None and len(value.get_secret_value().encode()) < 32:
            raise ValueError("too short")
        return value

    @field_validator("jwt_unchecked")
    @classmethod
    def _claims(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        if not set(value) <= {"iss", "aud"}:
            raise ValueError("not a claim that can be left unchecked")
        return value

    @field_validator("forwarded_allow_ips")
    @classmethod
    def _networks(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        for address in value:
            ip_network(address, strict=False)
        return value

    @field_validator("cors_allowed_origins")
    @classmethod
    def _origins(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        for origin in value:
            if _ORIGIN.fullmatch(origin) is None and _SUBDOMAINS.fullmatch(origin) is None:
                raise ValueError("not an origin")
        return value

    @field_validator("point_minutes")
    @classmethod
    def _point_minutes(cls, value: int) -> int:
        if 0 < value < LEAST_MINUTES:
            raise ValueError("too often")
        return value

    @field_validator("time_zone", mode="before")
    @classmethod
    def _time_zone(cls, value: object) -> object:
        if not isinstance(value, str):
            return value
        try:
            return ZoneInfo(value)
        except (ZoneInfoNotFoundError, ValueError, OSError) as exc:
            raise ValueError("no such time zone") from exc

    @model_validator(mode="after")
    def _embedded_or_addressed(self) -> Self:
        """Each server is either ours or has an address, never both and never neither."""
        addressed = {name for name in ADDRESSES if name.lower() in self.model_fields_set}
        clashes = {
            EmbeddedServer.POSTGRES: {"DATABASE_URL", "CLINIC_DATABASE_URL", "CLINIC_RESTORE_DATABASE_URL"},
            EmbeddedServer.REDIS: {"REDIS_URL"},
            EmbeddedServer.S3: {"AWS_ENDPOINT_URL_S3"},
        }
        for server in self.embedded or ():
            for name in sorted(clashes[server]):
                if name.lower() in self.model_fields_set:
                    raise SettingsError(f"{name}: no puede tener valor si EMBEDDED nombra a {server}")
        if addressed and EmbeddedServer.POSTGRES not in self.embedded_servers and self.database_url is None:
            raise SettingsError("DATABASE_URL: falta, porque hay otras direcciones y EMBEDDED no nombra a postgres")
        if addressed and EmbeddedServer.S3 not in self.embedded_servers and "AWS_BACKUP_BUCKET_NAME" not in addressed:
            raise SettingsError(
                "AWS_BACKUP_BUCKET_NAME: falta, porque hay otras direcciones y EMBEDDED no nombra a s3"
            )
        self._refuse_copies_in_the_wrong_place()
        if self.s3_sse_kms_key_id is not None and self.s3_sse != "aws:kms":
            raise SettingsError("S3_SSE_KMS_KEY_ID: solo vale con S3_SSE=aws:kms")
        if self.webhook_url is not None and self.webhook_secret is None:
            raise SettingsError("WEBHOOK_SECRET: falta, porque WEBHOOK_URL tiene valor")
        return self

    def _refuse_copies_in_the_wrong_place(self) -> None:
        """Each copy has a name and a bucket of its own, and stays longer than what it is a copy of."""
        first = (self.aws_endpoint_url_s3, self.aws_backup_bucket_name)
        taken = {(None if first[0] is None else first[0].rstrip("/"), first[1])}
        names: set[str] = set()
        for copy in self.copy_buckets:
            where = (None if copy.endpoint_url is None else copy.endpoint_url.rstrip("/"), copy.bucket)
            if copy.name in names:
                raise SettingsError(f"COPY_BUCKETS: hay dos «{copy.name}»")
            if where in taken:
                raise SettingsError(
                    f"COPY_BUCKETS: el bucket de «{copy.name}» es el de los respaldos o de otra copia"
                )
            if copy.days <= self.purge_days:
                raise SettingsError(
                    f"COPY_BUCKETS: los días de «{copy.name}» ({copy.days}) deben ser más que PURGE_DAYS"
                    f" ({self.purge_days})"
                )
            secret = copy.secret_access_key or copy.secret_access_key_file
            if (copy.access_key_id is None) != (secret is None):
                raise SettingsError(f"COPY_BUCKETS: a «{copy.name}» le falta su clave de S3, o cuál es")
            names.add(copy.name)
            taken.add(where)

    @property
    def embedded_servers(self) -> frozenset[EmbeddedServer]:
        """Which servers this process serves itself: what EMBEDDED says, else all if nothing has an address."""
        if self.embedded is not None:
            return self.embedded
        addressed = any(name.lower() in self.model_fields_set for name in ADDRESSES)
        return frozenset() if addressed else frozenset(EmbeddedServer)


class _DemoSettings(Settings):
    """Ignores environment variables: an inherited address would turn the demo on somebody's real servers."""

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],  # noqa: ARG003
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,  # noqa: ARG003
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,  # noqa: ARG003
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        return init_settings, dotenv_settings


@cache
def settings_of_process() -> Settings:
    """What `load_settings` finds, read once: for a command, which is over before anything of it changes."""
    return load_settings()


def load_settings() -> Settings:
    """Read the environment, then `.env`, then (where everything is embedded) what the demo left in its home.

    Raises SettingsError with one line that names the setting and says what is valid, without any secret.
    """
    settings = _read(Path(".env"))
    if settings.embedded_servers == frozenset(EmbeddedServer):
        return _read(settings.respaldos_home / DEMO_ENV, Path(".env"))
    return settings


@dataclass(frozen=True, slots=True)
class UnknownName:
    """A name that looks like a setting and is none; `nearest` is the one that may have been meant."""

    name: str
    place: str
    nearest: str | None


def unknown_names(given: Mapping[str, str] = os.environ, file: Path = Path(".env")) -> list[UnknownName]:
    """What stands in the file or in the environment, and is ignored though somebody may think that it counts.

    Of the file all that is no setting; of the environment, which is everybody's, what is named like this service or
    much like a setting that is not given itself.
    """
    known = {name.upper() for name in Settings.model_fields}
    in_file = {name.upper() for name in dotenv_values(file)} if file.is_file() else set()
    in_environment = {name.upper() for name in given}

    def nearest(name: str) -> str | None:
        found = next(iter(get_close_matches(name, sorted(known), n=1, cutoff=_ALIKE)), None)
        return None if found in in_file | in_environment else found

    def found(names: set[str], place: str) -> list[UnknownName]:
        return [UnknownName(name, place, nearest(name)) for name in sorted(names - known - _OTHERS)]

    elsewhere = [
        each
        for each in found(in_environment - in_file, "el entorno")
        if each.nearest is not None or (each.name.startswith(_PREFIX) and _OF_KUBERNETES.fullmatch(each.name) is None)
    ]
    return [*found(in_file, f"«{file}»"), *elsewhere]


def demo_settings() -> Settings:
    """Settings of the demo: everything embedded, and of the environment only where its home is.

    The first call writes a secret for its tokens, a key to seal with, and what the sample clinics need, to the home.
    Raises SettingsError.
    """
    home = Path(os.environ.get("RESPALDOS_HOME") or ".respaldos")
    demo = home / DEMO_ENV
    try:
        home.mkdir(parents=True, exist_ok=True)
        if not demo.exists():
            descriptor = os.open(demo, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
            with os.fdopen(descriptor, "w", encoding="utf-8") as file:
                seal = b64encode(secrets.token_bytes(32)).decode()
                file.write(
                    f"JWT_SECRET={secrets.token_urlsafe(32)}\nSEAL_KEYS=demo-{secrets.token_hex(2)}:{seal}\nOWNERSHIP_RULES='{DEMO_RULES}'\n"
                )
    except OSError as exc:
        raise SettingsError(f"RESPALDOS_HOME: no se puede escribir en «{home}»: {exc}") from exc
    return _DemoSettings(_env_file=demo, respaldos_home=home)


def _read(*files: Path) -> Settings:
    try:
        return Settings(_env_file=files)
    except ValidationError as exc:
        raise SettingsError(_one_line(exc)) from exc
    except (OSError, UnicodeDecodeError) as exc:
        raise SettingsError(f"no se puede leer «{'» o «'.join(map(str, files))}»: {exc}") from exc


def _one_line(exc: ValidationError) -> str:
    problem = exc.errors(include_url=False)[0]
    name = str(problem["loc"][0])
    field = Settings.model_fields[name]
    if name == "copy_buckets" and len(problem["loc"]) == 3:
        number, part = problem["loc"][1:]
        known = CopyBucket.model_fields.get(str(part))
        valid = known.description if known is not None else f"uno de {', '.join(CopyBucket.model_fields)}"
        return f"{name.upper()}: el valor dado no vale; debe ser {valid} («{part}» del número {int(number) + 1})"
    value = str(os.environ.get(name.upper(), problem["input"]))
    # An address may hold a password, meant or not.
    secret = "SecretStr" in str(field.annotation) or name in _NOT_SHOWN or ("://" in value and "@" in value)
    given = "el valor dado" if secret else f"«{value}»"
    return f"{name.upper()}: {given} no vale; debe ser {field.description}"
