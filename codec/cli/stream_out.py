"""`vaezip decompress --stream`: a .vaes stream to PPM or PNG pictures, one after another."""

from __future__ import annotations

from typing import IO, TYPE_CHECKING

from codec.cli import formats
from codec.cli.jobs import Job, run
from codec.cli.report import Exit, fail, say, warn
from codec.cli.stream_options import UpToError, fill, opened, plan_stream
from codec.files import write_all
from codec.stream import Reader

if TYPE_CHECKING:
    from PIL import Image

    from codec.limits import Limits


def decompress_stream(
    sources: tuple[str, ...],
    output: str | None,
    *,
    suffix: str,
    limits: Limits,
    force: bool,
    threads: int | None,
    quiet: bool,
) -> Exit:
    """Decompress one stream. Damaged frames are told, left out, and cost exit code 1."""
    lost = 0
    chosen = formats.FORMATS[suffix]

    def work(job: Job) -> None:
        from io import BytesIO

        count = 0
        losses: dict[str, None] = {}
        done: UpToError[Image.Image] = UpToError()

        def write(out: IO[bytes]) -> None:
            nonlocal count, lost
            with opened(job) as file:
                reader = Reader(file, on_loss="skip")
                from codec.decoder import Decoder

                decoder = Decoder(threads=threads, limits=limits)
                for picture in done.of(decoder.map(frame.data for frame in reader)):
                    buffer = BytesIO()
                    formats.save(picture, chosen, buffer)
                    losses.update(dict.fromkeys(formats.losses(picture, chosen)))
                    write_all(out, buffer.getbuffer())
                    count += 1
            for frames in reader.lost:
                lost += len(frames)
                fail(f"{job.source_name}: frames {frames[0]} to {frames[-1]} are damaged and left out")
            if not reader.ended and done.error is None:
                lost += 1
                fail(f"{job.source_name}: the stream was cut short behind frame {count - 1}; fetch it again")

        fill(job, write, force=force)
        if not quiet:
            for loss in losses:
                warn(job.target_name, loss)
            say(f"{job.source_name} -> {job.target_name}: {count} frames")
        if done.error is not None:
            raise done.error

    done = run([plan_stream(sources, output, suffix, force=force)], work)
    return Exit.SOME_FAILED if done == Exit.OK and lost else done
