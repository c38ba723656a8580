"""EncodeOptions: validation, equality, and the same options from keywords and flags."""

from __future__ import annotations

import dataclasses
import io
import json
import pickle

import click
import pytest
from PIL import Image

import codec
import codec.pillow
from codec.batch import compress_many
from codec.batch.task import RunOptions
from codec.cli.parameters import encoding_options
from codec.encode.options import EncodeKeywords, EncodeOptions, Region, Target

# A non-default value of every option, as keywords and as flags.
CASES = {
    "quality": ({"quality": 41.5}, ["-q", "41.5"]),
    "strip": ({"strip": True}, ["--strip"]),
    "lossless": ({"lossless": True}, ["--lossless"]),
    "effort": ({"effort": 4}, ["-e", "4"]),
    "tune": ({"tune": "visual"}, ["--tune", "visual"]),
    "seconds": ({"seconds": 2.5}, ["--budget", "2.5"]),
    "roi": (
        {"roi": ("1,2,30,40", "mask.png:-12.5")},
        ["--roi", "1,2,30,40", "--roi", "mask.png:-12.5"],
    ),
    "target_size": ({"target_size": "50kB"}, ["--target-size", "50kB"]),
    "target_bpp": ({"target_bpp": 0.5}, ["--target-bpp", "0.5"]),
    "target_psnr": ({"target_psnr": 36}, ["--target-psnr", "36"]),
    "target_ssim": ({"target_ssim": 0.98}, ["--target-ssim", "0.98"]),
}
WRONG = [
    ({"quality": 101}, "quality"),
    ({"quality": "75"}, "quality"),
    ({"quality": float("nan")}, "quality"),
    ({"effort": 10}, "effort"),
    ({"effort": True}, "effort"),
    ({"tune": "ssim"}, "tune"),
    ({"seconds": 0}, "seconds"),
    ({"seconds": "5"}, "seconds"),
    ({"roi": "1,2,0,4"}, "roi"),
    ({"roi": "1,2,3,4:+101"}, "roi"),
    ({"roi": (5,)}, "roi"),
    ({"target_size": 0}, "target_size"),
    ({"target_size": "big"}, "target_size"),
    ({"target_bpp": 0}, "target_bpp"),
    ({"target_psnr": float("nan")}, "target_psnr"),
    ({"target_ssim": 1}, "target_ssim"),
    ({"target_size": 5000, "target_psnr": 36}, "target"),
    ({"lossless": True, "target_psnr": 36}, "lossless"),
]


@click.command()
@encoding_options
def command(encoding: EncodeOptions) -> EncodeOptions:
    return encoding


def from_flags(*arguments: str) -> EncodeOptions:
    return command.main(list(arguments), standalone_mode=False)


@pytest.mark.parametrize(("keywords", "field"), WRONG, ids=str)
def test_wrong_value_names_its_option_in_every_interface(photo, keywords, field):
    for make in (EncodeOptions.of, codec.Encoder, lambda **given: codec.compress(photo(8, 8), **given)):
        with pytest.raises(codec.UsageError) as caught:
            make(**keywords)
        assert caught.value.field == field
    with pytest.raises(codec.UsageError) as caught:
        Image.new("RGB", (8, 8)).save(io.BytesIO(), "VAEZIP", **keywords)
    assert caught.value.field == field
    with pytest.raises(codec.UsageError) as caught:
        list(compress_many(["missing.png"], **keywords))
    assert caught.value.field == field


@pytest.mark.parametrize(
    ("fields", "field"),
    [({"roi": ("1,2,3,4",)}, "roi"), ({"roi": "1,2,3,4"}, "roi"), ({"target": 36}, "target")],
)
def test_fields_have_their_declared_types(fields, field):
    with pytest.raises(codec.UsageError) as caught:
        EncodeOptions(**fields)
    assert caught.value.field == field


