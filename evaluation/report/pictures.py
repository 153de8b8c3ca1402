"""Pictures as they stand in the page: small PNG files, embedded, with their words."""

from __future__ import annotations

import base64
import io
from dataclasses import dataclass

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from PIL import Image

NEARLY_WHITE = 248
PALETTE = 256  # colours of a PNG: a third of the size of a full one, no visible difference


@dataclass(frozen=True, kw_only=True)
class Picture:
    """A picture of the page.

    Args:
        png: The file.
        width: Pixels.
        height: Pixels.
        alt: What it shows, for readers who cannot see it.
        caption: Text below it.
    """

    png: bytes
    width: int
    height: int
    alt: str
    caption: str = ""

    @property
    def source(self) -> str:
        """The picture as a data URI."""
        return "data:image/png;base64," + base64.b64encode(self.png).decode("ascii")


def from_pixels(pixels: np.ndarray, alt: str, caption: str = "", shaded: bool = False) -> Picture:
    """Encode (row, column, 3) uint8 pixels; ``shaded`` ones are dithered, else their palette would show as bands."""
    full = Image.fromarray(np.ascontiguousarray(pixels))
    image = full.quantize(PALETTE)
    image.putpalette(_with_white(image.getpalette() or []))
    if shaded:
        image = full.quantize(palette=image, dither=Image.Dither.FLOYDSTEINBERG)
    buffer = io.BytesIO()
    image.save(buffer, "PNG", optimize=True)
    return Picture(png=buffer.getvalue(), width=image.width, height=image.height, alt=alt, caption=caption)


def from_figure(figure: Figure, alt: str, caption: str = "") -> Picture:
    """Draw a matplotlib figure."""
    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    return from_pixels(np.asarray(canvas.buffer_rgba())[..., :3], alt, caption)


def _with_white(palette: list[int]) -> list[int]:
    """Make nearly white colours white: quantisation averages them, and the page around a picture is white."""
    colours = np.array(palette).reshape(-1, 3)
    colours[(colours >= NEARLY_WHITE).all(1)] = 255
    return [int(value) for value in colours.ravel()]
