"""`vaezip verify`: whether .vae files are sound."""

from __future__ import annotations

import json

import click

from codec.bitstream.container import parse_container
from codec.cli.jobs import STANDARD, Job, read_input, run, without_nothing
from codec.cli.options import quiet_option, threads_option
from codec.cli.report import EXIT_CODES_HELP, describe, is_expected, say
from codec.model.index import model_entry
from codec.storage.mapping import expand, one_file
from codec.storage.pictures import is_stream


@click.command("verify", epilog=EXIT_CODES_HELP)
@click.argument("files", metavar="IN...", nargs=-1, required=True, type=click.Path(readable=False))
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object per file, a line each.")
@threads_option
@quiet_option
def verify(files: tuple[str, ...], as_json: bool, threads: int | None, quiet: bool) -> int:
    """Check .vae files: structure, every checksum and all coded symbols, without computing pixels.

    IN is a .vae file, a folder or pattern of them, or '-' for standard input.
    """

    def work(job: Job) -> None:
        try:
            data = read_input(job.source)
            # Faulty structure and unknown models are refused here, before torch is loaded.
            header = parse_container(data).header
            model_entry(header.model_id)
            from codec.verify import verify as check

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
            say(f"{job.source_name}: sound, {header.width}x{header.height}")

    jobs = [
        Job(found.name, STANDARD, error=found.error)
        for source in files
        for found in ([one_file(source)] if source == STANDARD else expand(source, is_stream))
    ]
    return run(without_nothing(jobs), work)
