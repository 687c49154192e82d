"""A cell as C source, for builds that link the model in: what `xxd -i` writes, aligned and constant."""

from __future__ import annotations

import re

from deployers.exceptions import InputError

ALIGNMENT = 16  # of constants inside the file, which run in place
PER_LINE = 12
NAME = re.compile(r"[A-Za-z_]\w*")


def c_header(name: str = "model") -> str:
    """`model.h`: declares `NAME` and `NAME_len`.

    Raises:
        InputError: the name is no C identifier.
    """
    guard = f"{_identifier(name).upper()}_H"
    return (
        f"#ifndef {guard}\n#define {guard}\n\n"
        f"extern const unsigned char {name}[];\nextern const unsigned int {name}_len;\n\n#endif\n"
    )


def c_source(file: bytes, name: str = "model") -> str:
    """`model.c`: the bytes, aligned so that they can be run where they lie.

    Args:
        file: the .tflite file.
        name: C identifier of the array.

    Raises:
        InputError: the name is no C identifier, or the file is empty.
    """
    if not file:
        msg = f"a model of {len(file)!r} bytes has no C source: convert the release again"
        raise InputError(msg)
    lines = [
        "  " + ", ".join(f"0x{byte:02x}" for byte in file[at : at + PER_LINE]) for at in range(0, len(file), PER_LINE)
    ]
    body = ",\n".join(lines)
    return (
        f'#include "{_identifier(name)}.h"\n\n'
        "#if defined(__GNUC__)\n#define ALIGNED __attribute__((aligned("
        f"{ALIGNMENT})))\n#elif __STDC_VERSION__ >= 201112L\n#define ALIGNED _Alignas({ALIGNMENT})\n"
        "#else\n#error the model needs an alignment of 16 bytes: say how this compiler gives it\n#endif\n\n"
        f"ALIGNED const unsigned char {name}[] = {{\n{body}\n}};\nconst unsigned int {name}_len = {len(file)};\n"
    )


def _identifier(name: str) -> str:
    if not NAME.fullmatch(name):
        msg = f"{name!r} is no C identifier: give letters, digits and underscores"
        raise InputError(msg)
    return name
