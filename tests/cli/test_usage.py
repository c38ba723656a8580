"""Usage errors and refusals. None of them may take as long as loading torch does."""

from __future__ import annotations

import json
import os
import pty
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

import codec
from codec.bitstream.header import VERSION

USAGE, BAD_PICTURE, BAD_STREAM, LIMIT, INPUT_OUTPUT, INTERRUPTED = 2, 3, 4, 5, 6, 130


def refused(done, code: int, *words: str) -> str:
    """Check the exit code, an empty standard output, and one line on standard error that has these words."""
    message = done.stderr.decode()
    assert done.returncode == code, message
    assert done.stdout == b""
    assert message.startswith("vaezip: "), message
    assert message.count("\n") == 1, message
    for word in words:
        assert word in message
    return message


def test_help_lists_commands_and_exit_codes(vaezip):
    done = vaezip("--help")
    assert done.returncode == 0
    text = done.stdout.decode()
    for word in ("compress", "decompress", "info", "train", "Exit codes", "130"):
        assert word in text


def test_version_names_package_bitstream_and_model(vaezip):
    done = vaezip("--version")
    package, bitstream, model = done.stdout.decode().splitlines()
    assert package == f"vaezip {codec.__version__}"
    assert bitstream == f"bitstream {VERSION[0]}.{VERSION[1]}"
    assert model.startswith("model ")


def test_no_command_shows_help_as_an_error(vaezip):
    done = vaezip()
    assert done.returncode == USAGE
    assert b"Commands:" in done.stderr


@pytest.mark.parametrize(
    "arguments",
    [
        ["frobnicate"],
        ["compress"],
        ["compress", "--frobnicate", "a.png"],
        ["compress", "-q", "101", "photo.png"],
        ["compress", "-q", "nan", "photo.png"],
        ["compress", "-q", "high", "photo.png"],
        ["compress", "--threads", "0", "photo.png"],
        ["decompress"],
        ["decompress", "--region", "1,2,3", "a.vae"],
        ["decompress", "--region", "0,0,0,5", "a.vae"],
        ["decompress", "--region", "a,b,c,d", "a.vae"],
        ["info"],
    ],
    ids=" ".join,
)
def test_wrong_arguments_print_one_line_that_points_to_help(vaezip, arguments):
    refused(vaezip(*arguments), USAGE, "--help")


def test_empty_name_is_a_usage_error(vaezip):
    refused(vaezip("compress", ""), USAGE, "empty file name")


def test_several_inputs_need_a_folder(vaezip):
    refused(vaezip("compress", "a.png", "b.png", "-o", "c.vae"), USAGE, "c.vae", "existing folder")


def test_standard_input_excludes_other_inputs(vaezip):
    refused(vaezip("compress", "a.png", "-"), USAGE, "'-'")


def test_output_must_not_be_the_input(vaezip, small_picture):
    before = small_picture.read_bytes()
    (small_picture.parent / "link").hardlink_to(small_picture)
    refused(vaezip("compress", "photo.png", "-f", "-o", "link"), USAGE, "same file")
    for output in ("photo.png", "./photo.png"):
        refused(vaezip("compress", "photo.png", "-f", "-o", output), USAGE, "a picture's name")
    assert small_picture.read_bytes() == before


@pytest.mark.parametrize("name", ["small.jpg", "small.PNG", "small.gif", "small.jp2"])
def test_output_of_compress_must_not_be_named_like_a_picture(vaezip, small_picture, name):
    refused(vaezip("compress", "photo.png", "-o", name), USAGE, name, "use the suffix .vae")
    assert [path.name for path in small_picture.parent.iterdir()] == ["photo.png"]


def test_vae_input_named_vae_is_not_overwritten(vaezip, tmp_path, hollow_stream):
    (tmp_path / "a.vae").write_bytes(hollow_stream)
    refused(vaezip("compress", "a.vae"), USAGE, "same file")
    refused(vaezip("compress", "a.vae", "-o", "b.vae"), BAD_PICTURE, "a.vae", "decompress")


