"""Reads a file for the few records that somebody looks for, as quickly as it can be inflated."""

from collections.abc import Iterator

from app.dump.encryption import Decryptor
from app.dump.gzip_member import GzipReader
from app.dump.reader import DocumentReader, Event


class FileScanner:
    """Feed it the file as it is stored; its events are DocumentReader's without `prove`.

    That the file is whole is checked, and that no bit of it has changed (CRC-32); not that it is the one that was
    made. `max_size` (bytes) bounds the decompressed whole; without it, a bomb is noticed by how much it grows. With
    `decryption` the file is to be encrypted, and some of it is read by `finish` alone.
    """

    def __init__(self, max_size: int | None = None, decryption: Decryptor | None = None) -> None:
        self._decryption = decryption
        self._gzip = GzipReader(max_size, quick=True)
        self._size_known = max_size is not None
        self._document = DocumentReader(prove=False)

    def feed(self, data: bytes) -> Iterator[Event]:
        """What the file holds up to here. Raises FormatError."""
        for plain in (data,) if self._decryption is None else self._decryption.feed(data):
            yield from self._read(plain)

    def finish(self) -> tuple[Event, ...]:
        """The rest; check that the file was whole. Raises FormatError."""
        rest = tuple(self._read(self._decryption.finish())) if self._decryption is not None else ()
        self._gzip.finish()
        self._document.finish()
        return rest

    def _read(self, data: bytes) -> Iterator[Event]:
        if not self._size_known:
            self._document.bound_lines(self._gzip.compressed_size + len(data))
        for piece in self._gzip.feed(data):
            yield from self._document.feed(piece)
