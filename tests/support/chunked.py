"""Bytes in chunks, as a download gives them."""

from collections.abc import AsyncIterator


async def chunked(content: bytes, size: int = 10_007) -> AsyncIterator[bytes]:
    """The content in pieces that never fall on a part's end."""
    for start in range(0, len(content), size):
        yield content[start : start + size]
