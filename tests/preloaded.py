"""Everything that a process of the service imports or reads first, S3's description of a megabyte included."""

import asyncio
import functools

import arq.worker  # noqa: F401
import botocore.session
import uvloop  # noqa: F401

import app.main
import app.migrate  # noqa: F401
from app.storage.options import S3Options
from app.storage.s3 import open_storage

botocore.session.create_loader = functools.cache(botocore.session.create_loader)


async def _read() -> None:
    async with open_storage(S3Options(bucket="nada", access_key_id="nadie", secret_access_key="nada")):
        pass


asyncio.run(_read())