@pytest.mark.parametrize("name", ["out.xyz", "out.gif", "out"])
def test_unknown_output_format_is_refused_before_the_input_is_read(vaezip, name):
    refused(vaezip("decompress", "missing.vae", "-o", name), USAGE, name, ".png")


def test_format_too_small_for_the_picture_is_refused_before_decoding(vaezip, tmp_path, hollow_stream):
    (tmp_path / "wide.vae").write_bytes(hollow_stream)
    refused(vaezip("decompress", "wide.vae", "-o", "wide.webp"), USAGE, "16383", "20000x3")


def test_missing_input(vaezip, tmp_path):
    for command in ("compress", "decompress", "info"):
        refused(vaezip(command, "missing.dat"), INPUT_OUTPUT, "missing.dat", "No such file")
    assert list(tmp_path.iterdir()) == []


def test_input_without_files_is_an_error_if_it_is_the_only_one(vaezip, tmp_path):
    (tmp_path / "album.png").mkdir()
    for command in ("compress", "decompress", "verify"):
        done = vaezip(command, "album.png")
        refused(done, INPUT_OUTPUT, "album.png: this folder holds no such files")
        refused(vaezip(command, "*.gif"), INPUT_OUTPUT, "*.gif: no file matches this pattern")
    both = vaezip("compress", "album.png", "*.gif")
    assert both.returncode == INPUT_OUTPUT
    assert [line.split(b";")[0] for line in both.stderr.splitlines()] == [
        b"vaezip: album.png: this folder holds no such files",
        b"vaezip: *.gif: no file matches this pattern",
    ]


def test_existing_output_is_kept_without_force(vaezip, small_picture):
    output = small_picture.with_suffix(".vae")
    output.write_bytes(b"precious")
    refused(vaezip("compress", "photo.png"), INPUT_OUTPUT, "photo.vae", "exists", "-f")
    assert output.read_bytes() == b"precious"


def test_existing_link_as_output_is_kept_without_force(vaezip, small_picture):
    output = small_picture.with_suffix(".vae")
    output.symlink_to("nowhere")
    refused(vaezip("compress", "photo.png"), INPUT_OUTPUT, "photo.vae", "exists")
    assert output.is_symlink()


def test_missing_output_folder(vaezip, small_picture):
    refused(vaezip("compress", "photo.png", "-o", "missing/"), INPUT_OUTPUT, "missing/", "not a folder")
    refused(vaezip("compress", "photo.png", "-o", "no/such/photo.vae"), INPUT_OUTPUT, "folder does not exist")


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_read_only_output_folder(vaezip, small_picture, tmp_path):
    folder = tmp_path / "locked"
    folder.mkdir(mode=0o555)
    refused(vaezip("compress", "photo.png", "-o", "locked/"), INPUT_OUTPUT, "cannot be written")


@pytest.mark.parametrize(
    ("content", "word"),
    [
        (b"", "empty"),
        (b"no picture at all, just text", "Pillow"),
        (b"\x89PNG\r\n\x1a\n\x00\x00\x00\rIHDR", "incomplete"),
    ],
    ids=["empty", "text", "stub"],
)
def test_bad_picture(vaezip, tmp_path, content, word):
    (tmp_path / "bad.png").write_bytes(content)
    refused(vaezip("compress", "bad.png"), BAD_PICTURE, "bad.png", word)
    refused(vaezip("compress", "-", "-o", "a.vae", stdin=content), BAD_PICTURE, "standard input", word)
    assert [path.name for path in tmp_path.iterdir()] == ["bad.png"]


def test_truncated_picture(vaezip, small_picture):
    small_picture.write_bytes(small_picture.read_bytes()[:-200])
    refused(vaezip("compress", "photo.png"), BAD_PICTURE, "photo.png", "incomplete")
    assert not small_picture.with_suffix(".vae").exists()


