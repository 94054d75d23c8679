"""Pictures, made on this machine with Pillow."""

from __future__ import annotations

from contextlib import suppress
from io import BytesIO

from PIL import Image, ImageDraw, ImageFont, ImageOps, UnidentifiedImageError

SIDE = 512
PALETTES = (
    ((28, 40, 92), (242, 120, 92)),
    ((20, 82, 76), (250, 214, 108)),
    ((74, 26, 92), (250, 160, 188)),
)
INK = (255, 255, 255)
SHADE = (255, 255, 255, 110)
FONTS = ("DejaVuSans.ttf", "LiberationSans-Regular.ttf", "arial.ttf", "Arial.ttf")


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
    """Return a JPEG for an avatar that has no picture yet: a head and shoulders."""
    dark, light = PALETTES[number % len(PALETTES)]
    picture = ImageOps.colorize(Image.linear_gradient("L").resize((SIDE, SIDE)), dark, light)
    draw = ImageDraw.Draw(picture, "RGBA")
    draw.ellipse((176, 90, 336, 266), fill=SHADE)
    draw.ellipse((106, 290, 406, 640), fill=SHADE)
    return _jpeg(_captioned(picture, name))


def _opened(photo: bytes) -> Image.Image:
    try:
        return Image.open(BytesIO(photo)).convert("RGB")
    except (UnidentifiedImageError, OSError) as error:
        raise BadPictureError from error


def _captioned(picture: Image.Image, name: str) -> Image.Image:
    """Write the name on a band at the bottom, where there is a font that has its letters."""
    font = _font(name)
    if font is not None:
        draw = ImageDraw.Draw(picture, "RGBA")
        draw.rectangle((0, SIDE - 64, SIDE, SIDE), fill=(0, 0, 0, 120))
        draw.text((SIDE // 2, SIDE - 32), name, INK, font, anchor="mm")
    return picture


def _font(name: str) -> ImageFont.FreeTypeFont | ImageFont.ImageFont | None:
    """Return a font of this machine, or Pillow's own, which has Latin letters only."""
    for file in FONTS:
        with suppress(OSError):
            return ImageFont.truetype(file, 28)
    return ImageFont.load_default(28) if name.isascii() else None


def _jpeg(picture: Image.Image) -> bytes:
    out = BytesIO()
    picture.save(out, "JPEG", quality=85)
    return out.getvalue()
