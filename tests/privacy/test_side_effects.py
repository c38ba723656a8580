"""vaezip and its libraries open no connection and write nothing but the requested outputs."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from PIL import Image

import codec

PROGRAM = Path(__file__).with_name("long_process.py")
# If one of these is set, some libraries turn their telemetry off, and the test would prove nothing.
QUIET = re.compile(
    "CI$|TF_BUILD|GITHUB_|GITLAB_|CIRCLECI|TRAVIS|JENKINS_|CODEBUILD_|BUILDKITE|TEAMCITY_|APPVEYOR|BITBUCKET_|"
    "SYSTEM_TEAM|ORT_|DO_NOT_TRACK|MPLCONFIGDIR|TORCHINDUCTOR_|VAEZIP_"
)
FOLDERS = {
    "HOME": "home", "XDG_CACHE_HOME": "cache", "XDG_CONFIG_HOME": "config", "XDG_DATA_HOME": "data",
    "XDG_STATE_HOME": "state", "TMPDIR": "tmp",
}  # fmt: skip
CALLS = "connect,sendto,open,openat,creat,mkdir,mkdirat,rename,renameat,renameat2,link,symlink"


@pytest.fixture
def environment(tmp_path):
    """The environment of a new user: all folders that programs usually write to are empty."""
    kept = {k: v for k, v in os.environ.items() if not QUIET.match(k)}
    for folder in FOLDERS.values():
        (tmp_path / folder).mkdir()
    (tmp_path / "work").mkdir()
    return {
        **kept,
        **{variable: str(tmp_path / folder) for variable, folder in FOLDERS.items()},
        "PYTHONPATH": str(Path(codec.__file__).parents[1]),
        "PYTHONDONTWRITEBYTECODE": "1",
    }


@pytest.fixture(scope="module")
def tracer():
    """The start of a command line that runs under strace; empty if strace does not work here."""
    command = ["strace", "--follow-forks", "--seccomp-bpf", "--quiet=all", f"--trace={CALLS}"]
    if shutil.which("strace") and subprocess.run([*command, "true"], capture_output=True).returncode == 0:
        return command
    return []


def left(folder):
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*"))


def test_process_opens_no_connection_and_writes_only_outputs(environment, tracer, tmp_path, photo, request):
    seconds = request.config.getoption("--life")
    trace, picture = tmp_path / "trace", tmp_path / "photo.png"
    Image.fromarray(photo(96, 64)).save(picture)
    command = [*tracer, *([f"--output={trace}"] if tracer else []), sys.executable, str(PROGRAM)]
    done = subprocess.run(
        [*command, str(picture), str(seconds)],
        capture_output=True, text=True, env=environment, cwd=tmp_path / "work", timeout=200 + 2 * seconds,
    )  # fmt: skip
    assert (done.returncode, done.stderr) == (0, "")
    for folder in FOLDERS.values():
        assert left(tmp_path / folder) == []
    made = left(tmp_path / "work")
    assert made[0] == "out"
    assert all(name.startswith("out/") for name in made[1:])
    assert "out/one.png" in made
    if tracer:
        assert foreign(trace.read_text().splitlines(), tmp_path) == []


def foreign(calls, tmp_path):
    """Return the system calls that connect, or change files outside the working and temporary folders."""
    # Linux shows semaphores, which are shared memory, as files.
    allowed = ("out", str(tmp_path / "work"), str(tmp_path / "tmp"), "/dev/null", "/dev/shm/sem.")  # noqa: S108
    found = []
    for call in calls:
        if "(" not in call or re.search(r"= -1 E[A-Z]+|resumed>", call):
            continue
        name = call.partition("(")[0].split()[-1]
        if name.startswith("open") and not re.search(r"O_WRONLY|O_RDWR|O_CREAT", call):
            continue
        named = re.findall(r'"([^"]*)"', call)
        if name in ("connect", "sendto") or not all(path.startswith(allowed) for path in named):
            found.append(call)
    return found


@pytest.mark.parametrize(("chosen", "kept"), [(None, "1"), ("", "1"), ("0", "0"), ("true", "true")])
def test_users_telemetry_setting_is_kept(environment, tmp_path, chosen, kept):
    """CI=1 keeps onnxruntime from reporting during this test even if telemetry is enabled."""
    pytest.importorskip("onnxruntime")
    code = (
        "import os, sys, codec.inference.onnx_backend\n"
        "print('onnxruntime' in sys.modules, os.environ['ORT_DISABLE_TELEMETRY'])"
    )
    settings = {} if chosen is None else {"ORT_DISABLE_TELEMETRY": chosen}
    done = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True, text=True, env={**environment, "CI": "1", **settings}, cwd=tmp_path / "work",
    )  # fmt: skip
    assert (done.stdout, done.stderr) == (f"True {kept}\n", "")
