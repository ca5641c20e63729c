"""Images of a message: PNG and JPEG files, read whole, for servers whose models read images.

An image is known by its sha256, which stands wherever a prompt is kept or compared; its bytes go to a server and
nowhere else. A file is taken for what its first bytes say, whatever it is called, and is not decoded here.
"""

import base64
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

from surefoot.errors import InputError
from surefoot.files import digest_bytes

__all__ = ["LARGEST", "Image", "read_image"]

LARGEST = 4 * 2**20
"""Bytes of an image."""
BEGINNINGS = {"image/png": b"\x89PNG\r\n\x1a\n", "image/jpeg": b"\xff\xd8\xff"}


@dataclass(frozen=True)
class Image:
    """media: "image/png" or "image/jpeg"."""

    media: str
    content: bytes = field(repr=False)

    @cached_property
    def digest(self) -> str:
        """The sha256 of its bytes."""
        return digest_bytes(self.content)

    @property
    def uri(self) -> str:
        """The whole image as a data: URI.

        >>> Image("image/png", b"abc").uri
        'data:image/png;base64,YWJj'
        """
        return f"data:{self.media};base64,{base64.b64encode(self.content).decode()}"

    def identity_parts(self) -> tuple[str, str]:
        """For `inference.checkpoint.identity`."""
        return self.media, self.digest


def read_image(path: Path) -> Image:
    """The image of a file.

    Raises `InputError` for a file that cannot be read, is empty or larger than `LARGEST`, or begins as neither PNG nor
    JPEG does.
    """
    try:
        size = path.stat().st_size
        content = path.read_bytes() if 0 < size <= LARGEST else b""
    except OSError as error:
        raise InputError(f"Cannot read the image {path} ({error.strerror}); check the path.") from None
    if not content:
        raise InputError(f"The image {path} has {size:,} bytes; give one of 1 to {LARGEST:,}.")
    for media, beginning in BEGINNINGS.items():
        if content.startswith(beginning):
            return Image(media, content)
    raise InputError(f"The image {path} begins as neither a PNG nor a JPEG does; give one of these.")
