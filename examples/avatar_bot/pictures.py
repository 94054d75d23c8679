"""Pictures, made on this machine with Pillow."""

from __future__ import annotations

from io import BytesIO

from PIL import Image, ImageDraw, ImageFont, ImageOps, UnidentifiedImageError

SIDE = 512
PALETTES = (
    ((28, 40, 92), (242, 120, 92)),
    ((20, 82, 76), (250, 214, 108)),
    ((74, 26, 92), (250, 160, 188)),
)
INK = (255, 255, 255)


class BadPictureError(Exception):
    """The bytes are no picture that Pillow can read."""


def paint_avatar(name: str, number: int, photo: bytes) -> bytes:
    """Return a JPEG: the photo as a two-colour poster, with the avatar's name.

    Raises:
        BadPictureError: The photo cannot be read.
    """
    dark, light = PALETTES[number % len(PALETTES)]
    square = ImageOps.fit(_opened(photo), (SIDE, SIDE))
    poster = ImageOps.colorize(ImageOps.posterize(ImageOps.grayscale(square), 3), dark, light)
    return _jpeg(_captioned(poster, name))


def paint_placeholder(name: str, number: int) -> bytes:
    """Return a JPEG for an avatar that has no picture yet: a gradient and the first letter."""
    dark, light = PALETTES[number % len(PALETTES)]
    gradient = Image.linear_gradient("L").resize((SIDE, SIDE))
    picture = ImageOps.colorize(gradient, dark, light)
    middle = (SIDE // 2, SIDE // 2)
    draw = ImageDraw.Draw(picture)
    draw.text(middle, name[:1].upper(), INK, ImageFont.load_default(SIDE // 2), anchor="mm")
    return _jpeg(_captioned(picture, name))


def _opened(photo: bytes) -> Image.Image:
    try:
        return Image.open(BytesIO(photo)).convert("RGB")
    except (UnidentifiedImageError, OSError) as error:
        raise BadPictureError from error


def _captioned(picture: Image.Image, name: str) -> Image.Image:
    """Write the name on a band at the bottom."""
    draw = ImageDraw.Draw(picture, "RGBA")
    draw.rectangle((0, SIDE - 64, SIDE, SIDE), fill=(0, 0, 0, 120))
    draw.text((SIDE // 2, SIDE - 32), name, INK, ImageFont.load_default(30), anchor="mm")
    return picture


def _jpeg(picture: Image.Image) -> bytes:
    out = BytesIO()
    picture.save(out, "JPEG", quality=85)
    return out.getvalue()
