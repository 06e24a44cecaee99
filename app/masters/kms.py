"""A master key that never leaves AWS KMS, and the only place that asks KMS."""

import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from app.errors import KeyRefused, KmsRefused, KmsUnavailable

# An ARN says where its key is.
_REGION = re.compile(r"arn:[^:]+:kms:([^:]+):")

# KMS answers in some 10 ms; what has not answered is away (seconds).
_TIMEOUT_SECONDS = 10.0

# What KMS refuses for a while only, or has not got ready yet.
_BUSY = {"ThrottlingException", "DependencyTimeoutException", "KMSInternalException", "KeyUnavailableException"}
_ANOTHER = {"InvalidCiphertextException", "IncorrectKeyException"}


@dataclass(frozen=True, slots=True)
class KmsOptions:
    """How KMS is reached. Without `access_key_id`, AWS's own chain is asked."""

    region: str = "us-east-1"
    endpoint_url: str | None = None
    access_key_id: str | None = None
    secret_access_key: str | None = field(default=None, repr=False)


@dataclass(frozen=True, slots=True)
class KmsKey:
    """A symmetric key of KMS by its ARN, id or alias. The line is its encryption context, which CloudTrail shows."""

    name: str
    options: KmsOptions

    async def wrap(self, secret: bytes, line: bytes) -> bytes:
        """Raises KmsUnavailable and KmsRefused."""
        async with self._asking() as client:
            answer = await client.encrypt(KeyId=self.name, Plaintext=secret, EncryptionContext=_context(line))
            return bytes(answer["CiphertextBlob"])

    async def unwrap(self, wrapped: bytes, line: bytes) -> bytes:
        """Raises KeyRefused, KmsUnavailable and KmsRefused."""
        async with self._asking() as client:
            answer = await client.decrypt(KeyId=self.name, CiphertextBlob=wrapped, EncryptionContext=_context(line))
            return bytes(answer["Plaintext"])

    @asynccontextmanager
    async def _asking(self) -> AsyncIterator[Any]:
        """A client; what it raises becomes an error of ours."""
        # As in app.storage: who never asks does not wait for the import.
        import aioboto3
        from aiobotocore.config import AioConfig
        from aiohttp import ClientError as HttpError
        from botocore.exceptions import BotoCoreError, ClientError, NoCredentialsError, PartialCredentialsError

        found = _REGION.match(self.name)
        config = AioConfig(
            connect_timeout=_TIMEOUT_SECONDS,
            read_timeout=_TIMEOUT_SECONDS,
            retries={"mode": "standard", "total_max_attempts": 3},
            ignore_configured_endpoint_urls=True,
        )
        where = f"KMS, clave «{self.name}»"
        try:
            async with aioboto3.Session().client(
                "kms",
                region_name=found[1] if found is not None else self.options.region,
                endpoint_url=self.options.endpoint_url,
                aws_access_key_id=self.options.access_key_id,
                aws_secret_access_key=self.options.secret_access_key,
                config=config,
            ) as client:
                yield client
        except ClientError as exc:
            code = str(exc.response.get("Error", {}).get("Code", ""))
            status = int(exc.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0))
            said = f"{code}: {str(exc.response.get('Error', {}).get('Message', ''))[:300]}"
            if code in _ANOTHER:
                raise KeyRefused(
                    f"KMS dice que no es la que la envolvió, o que alguien cambió lo guardado ({code})"
                ) from exc
            if code in _BUSY or status >= 500 or status == 429:
                raise KmsUnavailable(f"{where}: no está disponible ahora ({said})") from exc
            raise KmsRefused(f"{where}: KMS no lo permite ({said}); revise la clave y los permisos") from exc
        except (NoCredentialsError, PartialCredentialsError) as exc:
            raise KmsRefused(f"{where}: no hay credenciales de AWS") from exc
        except (BotoCoreError, HttpError, OSError) as exc:
            said = str(exc)[:300] or type(exc).__name__
            raise KmsUnavailable(f"{where}: no respondió ({said}); revise la red") from exc


def _context(line: bytes) -> dict[str, str]:
    return {"clave": line.decode().rstrip("\n")}
