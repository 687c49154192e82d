"""A cell as C source: it compiles without a warning, and holds the bytes where the engine may read them."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from deployers.conversion.c_object import c_header, c_source
from deployers.exceptions import InputError

WARNINGS = ["-Wall", "-Wextra", "-Wconversion", "-Werror", "-pedantic"]
MAIN = """
#include <stdint.h>
#include <stdio.h>
#include "NAME.h"
int main(void)
{
    if ((uintptr_t)NAME % 16u != 0u) {
        return 1;
    }
    return fwrite(NAME, 1, NAME_len, stdout) == NAME_len ? 0 : 2;
}
"""


def written(folder: Path, file: bytes, name: str) -> list[str]:
    (folder / f"{name}.h").write_text(c_header(name))
    (folder / f"{name}.c").write_text(c_source(file, name))
    (folder / "main.c").write_text(MAIN.replace("NAME", name))
    return [str(folder / f"{name}.c"), str(folder / "main.c")]


@pytest.mark.parametrize("standard", ["c99", "c11", "gnu17"])
@pytest.mark.parametrize("name", ["model", "kitchen_2"])
def test_it_compiles_and_holds_the_bytes(forms, tmp_path: Path, standard: str, name: str) -> None:
    file = forms["gru"].files["int8"]
    sources = written(tmp_path, file, name)
    subprocess.run(["gcc", f"-std={standard}", *WARNINGS, *sources, "-o", str(tmp_path / "program")], check=True)
    assert subprocess.run([tmp_path / "program"], check=True, capture_output=True).stdout == file


def test_it_compiles_for_the_microcontroller_into_read_only_memory(forms, tmp_path: Path) -> None:
    source, _ = written(tmp_path, forms["gru"].files["int8"], "model")
    target = ["arm-none-eabi-gcc", "-mcpu=cortex-m7", "-std=c99", *WARNINGS, "-c", source, "-o", f"{tmp_path}/model.o"]
    subprocess.run(target, check=True)
    sections = subprocess.run(["arm-none-eabi-nm", f"{tmp_path}/model.o"], check=True, capture_output=True, text=True)
    assert sorted(line.split()[1:] for line in sections.stdout.splitlines() if "$" not in line) == [
        ["R", "model"], ["R", "model_len"],
    ]  # fmt: skip


@pytest.mark.parametrize("length", [1, 11, 12, 13, 25])
def test_every_byte_is_written_once(length: int) -> None:
    file = bytes(range(256))[-length:]
    source = c_source(file)
    assert source.count("0x") == length
    assert f"model_len = {length};" in source
    assert ",\n}" not in source


@pytest.mark.parametrize("name", ["", "2nd", "with space", "a-b", "x;", "naïve!"])
def test_a_name_that_c_does_not_know_is_refused(name: str) -> None:
    with pytest.raises(InputError, match="is no C identifier: give letters, digits and underscores"):
        c_header(name)
    with pytest.raises(InputError, match="is no C identifier"):
        c_source(b"x", name)


def test_an_empty_model_is_refused() -> None:
    with pytest.raises(InputError, match="a model of 0 bytes has no C source"):
        c_source(b"")
