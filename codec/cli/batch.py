"""`vaezip batch`: many pictures on all cores, or on a cluster."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from codec.batch.cluster import connect
from codec.batch.task import RunOptions
from codec.cli.jobs import STANDARD, plan
from codec.cli.many import Many
from codec.cli.options import batch_options, encoding_options, quiet_option
from codec.cli.report import EXIT_CODES_HELP
from codec.errors import UsageError
from codec.storage.pictures import is_picture

if TYPE_CHECKING:
    from codec.options import EncodeOptions

_NO_PIPES = "a batch has no standard input or output, and no pipes; use vaezip compress"


@click.command("batch", epilog=EXIT_CODES_HELP)
@click.argument("pictures", metavar="IN...", nargs=-1, required=True, type=click.Path(readable=False))
@click.option(
    "-o",
    "--output",
    type=click.Path(readable=False),
    metavar="DIR",
    help="Folder or URL of outputs.  [default: beside IN]",
)
@encoding_options
@click.option(
    "-j", "--jobs", type=click.IntRange(min=1), metavar="JOBS", help="Worker processes.  [default: cores]"
)
@click.option(
    "--cluster",
    metavar="ADDRESS",
    help="Work on a Dask cluster instead: the address of its scheduler, such as tcp://scheduler:8786.",
)
@batch_options
@click.option("-f", "--force", is_flag=True, help="Overwrite files.")
@quiet_option
def batch(
    pictures: tuple[str, ...],
    output: str | None,
    encoding: EncodeOptions,
    jobs: int | None,
    cluster: str | None,
    skip_existing: bool,
    manifest: str | None,
    retry: bool,
    remove_sources: bool,
    as_json: bool,
    force: bool,
    quiet: bool,
) -> int:
    """Compress many pictures into .vae files.

    IN is a picture, or a folder or pattern, whose trees are mirrored below DIR; paths, or URLs that fsspec
    knows, such as s3://bucket/photos/. A picture that ends its worker process twice is set aside. With
    --cluster, all machines must see the files under the same names.
    """
    if STANDARD in pictures:
        raise UsageError(_NO_PIPES)
    if cluster is not None and jobs is not None:
        raise UsageError("--jobs and --cluster exclude each other: a cluster has the workers that it has")
    options = RunOptions(encoding, overwrite=force, skip_existing=skip_existing)
    planned = plan(pictures, output, ".vae", force=force, accepts=is_picture)
    if any(job.through for job in planned):
        raise UsageError(_NO_PIPES)
    many = Many(as_json=as_json, quiet=quiet)
    client = None if cluster is None else connect(cluster)
    try:
        return many.run(
            planned,
            options,
            workers=jobs,
            client=client,
            manifest=manifest,
            retry=retry,
            remove_sources=remove_sources,
        )
    finally:
        if client is not None:
            client.close()
