"""Kinds of pictures that are hard for a codec trained on photographs, all made by code.

`KINDS` lists a name, a function and a line for each. A function takes a side in pixels and a random
generator, and returns uint8 [side, side, 3]; the same side and seed give the same picture with the same
Pillow. The photographs below some kinds come with scikit-image: coffee by Rachel Michetti, CC0, and rocket
by SpaceX, public domain; neither is a training tile, but altered parts of coffee appear in plots among them.
Text uses the font that Pillow includes.
"""

from __future__ import annotations

import functools
import io
import math
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple, TypeAlias

import numpy as np
import skimage
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFilter, ImageFont

Pixels: TypeAlias = NDArray[np.uint8]
Plane: TypeAlias = NDArray[np.float64]
# Levels of R, G and B, or of gray.
Colour: TypeAlias = tuple[int, int, int]
Ink: TypeAlias = Colour | int
Maker: TypeAlias = Callable[[int, np.random.Generator], Pixels]

SEED = 0
# Photographs are cropped, never enlarged; windows and labels need some room.
MIN_SIDE, MAX_SIDE = 128, 400
TEXT = (
    "Sphinx of black quartz, judge my vow. Pack my box with five dozen liquor jugs 0123456789; "
    "how vexingly quick daft zebras jump (a+b)*c/d = 42 % {x: y} [i, j] <tag> & co."
)
WORDS = TEXT.split()
# Drawn once at this factor and reduced, for smooth edges.
FINE = 4
BLACK: Colour = (0, 0, 0)
WHITE: Colour = (255, 255, 255)
BAYER_4 = np.array([[0, 8, 2, 10], [12, 4, 14, 6], [3, 11, 1, 9], [15, 7, 13, 5]])


class Kind(NamedTuple):
    """A kind of hard picture: its name, the function that makes it, and a line that says what it shows."""

    name: str
    make: Maker
    shows: str


def picture(kind: Kind, side: int) -> Pixels:
    """Return the picture of a kind, uint8 [side, side, 3]; side: MIN_SIDE to MAX_SIDE."""
    made = kind.make(side, np.random.default_rng(SEED))
    if made.shape != (side, side, 3) or made.dtype != np.uint8:
        raise ValueError(f"{kind.name}: {made.dtype} {made.shape}, not uint8 of side {side}")
    return made


# Shared parts.


@functools.cache
def _photo(name: str, side: int) -> Image.Image:
    with Image.open(Path(skimage.__file__).parent / "data" / name) as whole:
        left, top = (whole.width - side) // 2, (whole.height - side) // 2
        return whole.convert("RGB").crop((left, top, left + side, top + side))


def _coffee(side: int) -> Image.Image:
    return _photo("coffee.png", side).copy()


def _rocket(side: int) -> Image.Image:
    return _photo("rocket.jpg", side).copy()


def _grid(side: int) -> tuple[Plane, Plane]:
    """Return y and x of every pixel, 0 at the centre."""
    rows, columns = np.indices((side, side), dtype=np.float64)
    return rows - (side - 1) / 2, columns - (side - 1) / 2


def _pixels(values: Plane) -> Pixels:
    """Return levels [H, W] or [H, W, 3], rounded and clipped to 0..255, as RGB."""
    samples = np.clip(np.rint(values), 0, 255).astype(np.uint8)
    return np.repeat(samples[..., None], 3, 2) if samples.ndim == 2 else samples


def _blank(side: int, colour: Colour = WHITE) -> tuple[Image.Image, ImageDraw.ImageDraw]:
    made = Image.new("RGB", (side, side), colour)
    return made, ImageDraw.Draw(made)


def _reduced(fine: Image.Image) -> Pixels:
    size = fine.width // FINE, fine.height // FINE
    return np.asarray(fine.resize(size, Image.Resampling.BOX))


