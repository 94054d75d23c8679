"""Pictures, made on this machine with Pillow."""

from __future__ import annotations

from contextlib import suppress
from io import BytesIO
from typing import TypeAlias

from PIL import Image, ImageDraw, ImageFilter, ImageFont, ImageOps, UnidentifiedImageError

from avatar_bot.models import AvatarType

SIDE = 512
Palette: TypeAlias = tuple[tuple[int, int, int], tuple[int, int, int]]
PALETTES: tuple[Palette, ...] = (
    ((28, 40, 92), (242, 120, 92)),
    ((20, 82, 76), (250, 214, 108)),
    ((74, 26, 92), (250, 160, 188)),
)
MIDDLE = (214, 96, 110)
EDGE = 40
INK = (255, 255, 255)
SHADE = (255, 255, 255, 110)
FONTS = ("DejaVuSans.ttf", "LiberationSans-Regular.ttf", "arial.ttf", "Arial.ttf")


class BadPictureError(Exception):
    """The bytes are no picture that Pillow can read."""


def paint_avatar(
    name: str, number: int, photo: bytes, kind: AvatarType = AvatarType.PORTRAIT
) -> bytes:
    """Return a JPEG with the avatar's name: the photo in two soft colours, or as a poster.

    Raises:
        BadPictureError: The photo cannot be read.
    """
    palette = PALETTES[number % len(PALETTES)]
    square = ImageOps.autocontrast(ImageOps.fit(_opened(photo), (SIDE, SIDE)), cutoff=1)
    drawn = _poster(square, palette) if kind is AvatarType.STYLE else _portrait(square, palette)
    return _jpeg(_captioned(drawn, name, palette))


def _portrait(square: Image.Image, palette: Palette) -> Image.Image:
    """Tone the picture, keep some of its own colours, and darken it towards the corners."""
    toned = ImageOps.colorize(ImageOps.grayscale(square), *palette)
    soft = Image.blend(toned, square, 0.35)
    shade = Image.radial_gradient("L").resize((SIDE, SIDE)).point(lambda value: value // 2)
    return Image.composite(Image.new("RGB", square.size, palette[0]), soft, shade)


def _poster(square: Image.Image, palette: Palette) -> Image.Image:
    """Reduce the picture to a few areas of colour with dark outlines."""
    coarse = ImageOps.grayscale(square.resize((SIDE // 4, SIDE // 4)))
    areas = ImageOps.posterize(coarse.filter(ImageFilter.ModeFilter(5)).resize(square.size), 2)
    poster = ImageOps.colorize(areas, *palette, mid=MIDDLE)
    edges = areas.filter(ImageFilter.FIND_EDGES).point(lambda value: 255 * (value > EDGE))
    return Image.composite(Image.new("RGB", square.size, palette[0]), poster, edges)


def paint_placeholder(name: str, number: int) -> bytes:
    """Return a JPEG for an avatar that has no picture yet: a head and shoulders."""
    palette = PALETTES[number % len(PALETTES)]
    picture = ImageOps.colorize(Image.linear_gradient("L").resize((SIDE, SIDE)), *palette)
    draw = ImageDraw.Draw(picture, "RGBA")
    draw.ellipse((176, 90, 336, 266), fill=SHADE)
    draw.ellipse((106, 290, 406, 640), fill=SHADE)
    return _jpeg(_captioned(picture, name, palette))


def _opened(photo: bytes) -> Image.Image:
    try:
        return Image.open(BytesIO(photo)).convert("RGB")
    except (UnidentifiedImageError, OSError) as error:
        raise BadPictureError from error


def _captioned(picture: Image.Image, name: str, palette: Palette) -> Image.Image:
    """Write the name on a band at the bottom, where there is a font that has its letters."""
    font = _font(name)
    if font is not None:
        draw = ImageDraw.Draw(picture, "RGBA")
        draw.rectangle((0, SIDE - 64, SIDE, SIDE), fill=(*palette[0], 240))
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
