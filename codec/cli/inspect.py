"""`vaezip info` and `vaezip verify`."""

from __future__ import annotations

import json
import sys
from typing import TYPE_CHECKING

import click

from codec.api import info as read_info
from codec.bitstream.container import parse_container
from codec.bitstream.rate_index import MAX_HEADER_RATE_INDEX
from codec.cli.jobs import STANDARD, Job, drop_empty_sources, read_input, run
from codec.cli.parameters import limit_option, quiet_option, threads_option
from codec.cli.report import EXIT_CODES_HELP, describe, is_expected, printable, say
from codec.io.mapping import expand, is_stream, one_file
from codec.model.index import model_entry

if TYPE_CHECKING:
    from codec.bitstream.header import ImageInfo
    from codec.limits import Limits


@click.command("info", epilog=EXIT_CODES_HELP)
@click.argument("files", metavar="IN...", nargs=-1, required=True, type=click.Path(readable=False))
@limit_option("files")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object per file, a line each.")
def info(files: tuple[str, ...], limits: Limits, as_json: bool) -> int:
    """Show size, version, model, quality and structure of .vae files.

    IN is a .vae file, or '-' for standard input.
    """

    def work(job: Job) -> None:
        facts = read_info(read_input(job.source), limits=limits)
        if as_json:
            print(json.dumps({"file": job.source, **_as_record(facts)}))
        else:
            _print_table(job.source_name, _as_rows(facts))

    return run([Job(source, STANDARD) for source in files], work)


def _clamped(facts: ImageInfo) -> str | None:
    """Return the end of the quality scale, "low" or "high", at which the rate index is clamped, or None."""
    if facts.quality is None:
        return None
    points = model_entry(bytes.fromhex(facts.model_id)).calibration
    return (
        "low" if facts.rate_index <= points[0][1] else "high" if facts.rate_index >= points[-1][1] else None
    )


def _as_record(facts: ImageInfo) -> dict[str, object]:
    return {
        "width": facts.width,
        "height": facts.height,
        "layout": facts.layout,
        "gray": facts.gray,
        "bit_depth": facts.bit_depth,
        "version": facts.version,
        "model_id": facts.model_id,
        "quality": None if facts.quality is None else round(facts.quality, 2),
        "quality_clamped": _clamped(facts),
        "rate_index": facts.rate_index,
        "tile_size": facts.tile_size,
        "tiles": facts.tiles,
        "lossless_tiles": facts.lossless_tiles,
        "bytes": facts.n_bytes,
        "bpp": round(_bpp(facts), 4),
        "chunks": [{"name": name, "bytes": n_bytes} for name, n_bytes in facts.chunks],
    }


def _as_rows(facts: ImageInfo) -> list[tuple[str, str]]:
    return [
        ("size", _describe_size(facts)),
        ("version", facts.version),
        ("model", facts.model_id),
        ("quality", _describe_quality(facts)),
        ("rate index", f"{facts.rate_index} of {MAX_HEADER_RATE_INDEX}"),
        ("tiles", _describe_tiles(facts)),
        ("bytes", f"{facts.n_bytes}"),
        ("bpp", f"{_bpp(facts):.3f}"),
        ("chunks", ", ".join(f"{name} {n_bytes} bytes" for name, n_bytes in facts.chunks) or "tiles only"),
    ]


def _describe_size(facts: ImageInfo) -> str:
    gray = ", all gray" if facts.gray and facts.layout.startswith("RGB") else ""
    return f"{facts.width}x{facts.height} {facts.layout}, {facts.bit_depth} bits{gray}"


def _describe_tiles(facts: ImageInfo) -> str:
    lossless = f", {facts.lossless_tiles} lossless" if facts.lossless_tiles else ""
    return f"{facts.tiles} of {facts.tile_size}x{facts.tile_size}{lossless}"


def _describe_quality(facts: ImageInfo) -> str:
    if facts.lossless_tiles == facts.tiles:
        return "lossless"
    if facts.quality is None:
        return "unknown, as the model is not installed"
    shown = f"{facts.quality:.1f}"
    match _clamped(facts):
        case "low":
            return f"{shown} (lowest rate: -q below {facts.quality:g} gives the same)"
        case "high":
            return f"{shown} (highest rate: -q above {facts.quality:g} gives the same)"
    return shown


def _bpp(facts: ImageInfo) -> float:
    return 8 * facts.n_bytes / (facts.width * facts.height)


def _print_table(name: str, rows: list[tuple[str, str]]) -> None:
    if sys.stdout is None:
        return
    if not sys.stdout.isatty():
        print(printable(name))
        for label, value in rows:
            print(f"  {label}: {value}")
        return
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table(title=Text(printable(name), style="bold"), title_justify="left", show_header=False)
    for label, value in rows:
        table.add_row(label, Text(value))
    Console().print(table)


@click.command("verify", epilog=EXIT_CODES_HELP)
@click.argument("files", metavar="IN...", nargs=-1, required=True, type=click.Path(readable=False))
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object per file, a line each.")
@threads_option
@quiet_option
def verify(files: tuple[str, ...], as_json: bool, threads: int | None, quiet: bool) -> int:
    """Check structure, checksums and coded symbols of .vae files, without computing pixels.

    IN is a .vae file, a folder or pattern of them, or '-' for standard input.
    """

    def work(job: Job) -> None:
        try:
            data = read_input(job.source)
            # Refuse damaged structure and unknown models before torch is loaded.
            header = parse_container(data).header
            model_entry(header.model_id)
            from codec.decode.symbols import verify as check

            check(data, threads=threads)
        except Exception as error:
            if as_json and is_expected(error):
                text = {"error": type(error).__name__, "message": describe(error)}
                print(json.dumps({"file": job.source, "status": "failed", **text}))
            raise
        if as_json:
            size = {"width": header.width, "height": header.height, "bytes": len(data)}
            print(json.dumps({"file": job.source, "status": "ok", **size}))
        if not quiet:
            say(f"{job.source_name}: intact, {header.width}x{header.height}")

    jobs = [
        Job(found.name, STANDARD, error=found.error)
        for source in files
        for found in ([one_file(source)] if source == STANDARD else expand(source, is_stream))
    ]
    return run(drop_empty_sources(jobs), work)
