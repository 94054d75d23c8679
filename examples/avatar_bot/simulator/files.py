"""The files that people and the bot send."""

from __future__ import annotations

from hashlib import sha256
from io import BytesIO
from typing import Any, NamedTuple, TypeAlias

from PIL import Image, UnidentifiedImageError

Json: TypeAlias = dict[str, Any]
MAX_PHOTO_BYTES = 10 * 1024 * 1024


class NotAPictureError(Exception):
    """Telegram cannot make a photo of these bytes."""


class StoredFile(NamedTuple):
    """A photo as Telegram keeps it."""

    file_id: str
    unique_id: str
    path: str
    data: bytes
    width: int
    height: int

    def photo(self) -> list[Json]:
        """Return the sizes of the photo as a message holds them; there is only the full one."""
        size = {"file_id": self.file_id, "file_unique_id": self.unique_id}
        area = {"width": self.width, "height": self.height, "file_size": len(self.data)}
        return [{**size, **area}]


class Files:
    """All files, by id and by path."""

    def __init__(self) -> None:
        self._by_id: dict[str, StoredFile] = {}
        self._by_path: dict[str, StoredFile] = {}

    def add(self, data: bytes) -> StoredFile:
        """Keep a photo; the same bytes sent twice are two files with one unique id.

        Raises:
            NotAPictureError: Pillow cannot read it, or it is too large.
        """
        width, height = _size_of(data)
        number = len(self._by_id) + 1
        unique_id = sha256(data).hexdigest()[:16]
        file_id = f"AgAC{unique_id}{number:08d}"
        stored = StoredFile(file_id, unique_id, f"photos/file_{number}.jpg", data, width, height)
        self._by_id[stored.file_id] = self._by_path[stored.path] = stored
        return stored

    def by_id(self, file_id: str) -> StoredFile | None:
        """Return the file that the bot names by an id it has got before."""
        return self._by_id.get(file_id)

    def by_path(self, path: str) -> StoredFile | None:
        """Return the file behind a path that `getFile` gave."""
        return self._by_path.get(path)


def _size_of(data: bytes) -> tuple[int, int]:
    if len(data) > MAX_PHOTO_BYTES:
        raise NotAPictureError
    try:
        with Image.open(BytesIO(data)) as picture:
            return picture.size
    except (UnidentifiedImageError, OSError, Image.DecompressionBombError) as error:
        raise NotAPictureError from error
