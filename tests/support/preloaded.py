"""What a process of the service imports or reads first, S3's description of a megabyte included.

But not the command line: what it does to speak Spanish it does when it is imported, as each process has to.
"""

import asyncio
import functools
import gc

import aioboto3
import arq.worker  # noqa: F401
import uvloop  # noqa: F401
from sqlalchemy.orm import configure_mappers

import app.main
import app.migrate  # noqa: F401
from app.storage.options import S3Options
from app.storage.s3 import open_storage

aioboto3.Session = functools.cache(aioboto3.Session)  # type: ignore[assignment, misc]


async def _read() -> None:
    async with open_storage(S3Options(bucket="nada", access_key_id="nadie", secret_access_key="nada")):
        pass


asyncio.run(_read())
configure_mappers()
# What is there stays; looking it through again would cost each process a copy of it.
gc.freeze()
