"""The child process: whatever becomes of it is told in one line, and nothing is left behind."""

from __future__ import annotations

import json
import logging
import os
import shutil
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from deployers.conversion.converter import CHILD, Process, convert
from deployers.exceptions import ConversionError


def child(code: str, timeout: float = 30) -> Process:
    return Process((sys.executable, "-c", code), timeout)


def attempt(tmp_path: Path, process: Process, stages: list[str] | None = None) -> str:
    with pytest.raises(ConversionError) as caught:
        convert(tmp_path, tmp_path, ["int8"], (stages if stages is not None else []).append, process)
    assert caught.value.exit_code == 7
    assert "\n" not in str(caught.value)
    return str(caught.value)


SAY = 'import os, signal, sys, time; print(\'{"stage": "int8"}\', flush=True); '


def test_a_crash_in_the_middle_is_told_with_its_signal_and_stage(tmp_path: Path) -> None:
    stages: list[str] = []
    crash = child(SAY + "os.kill(os.getpid(), signal.SIGSEGV)")
    assert attempt(tmp_path, crash, stages) == (
        "the converter crashed with SIGSEGV at stage 'int8': run again with --debug for its last lines"
    )
    assert stages == ["int8"]


def test_a_real_converter_that_is_shot_is_a_crash(release: Path, tmp_path: Path) -> None:
    """The child kills itself where TensorFlow would crash: while it is imported."""
    said: list[str] = []
    code = (
        "import os, signal, sys\n"
        "class Crash:\n"
        "    def find_spec(self, name, *_):\n"
        "        if name == 'keras': os.kill(os.getpid(), signal.SIGSEGV)\n"
        "sys.meta_path.insert(0, Crash())\n"
        "from deployers.conversion.child import main\n"
        "sys.exit(main(sys.argv[1:]))\n"
    )
    with pytest.raises(ConversionError, match="crashed with SIGSEGV at stage 'TensorFlow'"):
        convert(release, tmp_path, ["int8"], said.append, child(code))
    assert said == ["TensorFlow"]
    assert list(tmp_path.iterdir()) == []


def test_a_crash_before_anything_was_said(tmp_path: Path) -> None:
    assert "crashed with SIGABRT at stage 'start'" in attempt(tmp_path, child("import os; os.abort()"))


@pytest.mark.parametrize(
    "code",
    [
        "os.kill(os.getpid(), signal.SIGKILL)",
        "raise MemoryError",
        "sys.stderr.write(\"terminate called after throwing an instance of 'std::bad_alloc'\\n\"); os.abort()",
        "import resource; resource.setrlimit(resource.RLIMIT_AS, (1 << 28, 1 << 28)); bytes(1 << 30)",
    ],
)
def test_a_lack_of_memory_is_told_as_one(tmp_path: Path, code: str) -> None:
    expected = "the converter ran out of memory at stage 'int8': free about 1 GB, or convert on another machine"
    assert attempt(tmp_path, child(SAY + code)) == expected


def test_a_child_that_hangs_is_stopped(tmp_path: Path) -> None:
    begun = time.monotonic()
    message = attempt(tmp_path, child(SAY + "time.sleep(60)", timeout=0.5))
    assert message.startswith("the converter took longer than 0.5 s at stage 'int8'")
    assert time.monotonic() - begun < 10


def test_an_interrupt_leaves_no_child_behind(tmp_path: Path) -> None:
    def interrupt(_: str) -> None:
        raise KeyboardInterrupt

    code = (
        SAY
        + f"open({str(tmp_path / 'pid')!r}, 'w').write(str(os.getpid())); "
        + 'print(\'{"stage": "x"}\', flush=True); time.sleep(60)'
    )
    seen: list[str] = []
    threads = set(threading.enumerate())

    def progress(stage: str) -> None:
        seen.append(stage)
        if stage == "x":
            interrupt(stage)

    with pytest.raises(KeyboardInterrupt):
        convert(tmp_path, tmp_path, ["int8"], progress, child(code))
    with pytest.raises(ProcessLookupError):
        os.kill(int((tmp_path / "pid").read_text()), 0)
    for thread in set(threading.enumerate()) - threads:
        thread.join(20)
        assert not thread.is_alive(), thread.name


def test_what_is_refused_on_purpose_keeps_its_words(tmp_path: Path) -> None:
    refusal = json.dumps({"error": "layers ['LSTM'] have no cell"})
    assert attempt(tmp_path, child(f"print({refusal!r}); raise SystemExit(7)")) == "layers ['LSTM'] have no cell"


def test_another_failure_is_told_with_its_code_and_its_last_lines(tmp_path: Path, caplog) -> None:
    caplog.set_level(logging.DEBUG, logger="deployers")
    message = attempt(tmp_path, child(SAY + "raise SystemError('what happened')"))
    assert message == "the converter ended with code 1 at stage 'int8': run again with --debug for its last lines"
    assert "what happened" in caplog.text


def test_what_tensorflow_prints_is_no_report(tmp_path: Path) -> None:
    stages: list[str] = []
    code = "print('not json'); print('{\"stage\": \"float32\"}'); print('[1'); raise SystemExit(3)"
    assert "code 3 at stage 'float32'" in attempt(tmp_path, child(code), stages)
    assert stages == ["float32"]


def test_the_files_are_read_back(tmp_path: Path) -> None:
    code = "import sys; [open(f'{sys.argv[2]}/cell_{t}.tflite', 'wb').write(t.encode()) for t in sys.argv[3:]]"
    files = convert(tmp_path, tmp_path, ["int8", "float32"], process=child(code))
    assert files == {"int8": b"int8", "float32": b"float32"}


def test_a_child_that_leaves_out_a_file_is_told(tmp_path: Path) -> None:
    message = attempt(tmp_path, child("pass"))
    assert message.startswith("the converter ended without 'cell_int8.tflite' (No such file")


def test_a_release_that_is_no_keras_model_ends_in_one_line(copied_release: Path, tmp_path: Path) -> None:
    (copied_release / "model.keras").write_bytes(b"no zip")
    out = tmp_path / "files"
    out.mkdir()
    with pytest.raises(ConversionError, match=r"^model\.keras of 'release' cannot be read \(.*\): fetch it again"):
        convert(copied_release, out, ["int8"])


def test_the_child_is_this_interpreters_module() -> None:
    done = subprocess.run([*CHILD[:-1], "deployers.conversion.nowhere"], capture_output=True, text=True, check=False)
    assert shutil.which(CHILD[0])
    assert "No module named deployers.conversion.nowhere" in done.stderr