def test_picture_bomb_is_refused_from_its_header(vaezip, tmp_path):
    (tmp_path / "bomb.ppm").write_bytes(b"P6 60000 60000 255\n")
    refused(vaezip("compress", "bomb.ppm"), LIMIT, "bomb.ppm", "3,600,000,000", "limit")


@pytest.mark.parametrize("command", ["decompress", "info"])
def test_bad_stream(vaezip, tmp_path, hollow_stream, command):
    cases = {
        "empty": b"",
        "foreign": b"\x89PNG\r\n\x1a\n" + bytes(100),
        "short": hollow_stream[:-1],
        "long": hollow_stream + b"x",
        "flipped": hollow_stream[:12] + bytes([hollow_stream[12] ^ 1]) + hollow_stream[13:],
    }
    for name, data in cases.items():
        (tmp_path / f"{name}.vae").write_bytes(data)
        refused(vaezip(command, f"{name}.vae"), BAD_STREAM, f"{name}.vae")
    assert {path.suffix for path in tmp_path.iterdir()} == {".vae"}


def test_unknown_model_is_refused_before_torch_is_needed(vaezip, tmp_path, hollow_stream):
    (tmp_path / "a.vae").write_bytes(hollow_stream)
    refused(vaezip("decompress", "a.vae"), BAD_STREAM, "a.vae", "model 00000000 is not installed")


def test_damaged_tile_is_refused_before_torch_is_needed(vaezip, tmp_path, hollow_stream):
    (tmp_path / "a.vae").write_bytes(hollow_stream[:-1] + bytes([hollow_stream[-1] ^ 1]))
    refused(vaezip("decompress", "a.vae"), BAD_STREAM, "CRC")