def _write(
    pen: ImageDraw.ImageDraw,
    box: tuple[int, int, int, int],
    size: int,
    colours: tuple[Ink, ...],
    rng: np.random.Generator,
    *,
    ragged: bool = False,
) -> None:
    """Fill a box with lines of words in a size; each word takes one of the colours. ragged: indent lines."""
    font = ImageFont.load_default(size)
    left, top, right, bottom = box
    y = top
    while y + size <= bottom:
        x = left + (2 * size * int(rng.integers(0, 4)) if ragged else 0)
        end = right - (int(rng.integers(0, max((right - left) // 2, 1))) if ragged else 0)
        while True:
            word = WORDS[rng.integers(len(WORDS))]
            width = math.ceil(font.getlength(word + " "))
            if x + width > end:
                break
            pen.text((x, y), word, fill=colours[rng.integers(len(colours))], font=font)
            x += width
        y += round(1.4 * size)


def _text_over(
    photo: Image.Image, colours: tuple[Colour, ...], size: int, rng: np.random.Generator
) -> Pixels:
    side = photo.width
    _write(ImageDraw.Draw(photo), (6, 6, side - 6, side - 6), size, colours, rng)
    return np.asarray(photo)


def _curve(rng: np.random.Generator, side: int) -> list[tuple[float, float]]:
    """Return points of a cubic Bezier curve with random ends in a square."""
    ends = rng.uniform(0, side, (4, 2))
    t = np.linspace(0, 1, 64)[:, None]
    weights = np.hstack([(1 - t) ** 3, 3 * t * (1 - t) ** 2, 3 * t**2 * (1 - t), t**3])
    return [(float(x), float(y)) for x, y in weights @ ends]


# Tests of resolution.


def zone_plate(side: int, rng: np.random.Generator) -> Pixels:
    """Return rings whose frequency rises linearly to half a cycle per pixel at the middle of each edge."""
    y, x = _grid(side)
    return _pixels(127.5 + 127.5 * np.cos(np.pi * (x**2 + y**2) / side))


def colour_zone_plate(side: int, rng: np.random.Generator) -> Pixels:
    """Return a zone plate with a centre of its own in each channel."""
    y, x = _grid(side)
    shift = side / 8
    centres = ((-shift, -shift), (shift, -shift), (0, shift))
    rings = [127.5 + 100 * np.cos(0.7 * np.pi * ((x - a) ** 2 + (y - b) ** 2) / side) for a, b in centres]
    return _pixels(np.dstack(rings))


def _angles(side: int, draw: Callable[[Plane, Plane, int], Plane]) -> Pixels:
    """Fill a 3x3 of cells, the middle one apart, with eight angles of 22.5 degrees."""
    y, x = _grid(side)
    levels = np.full((side, side), 255.0)
    cells = [(row, column) for row in range(3) for column in range(3) if (row, column) != (1, 1)]
    cuts = [round(side * part / 3) for part in range(4)]
    for number, (row, column) in enumerate(cells):
        angle = math.pi * number / 8
        part = slice(cuts[row], cuts[row + 1]), slice(cuts[column], cuts[column + 1])
        along = x[part] * math.cos(angle) + y[part] * math.sin(angle)
        levels[part] = draw(along, x[part], number)
    return _pixels(levels)


def lines_at_eight_angles(side: int, rng: np.random.Generator) -> Pixels:
    """Return black lines of 1 pixel with smooth edges, 7 pixels apart, at eight angles."""
    return _angles(side, lambda along, _, number: 255 * np.clip(np.abs((along % 7) - 3.5), 0, 1))


def hard_lines_at_eight_angles(side: int, rng: np.random.Generator) -> Pixels:
    """Return black lines of 1 pixel without smooth edges, at random places, at eight angles."""
    made, pen = _blank(side)
    for number in range(6 * 8):
        angle = math.pi * (number % 8) / 8
        x, y = rng.uniform(0, side, 2)
        dx, dy = 2 * side * math.cos(angle), 2 * side * math.sin(angle)
        pen.line((x - dx, y - dy, x + dx, y + dy), fill=BLACK)
    return np.asarray(made)


def moire(side: int, rng: np.random.Generator) -> Pixels:
    """Return the product of two fine gratings at close angles and frequencies."""
    y, x = _grid(side)
    first = np.cos(2 * np.pi * 0.23 * (x * math.cos(0.3) + y * math.sin(0.3)))
    second = np.cos(2 * np.pi * 0.25 * (x * math.cos(0.4) + y * math.sin(0.4)))
    return _pixels(127.5 + 63.75 * (first + second))


def checkers_on_a_ramp(side: int, rng: np.random.Generator) -> Pixels:
    """Return checkers of 1 pixel and 128 levels on a vertical ramp."""
    rows, columns = np.indices((side, side))
    return _pixels(127.0 * rows / side + 127.0 * ((rows + columns) % 2))


def coloured_checkers(side: int, rng: np.random.Generator) -> Pixels:
    """Return checkers of 2 pixels in saturated pairs of colours, which change every 24 pixels."""
    rows, columns = np.indices((side, side))
    patch = rows // 24 * math.ceil(side / 24) + columns // 24
    pairs = 255 * rng.integers(0, 2, (int(patch.max()) + 1, 2, 3), dtype=np.uint8)
    return pairs[patch, (rows // 2 + columns // 2) % 2]


def checkers_in_perspective(side: int, rng: np.random.Generator) -> Pixels:
    """Return a floor of black and white squares up to its horizon, with smooth edges."""
    fine = FINE * side
    rows, columns = np.indices((fine, fine), dtype=np.float64)
    depth = fine / (rows + fine / 16)
    checks = (np.floor(8 * depth) + np.floor(6 * depth * (columns / fine - 0.4))) % 2
    return _reduced(Image.fromarray(_pixels(255 * checks)))


# Print.


def _screen(plane: Plane, pitch: float, degrees: float) -> NDArray[np.bool_]:
    """Return where a screen of round dots puts ink; plane: ink 0..1."""
    y, x = _grid(plane.shape[0])
    angle = math.radians(degrees)
    u = 2 * np.pi * (x * math.cos(angle) + y * math.sin(angle)) / pitch
    v = 2 * np.pi * (y * math.cos(angle) - x * math.sin(angle)) / pitch
    return plane > (2 + np.cos(u) + np.cos(v)) / 4


def halftone(side: int, rng: np.random.Generator) -> Pixels:
    """Return a photograph as black dots on a screen of 6 pixels at 45 degrees."""
    ink = 1 - np.asarray(_coffee(side).convert("L")) / 255
    return _pixels(np.where(_screen(ink, 6, 45), 0.0, 255.0))


def colour_halftone(side: int, rng: np.random.Generator) -> Pixels:
    """Return a photograph as cyan, magenta and yellow dots at three angles, with smooth edges."""
    large = _coffee(side).resize((FINE * side, FINE * side), Image.Resampling.BICUBIC)
    ink = 1 - np.asarray(large) / 255
    inks = [~_screen(ink[..., channel], 6 * FINE, degrees) for channel, degrees in enumerate((15, 75, 0))]
    return _reduced(Image.fromarray(_pixels(255.0 * np.dstack(inks))))


def engraving(side: int, rng: np.random.Generator) -> Pixels:
    """Return a photograph as lines of varying width, 5 pixels apart, with smooth edges."""
    large = _coffee(side).convert("L").resize((FINE * side, FINE * side), Image.Resampling.BICUBIC)
    y, x = _grid(FINE * side)
    waves = np.abs((((y + 4 * FINE * np.sin(x / (20 * FINE))) / (5 * FINE)) % 1) - 0.5) * 2
    return _reduced(Image.fromarray(_pixels(np.where(waves < np.asarray(large) / 255, 255.0, 0.0))))


def dithered_1_bit(side: int, rng: np.random.Generator) -> Pixels:
    """Return a photograph in black and white by error diffusion."""
    return np.asarray(_rocket(side).convert("L").convert("1").convert("RGB"))


def dithered_palette(side: int, rng: np.random.Generator) -> Pixels:
    """Return a photograph in 16 colours by error diffusion, as in old GIF files."""
    palette = _coffee(side).quantize(16, dither=Image.Dither.NONE)
    return np.asarray(_coffee(side).quantize(palette=palette).convert("RGB"))


def ordered_dither(side: int, rng: np.random.Generator) -> Pixels:
    """Return a photograph in 4 levels per channel by a Bayer matrix of 4x4."""
    rows, columns = np.indices((side, side)) % 4
    threshold = (BAYER_4[rows, columns] + 0.5) / 16
    return _pixels(85.0 * np.floor(np.asarray(_rocket(side)) / 85 + threshold[..., None]))


# Noise.


def colour_noise(side: int, rng: np.random.Generator) -> Pixels:
    """Return independent uniform samples in each channel."""
    return rng.integers(0, 256, (side, side, 3), dtype=np.uint8)


def gray_noise(side: int, rng: np.random.Generator) -> Pixels:
    """Return uniform samples, equal in the three channels."""
    return _pixels(rng.integers(0, 256, (side, side)).astype(np.float64))


def faint_noise(side: int, rng: np.random.Generator) -> Pixels:
    """Return independent samples of 17 levels around middle gray."""
    return _pixels(128.0 + rng.integers(-8, 9, (side, side, 3)))


def grain(side: int, rng: np.random.Generator) -> Pixels:
    """Return a photograph with film grain: slightly smoothed noise, strongest in the middle tones."""
    photo = np.asarray(_coffee(side), np.float64)
    noise = rng.normal(0, 1, (side, side))
    soft = noise + 0.5 * (np.roll(noise, 1, 0) + np.roll(noise, 1, 1))
    tones = 1 - np.abs(photo / 127.5 - 1) ** 2
    return _pixels(photo + 14 * (soft / soft.std())[..., None] * (0.3 + 0.7 * tones))


def star_field(side: int, rng: np.random.Generator) -> Pixels:
    """Return stars of 1 to 3 pixels on a noisy dark sky with a faint nebula."""
    y, x = _grid(side)
    glow = 25 * np.exp(-((x + y / 2) ** 2 + 4 * (y - x / 3) ** 2) / (0.05 * side**2))
    sky = np.dstack([8 + glow, 8 + 0.6 * glow, 14 + 0.8 * glow]) + rng.normal(0, 2, (side, side, 3))
    for _ in range(side * side // 300):
        row, column = rng.integers(0, side, 2)
        part = slice(max(row - 4, 0), row + 5), slice(max(column - 4, 0), column + 5)
        far = (y[part] - y[row, column]) ** 2 + (x[part] - x[row, column]) ** 2
        spot = rng.pareto(1.2) * 30 * np.exp(-far / rng.uniform(0.3, 1.2))
        sky[part] += spot[..., None] * (1 + 0.3 * rng.uniform(-1, 1, 3))
    return _pixels(sky)


# Text.


def text_page(side: int, rng: np.random.Generator) -> Pixels:
    """Return black text of 11 pixels on white."""
    made, pen = _blank(side)
    _write(pen, (8, 8, side - 8, side - 8), 11, (BLACK,), rng)
    return np.asarray(made)


def scanned_text(side: int, rng: np.random.Generator) -> Pixels:
    """Return text turned by 2 degrees on uneven, noisy paper."""
    y, x = _grid(side)
    page = Image.fromarray(text_page(side, rng)).rotate(2, Image.Resampling.BICUBIC, fillcolor=WHITE)
    soft = np.asarray(page.filter(ImageFilter.GaussianBlur(0.6)), np.float64)
    paper = np.array([0.94, 0.91, 0.84]) * (1 - 0.15 * (x + y)[..., None] / side)
    return _pixels(soft * paper + 25 + rng.normal(0, 3, (side, side, 1)))


def red_text_on_blue(side: int, rng: np.random.Generator) -> Pixels:
    """Return red text of 14 pixels on saturated blue."""
    made, pen = _blank(side, (0, 0, 200))
    _write(pen, (8, 8, side - 8, side - 8), 14, ((220, 0, 0),), rng)
    return np.asarray(made)


def subpixel_text(side: int, rng: np.random.Generator) -> Pixels:
    """Return text smoothed for the stripes of a screen: the channels are shifted by a third of a pixel."""
    wide = Image.new("L", (3 * side, 3 * side), 255)
    tall = ImageDraw.Draw(wide)
    _write(tall, (24, 24, 3 * side - 24, 3 * side - 24), 39, (0,), rng)
    rows = np.asarray(wide.resize((3 * side, side), Image.Resampling.BOX), np.float64)
    padded = np.pad(rows, ((0, 0), (1, 1)), mode="edge")
    soft = (padded[:, :-2] + padded[:, 1:-1] + padded[:, 2:]) / 3
    return _pixels(soft.reshape(side, side, 3))


def light_text_on_photo(side: int, rng: np.random.Generator) -> Pixels:
    """Return white text of 12 pixels over a photograph."""
    return _text_over(_coffee(side), (WHITE,), 12, rng)


def dark_text_on_photo(side: int, rng: np.random.Generator) -> Pixels:
    """Return black text of 9 pixels over a photograph."""
    return _text_over(_coffee(side), (BLACK,), 9, rng)


def coloured_text_on_photo(side: int, rng: np.random.Generator) -> Pixels:
    """Return words of four saturated colours, 14 pixels high, over a photograph."""
    colours = ((255, 40, 40), (40, 255, 80), (60, 90, 255), (255, 230, 0))
    return _text_over(_rocket(side), colours, 14, rng)


def subtitles(side: int, rng: np.random.Generator) -> Pixels:
    """Return a photograph with two lines of large white text with a black outline."""
    photo = _rocket(side)
    pen, font = ImageDraw.Draw(photo), ImageFont.load_default(max(side // 16, 8))
    for line, text in enumerate(("Pack my box with five", "dozen liquor jugs.")):
        place = (side / 2, side * (0.82 + 0.09 * line))
        pen.text(place, text, fill=WHITE, font=font, anchor="mm", stroke_width=2, stroke_fill=BLACK)
    return np.asarray(photo)


def lines_on_photo(side: int, rng: np.random.Generator) -> Pixels:
    """Return white lines of 1 pixel at 45 degrees over a photograph."""
    photo = _coffee(side)
    pen = ImageDraw.Draw(photo)
    for place in range(-side, side, 24):
        pen.line((place, 0, place + side, side), fill=WHITE)
    return np.asarray(photo)


# Drawings and screens.


def _window(
    pen: ImageDraw.ImageDraw,
    box: tuple[int, int, int, int],
    ground: Colour,
    inks: tuple[Colour, ...],
    rng: np.random.Generator,
) -> None:
    left, top, right, bottom = box
    pen.rectangle(box, fill=ground, outline=(90, 90, 100))
    pen.rectangle((left + 1, top + 1, right - 1, top + 16), fill=(60, 110, 180))
    _write(pen, (left + 6, top + 3, right - 60, top + 15), 11, (WHITE,), rng)
    for number in range(3):
        x = right - 14 * (number + 1)
        pen.ellipse(
            (x, top + 4, x + 9, top + 13), fill=((230, 90, 80), (240, 190, 70), (90, 190, 90))[number]
        )
    _write(pen, (left + 8, top + 24, right - 8, bottom - 6), 11, inks, rng, ragged=len(inks) > 1)


def screenshot(side: int, rng: np.random.Generator) -> Pixels:
    """Return a desktop with windows of text and code, buttons and a panel."""
    made, pen = _blank(side, (70, 120, 130))
    code_inks = ((220, 220, 220), (230, 120, 110), (130, 200, 140), (120, 170, 240))
    _window(pen, (8, 10, side * 3 // 4, side * 3 // 5), WHITE, (BLACK,), rng)
    _window(pen, (side // 3, side * 2 // 5, side - 8, side - 40), (30, 30, 36), code_inks, rng)
    pen.rectangle((0, side - 28, side, side), fill=(40, 40, 44))
    for x in range(6, side - 60, 70):
        pen.rounded_rectangle((x, side - 24, x + 62, side - 4), 4, fill=(80, 80, 90))
        _write(pen, (x + 5, side - 20, x + 60, side - 6), 11, ((235, 235, 235),), rng)
    return np.asarray(made)


def screenshot_with_photo(side: int, rng: np.random.Generator) -> Pixels:
    """Return a page of text with a photograph and a sidebar, as in a browser."""
    made, pen = _blank(side)
    half = side // 2
    made.paste(_coffee(side).resize((half, half), Image.Resampling.LANCZOS), (side - half - 10, 40))
    pen.rectangle((0, 0, side, 28), fill=(36, 41, 47))
    _write(pen, (10, 8, side - 10, 22), 12, ((240, 240, 240),), rng)
    _write(pen, (10, 40, side - half - 20, half + 40), 11, ((30, 30, 30), (9, 105, 218)), rng)
    _write(pen, (10, half + 50, side - 10, side - 8), 11, ((30, 30, 30),), rng)
    return np.asarray(made)


def spreadsheet(side: int, rng: np.random.Generator) -> Pixels:
    """Return a table of small numbers with rules of 1 pixel and shaded rows."""
    made, pen = _blank(side)
    font = ImageFont.load_default(10)
    for number, y in enumerate(range(0, side, 15)):
        pen.rectangle((0, y, side, y + 15), fill=(WHITE, (238, 243, 250))[number % 2])
        pen.line((0, y, side, y), fill=(200, 205, 210))
        for x in range(0, side, 54):
            pen.text((x + 50, y + 2), f"{rng.normal(0, 500):.2f}", fill=(20, 20, 20), font=font, anchor="ra")
    for x in range(0, side, 54):
        pen.line((x, 0, x, side), fill=(200, 205, 210))
    return np.asarray(made)


def street_map(side: int, rng: np.random.Generator) -> Pixels:
    """Return a map: parks, water, blocks, roads with casings, and labels."""
    large, pen = _blank(FINE * side, (242, 239, 233))
    wide = FINE * side
    for colour in ((200, 230, 190), (170, 211, 223), (224, 214, 204)):
        for _ in range(5):
            centre = rng.uniform(0, wide, 2)
            turn = np.sort(rng.uniform(0, 2 * np.pi, 9))
            reach = rng.uniform(0.05, 0.16, 9) * wide
            corners = centre + reach[:, None] * np.stack([np.cos(turn), np.sin(turn)], 1)
            pen.polygon([(float(a), float(b)) for a, b in corners], fill=colour)
    roads = [
        (_curve(rng, wide), width, colour)
        for width, colour, count in ((3, WHITE, 22), (5, (252, 214, 164), 6), (7, (233, 144, 160), 3))
        for _ in range(count)
    ]
    for points, width, colour in roads:
        pen.line(points, fill=(160, 150, 140), width=FINE * (width + 1), joint="curve")
        pen.line(points, fill=colour, width=FINE * width, joint="curve")
    made = Image.fromarray(_reduced(large))
    labels = ImageDraw.Draw(made)
    for _ in range(24):
        place = (int(rng.integers(0, side - 40)), int(rng.integers(0, side - 12)))
        word = WORDS[rng.integers(12)]
        labels.text(place, word, (60, 60, 60), ImageFont.load_default(10), stroke_width=1, stroke_fill=WHITE)
    return np.asarray(made)


def contour_map(side: int, rng: np.random.Generator) -> Pixels:
    """Return contour lines of a smooth relief on tints of height."""
    y, x = _grid(side)
    height = np.zeros((side, side))
    for _ in range(12):
        a, b, reach = *rng.uniform(-side / 2, side / 2, 2), rng.uniform(0.1, 0.3) * side
        height += rng.uniform(-1, 1) * np.exp(-((x - a) ** 2 + (y - b) ** 2) / reach**2)
    height = 24 * (height - height.min()) / np.ptp(height)
    down, across = np.gradient(height)
    nearest = np.abs(height - np.rint(height)) / np.maximum(np.hypot(down, across), 1e-6)
    tint = np.floor(height / 3)[..., None] * np.array([10.0, 4.0, -6.0]) + np.array([150.0, 190.0, 150.0])
    line = np.clip(1.2 - nearest, 0, 1)[..., None]
    return _pixels(tint * (1 - line) + np.array([120.0, 70.0, 30.0]) * line)


def line_art(side: int, rng: np.random.Generator) -> Pixels:
    """Return black curves of several widths on white, with smooth edges."""
    large, pen = _blank(FINE * side)
    for _ in range(40):
        width = round(FINE * rng.uniform(0.7, 3))
        pen.line(_curve(rng, FINE * side), fill=BLACK, width=width, joint="curve")
    return _reduced(large)


def cartoon(side: int, rng: np.random.Generator) -> Pixels:
    """Return flat areas of colour with black outlines, with smooth edges."""
    large, pen = _blank(FINE * side, (150, 205, 240))
    for _ in range(30):
        x, y = rng.uniform(0, FINE * side, 2)
        a, b = rng.uniform(0.03, 0.14, 2) * FINE * side
        r, g, blue = rng.integers(40, 256, 3)
        pen.ellipse((x - a, y - b, x + a, y + b), (int(r), int(g), int(blue)), outline=BLACK, width=2 * FINE)
    return _reduced(large)


def plot(side: int, rng: np.random.Generator) -> Pixels:
    """Return a chart: axes, a grid, five coloured curves, points and labels."""
    made, pen = _blank(side)
    font, edge = ImageFont.load_default(10), 34
    for number, place in enumerate(np.linspace(edge, side - 12, 9).astype(int).tolist()):
        pen.line((place, 10, place, side - edge), fill=(225, 225, 225))
        pen.line((edge, side - place, side - 10, side - place), fill=(225, 225, 225))
        pen.text((place, side - edge + 4), f"{number / 4:.2f}", BLACK, font, anchor="ma")
        pen.text((edge - 4, side - place), f"{5 * number}", BLACK, font, anchor="rm")
    pen.line((edge, 10, edge, side - edge, side - 10, side - edge), fill=BLACK)
    colours = ((31, 119, 180), (255, 127, 14), (44, 160, 44), (214, 39, 40), (148, 103, 189))
    for colour in colours:
        x = np.linspace(edge, side - 12, 60)
        walk = np.cumsum(rng.normal(0, side / 70, 60)) + rng.uniform(0.3, 0.7) * side
        points = list(zip(x.tolist(), np.clip(walk, 14, side - edge).tolist(), strict=True))
        pen.line(points, fill=colour, width=1)
        for a, b in points[::4]:
            pen.ellipse((a - 2, b - 2, a + 2, b + 2), fill=colour)
    return np.asarray(made)


def pixel_art(side: int, rng: np.random.Generator) -> Pixels:
    """Return sprites of 16 colours, enlarged 6 times without smoothing."""
    cells = math.ceil(side / 6)
    colours = rng.integers(0, 256, (16, 3), dtype=np.uint8)
    art = np.zeros((cells, cells), np.intp)
    for row in range(0, cells, 8):
        for column in range(0, cells, 8):
            half = rng.integers(0, 16, (8, 4)) * (rng.uniform(size=(8, 4)) < 0.6)
            sprite = np.hstack([half, half[:, ::-1]])
            part = art[row : row + 8, column : column + 8]
            part[:] = sprite[: part.shape[0], : part.shape[1]]
    return np.repeat(np.repeat(colours[art], 6, 0), 6, 1)[:side, :side]


def smoothed_pixel_art(side: int, rng: np.random.Generator) -> Pixels:
    """Return the same sprites, resized by 1.1 with bicubic interpolation."""
    grown = Image.fromarray(pixel_art(side, rng)).resize((round(1.1 * side),) * 2, Image.Resampling.BICUBIC)
    return np.asarray(grown.crop((0, 0, side, side)))


def mosaic(side: int, rng: np.random.Generator) -> Pixels:
    """Return flat cells of random colours around random points, without smooth edges."""
    y, x = _grid(side)
    points = rng.uniform(-side / 2, side / 2, (max(side // 3, 2), 2))
    far = (x[..., None] - points[:, 0]) ** 2 + (y[..., None] - points[:, 1]) ** 2
    return rng.integers(0, 256, (len(points), 3), dtype=np.uint8)[far.argmin(2)]


def fractal(side: int, rng: np.random.Generator) -> Pixels:
    """Return a part of the Mandelbrot set, coloured by the number of steps."""
    y, x = _grid(side)
    c = (-0.7436 + 0.006 * x / side) + 1j * (0.1318 + 0.006 * y / side)
    z, steps = np.zeros_like(c), np.zeros((side, side))
    for _ in range(200):
        near = np.abs(z) < 2
        z = np.where(near, z * z + c, z)
        steps += near
    phase = 0.15 * steps[..., None] + np.array([0.0, 2.0, 4.0])
    return _pixels(np.where(steps[..., None] < 200, 127.5 + 127.5 * np.cos(phase), 0))


# Gradients and damaged photographs.


def banded_gradient(side: int, rng: np.random.Generator) -> Pixels:
    """Return a gradient of colours in bands of 8 levels."""
    y, x = _grid(side)
    ramps = np.dstack([x + y, x - y, 2 * np.hypot(x, y) - side / 2]) * 110 / side + 128
    return _pixels(8 * np.floor(ramps / 8))


def dithered_gradient(side: int, rng: np.random.Generator) -> Pixels:
    """Return a dark gradient with noise of one level against banding."""
    y, x = _grid(side)
    ramps = np.dstack([x + y, x - y / 2, y]) * 20 / side + 40
    return _pixels(np.floor(ramps + rng.uniform(0, 1, (side, side, 3))))


def interlaced(side: int, rng: np.random.Generator) -> Pixels:
    """Return a photograph whose odd rows are shifted by 6 pixels, as in interlaced video."""
    rows = np.array(_rocket(side))
    rows[1::2] = np.roll(rows[1::2], 6, 1)
    return rows


def oversharpened(side: int, rng: np.random.Generator) -> Pixels:
    """Return a photograph with strong halos of sharpening."""
    return np.asarray(_coffee(side).filter(ImageFilter.UnsharpMask(1.5, 300, 0)))


def jpeg_blocks(side: int, rng: np.random.Generator) -> Pixels:
    """Return a photograph decoded from JPEG of quality 10."""
    stream = io.BytesIO()
    _coffee(side).save(stream, "JPEG", quality=10)
    with Image.open(stream) as decoded:
        return np.asarray(decoded.convert("RGB"))


def _kind(name: str, make: Maker) -> Kind:
    """Return a kind whose line is the docstring of its function."""
    if make.__doc__ is None:
        raise TypeError(f"{name} has no docstring")
    return Kind(name, make, make.__doc__.removeprefix("Return ").rstrip("."))


KINDS: tuple[Kind, ...] = tuple(
    _kind(name, make)
    for name, make in (
        ("zone plate", zone_plate),
        ("zone plates by channel", colour_zone_plate),
        ("smooth lines at 8 angles", lines_at_eight_angles),
        ("hard lines at 8 angles", hard_lines_at_eight_angles),
        ("moire", moire),
        ("checkers on a ramp", checkers_on_a_ramp),
        ("checkers in many colours", coloured_checkers),
        ("checkers in perspective", checkers_in_perspective),
        ("halftone", halftone),
        ("halftone in colour", colour_halftone),
        ("engraving", engraving),
        ("dither, 1 bit", dithered_1_bit),
        ("dither, 16 colours", dithered_palette),
        ("dither, ordered", ordered_dither),
        ("colour noise", colour_noise),
        ("gray noise", gray_noise),
        ("faint noise", faint_noise),
        ("grain on a photo", grain),
        ("star field", star_field),
        ("text page", text_page),
        ("scanned text", scanned_text),
        ("red text on blue", red_text_on_blue),
        ("subpixel text", subpixel_text),
        ("light text on a photo", light_text_on_photo),
        ("dark text on a photo", dark_text_on_photo),
        ("coloured text on a photo", coloured_text_on_photo),
        ("subtitles on a photo", subtitles),
        ("lines on a photo", lines_on_photo),
        ("screenshot", screenshot),
        ("screenshot with a photo", screenshot_with_photo),
        ("spreadsheet", spreadsheet),
        ("street map", street_map),
        ("contour map", contour_map),
        ("line art", line_art),
        ("cartoon", cartoon),
        ("plot", plot),
        ("pixel art", pixel_art),
        ("pixel art, smoothed", smoothed_pixel_art),
        ("mosaic", mosaic),
        ("fractal", fractal),
        ("gradient with bands", banded_gradient),
        ("gradient with dither", dithered_gradient),
        ("interlaced photo", interlaced),
        ("oversharpened photo", oversharpened),
        ("photo from JPEG", jpeg_blocks),
    )
)
