"""What graphs are made of. torch computes these at once, the exporter to ONNX writes them down."""

from __future__ import annotations

from typing import Protocol, TypeVar

T = TypeVar("T")


class Ops(Protocol[T]):
    """Operations on T, planes [1, C, h, w] unless said otherwise; weights go by their names.

    Results of conv and of matmul belong to the graph alone: act, add, mul, floor and clamp may overwrite
    their first argument.
    """

    def conv(self, x: T, name: str, kernel: int = 1, *, depthwise: bool = False, bias: bool = True) -> T:
        """Convolve with `name.weight`, add `name.bias`; zeros outside, stride 1."""

    def matmul(self, x: T, name: str, *, bias: bool = True) -> T:
        """Multiply x [4, I, n] by `name.weight` [4, O, I] from the left, add `name.bias` [4, O, 1]."""

    def act(self, x: T) -> T:
        """Leaky ReLU."""

    def add(self, x: T, y: T) -> T:
        """x + y."""

    def mul(self, x: T, y: T) -> T:
        """x * y; y may have 1 for C, or for h and w."""

    def floor(self, x: T, factor: float) -> T:
        """Round x * factor down."""

    def clamp(self, x: T, low: float, high: float) -> T:
        """Clamp to low..high."""

    def crop(self, x: T, box: T) -> T:
        """Cut out rows and columns; box: int64 [4]: top, left, bottom, right."""

    def up(self, x: T) -> T:
        """[1, 4C, h, w] -> [1, C, 2h, 2w]; channel (2 dy + dx) C + c is c at (dy, dx)."""

    def down(self, x: T) -> T:
        """Undo `up`."""

    def parities(self, x: T) -> T:
        """[1, C, 2h, 2w] -> [4, C, h w]: the positions (dy, dx) of each 2x2, by 2 dy + dx."""

    def interleave(self, x: T, grid: T) -> T:
        """Undo `parities`; grid: int64 [1, -1, h, w]."""

    def patches(self, x: T) -> T:
        """Samples [16h, 48w], rows of pixels of 3 channels -> [1, 192, 2h, 2w], (8 dy + dx) 3 + c."""

    def pixels(self, x: T) -> T:
        """Undo `patches`."""

    def filter_columns(self, x: T, name: str, both: T | None) -> T:
        """Multiply by `name` [16, 16] each 16 samples around a boundary, x [16h, 48w].

        both: float [h + 1, 1, 48w], 0 where the filter does nothing, at the ends too; None: only there.
        """

    def filter_rows(self, x: T, name: str, both: T | None) -> T:
        """The same along rows, by `name` [48, 48] from the right; both: float [16h, w + 1, 1]."""