def test_names_are_printed_on_one_line(vaezip):
    name = "tab\tbell\x07line\nbreak \udcff 画像.png"
    for env in ({"LC_ALL": "C"}, {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONIOENCODING": "ascii:strict"}):
        message = refused(vaezip("info", name, env=env), INPUT_OUTPUT, "\\t", "\\x07", "\\n", "\\udcff")
        # Unchanged, or escaped as a character or as bytes.
        assert any(form in message for form in ("画像.png", "\\u753b\\u50cf.png", "\\udc8f.png"))


def test_name_with_a_leading_dash_after_a_double_dash(vaezip):
    refused(vaezip("info", "--", "-odd.vae"), INPUT_OUTPUT, "-odd.vae")


def test_info_prints_plain_lines_into_a_pipe(vaezip, tmp_path, hollow_stream):
    (tmp_path / "a.vae").write_bytes(hollow_stream)
    done = vaezip("info", "a.vae")
    assert done.returncode == 0, done.stderr
    text = done.stdout.decode()
    for word in (
        "a.vae\n",
        "20000x3 RGB",
        f"version: {VERSION[0]}.{VERSION[1]}",
        "00000000",
        "5 of 4096x4096",
        "bpp",
        "chunks",
    ):
        assert word in text
    assert "\x1b" not in text


def test_info_json_prints_one_object_per_line_and_continues_after_a_bad_file(vaezip, tmp_path, hollow_stream):
    (tmp_path / "a.vae").write_bytes(hollow_stream)
    (tmp_path / "b.vae").write_bytes(b"junk")
    (tmp_path / "c.vae").write_bytes(hollow_stream)
    done = vaezip("info", "--json", "a.vae", "b.vae", "c.vae")
    assert done.returncode == 1
    records = [json.loads(line) for line in done.stdout.splitlines()]
    assert [record["file"] for record in records] == ["a.vae", "c.vae"]
    assert records[0]["width"] == 20_000
    assert records[0]["height"] == 3
    assert records[0]["rate_index"] == 700
    assert records[0]["bytes"] == len(hollow_stream)
    assert records[0]["tiles"] == 5
    assert b"b.vae" in done.stderr


def test_info_reads_standard_input(vaezip, hollow_stream):
    done = vaezip("info", "-", stdin=hollow_stream)
    assert done.returncode == 0
    assert b"20000x3" in done.stdout


def in_terminal(command: list[str], folder: Path, environment: dict[str, str]) -> tuple[int, str]:
    """Run a command with its standard input and output on a pseudo-terminal; return exit code and screen."""
    ours, theirs = pty.openpty()
    process = subprocess.Popen(
        command, stdin=theirs, stdout=theirs, stderr=theirs, cwd=folder, env=environment
    )
    os.close(theirs)
    screen = b""
    try:
        while chunk := os.read(ours, 4096):
            screen += chunk
    except OSError:  # how Linux reports that the other side has closed
        pass
    os.close(ours)
    return process.wait(timeout=60), screen.decode()


def test_terminal_shows_a_table_and_no_binary_data(tmp_path, hollow_stream, small_picture, child_environment):
    (tmp_path / "a.vae").write_bytes(hollow_stream)
    vaezip = [sys.executable, "-m", "codec"]
    code, screen = in_terminal([*vaezip, "info", "a.vae"], tmp_path, {**child_environment, "TERM": "xterm"})
    assert code == 0
    assert "20000x3" in screen
    assert "│" in screen
    for command in (["compress", "photo.png", "-o", "-"], ["decompress", "a.vae", "-o", "-"]):
        code, screen = in_terminal([*vaezip, *command], tmp_path, child_environment)
        assert code == USAGE
        assert "terminal" in screen
    code, screen = in_terminal([*vaezip, "compress", "-", "-o", "b.vae"], tmp_path, child_environment)
    assert code == USAGE
    assert "terminal" in screen


def test_closed_standard_streams_give_one_line(tmp_path, hollow_stream, child_environment):
    (tmp_path / "a.vae").write_bytes(hollow_stream)
    for command in ("compress - -o b.vae <&-", "decompress a.vae -o - >&-"):
        done = subprocess.run(
            ["sh", "-c", f'"{sys.executable}" -m codec {command}'],
            capture_output=True,
            cwd=tmp_path,
            env=child_environment,
            timeout=60,
        )
        assert done.returncode == INPUT_OUTPUT
        assert b"closed" in done.stderr
        assert done.stderr.count(b"\n") == 1


def test_closed_pipe_ends_the_command_silently(tmp_path, hollow_stream, child_environment):
    (tmp_path / "a.vae").write_bytes(hollow_stream)
    many = " ".join(["a.vae"] * 2000)
    done = subprocess.run(
        ["bash", "-c", f'"{sys.executable}" -m codec info {many} | head -n 1; exit ${{PIPESTATUS[0]}}'],
        capture_output=True,
        cwd=tmp_path,
        env=child_environment,
        timeout=60,
    )
    assert done.stdout == b"a.vae\n"
    assert done.stderr == b""
    assert done.returncode == INPUT_OUTPUT


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, INTERRUPTED), (signal.SIGTERM, 143)])
def test_interrupted(tmp_path, child_environment, number, code):
    os.mkfifo(tmp_path / "slow.png")
    process = subprocess.Popen(
        [sys.executable, "-m", "codec", "compress", "slow.png"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        cwd=tmp_path,
        env=child_environment,
        # Whoever started the tests in the background had SIGINT ignored, and children inherit that.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),  # noqa: PLW1509
    )
    # Opening returns once the command has opened its end; from then on the command waits for bytes.
    with (tmp_path / "slow.png").open("wb"):
        time.sleep(0.1)
        process.send_signal(number)
        _, stderr = process.communicate(timeout=60)
    assert process.returncode == code
    assert stderr == (b"vaezip: interrupted\n" if number == signal.SIGINT else b"")
    assert [path.name for path in tmp_path.iterdir()] == ["slow.png"]