def test_unknown_keywords_are_type_errors():
    for make in (EncodeOptions, EncodeOptions.of, codec.Encoder):
        with pytest.raises(TypeError, match="qualty"):
            make(qualty=5)


def test_there_is_a_case_for_every_option():
    assert set(CASES) == {"quality", *EncodeKeywords.__annotations__}
    targets = {name for name in CASES if name.startswith("target_")}
    assert {f.name for f in dataclasses.fields(EncodeOptions)} == set(CASES) - targets | {"target"}


def test_flags_have_the_defaults_of_the_library():
    assert from_flags() == EncodeOptions() == EncodeOptions.of() == codec.Encoder().options


@pytest.mark.parametrize("name", CASES)
def test_flags_and_keywords_make_the_same_options(name):
    keywords, flags = CASES[name]
    options = EncodeOptions.of(**keywords)
    assert from_flags(*flags) == options != EncodeOptions()


def test_keywords_become_parsed_fields():
    options = EncodeOptions.of(20, roi=["1,2,3,4", "m.png:-5"], target_size="50kB", seconds=None)
    assert options == EncodeOptions(
        20,
        seconds=60,
        roi=(Region((1, 2, 3, 4), "", 30), Region(None, "m.png", -5)),
        target=Target("size", 50_000),
    )


@pytest.mark.parametrize("name", CASES)
def test_options_can_be_pickled_hashed_and_recorded(name):
    options = EncodeOptions.of(**CASES[name][0])
    again = pickle.loads(pickle.dumps(options))  # noqa: S301
    assert again == options
    assert hash(again) == hash(options)
    assert EncodeOptions.of(**json.loads(json.dumps(options.record()))) == options
    run = RunOptions(options, threads=3)
    assert pickle.loads(pickle.dumps(run)) == run  # noqa: S301


def test_options_are_frozen_and_checked_when_replaced():
    options = EncodeOptions(50)
    with pytest.raises(dataclasses.FrozenInstanceError):
        options.quality = 60
    assert dataclasses.replace(options, quality=60) == EncodeOptions(60)
    with pytest.raises(codec.UsageError, match="quality"):
        dataclasses.replace(options, quality=-1)


@pytest.mark.parametrize(
    "text", ["1,2,3,4", "1,2,3,4:+30", "1,2,3,4:-0.25", "m.png", "C:\\m.png:+7", "a:+5:+30", "m.0"]
)
def test_regions_round_trip_as_text(text):
    (region,) = EncodeOptions.of(roi=text).roi
    assert EncodeOptions.of(roi=str(region)).roi == (region,)


def test_encoder_from_options_equals_encoder_from_keywords(photo):
    keywords = {"lossless": False, "strip": True, "effort": 1, "roi": "0,0,60,60", "target_psnr": 33}
    picture = photo(150, 140)
    plain = codec.Encoder(60, threads=2, **keywords)
    made = codec.Encoder.of(EncodeOptions.of(60, **keywords), threads=2)
    assert (made.options, made.rate_index, made.threads) == (plain.options, plain.rate_index, plain.threads)
    assert made.encode(picture) == plain.encode(picture) == codec.compress(picture, 60, **keywords)
    again = pickle.loads(pickle.dumps(made))  # noqa: S301
    assert (again.options, again.threads) == (made.options, 2)


@pytest.mark.parametrize(
    ("flags", "hint"),
    [
        (["--target-size", "big"], "--target-size"),
        (["--target-ssim", "1.5"], "--target-ssim"),
        (["--roi", "1,2,0,4"], "--roi"),
        (["--lossless", "--target-psnr", "36"], "--lossless"),
    ],
)
def test_command_line_names_the_flag_at_fault(flags, hint):
    with pytest.raises(click.BadParameter) as caught:
        from_flags(*flags)
    assert f"Invalid value for '{hint}'" in caught.value.format_message()


def test_targets_exclude_each_other_as_flags():
    with pytest.raises(codec.UsageError, match="exclude each other"):
        from_flags("--target-psnr", "36", "--target-ssim", "0.9")
