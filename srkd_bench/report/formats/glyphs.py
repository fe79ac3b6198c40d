"""ASCII substitutes for the characters that a terminal's encoding lacks."""

import codecs

PLAIN = "srkd.plain"  # the name of the error handler, for `open`, `encode` and `reconfigure`
GLYPHS = {
    "−": "-",
    "–": "-",
    "—": "-",
    "‑": "-",
    "─": "-",
    "±": "+/-",
    "×": "x",
    "÷": "/",
    "·": ".",
    "…": "...",
    "¹": "^1",
    "²": "^2",
    "³": "^3",
    "∇": "grad ",
    "‖": "||",
    "✓": "ok",
    "✗": "failed",
}


def fitted(text: str, encoding: str) -> str:
    """Return the text as a stream of this encoding shows it, so that columns can be aligned."""
    return text if text.isascii() else text.encode(encoding, PLAIN).decode(encoding)


def _plain(error: UnicodeError) -> tuple[str, int]:
    """Return what stands for characters that cannot be encoded: a substitute, or their code in ASCII."""
    if not isinstance(error, UnicodeEncodeError):
        raise error
    characters = error.object[error.start : error.end]
    return "".join(GLYPHS.get(one) or ascii(one)[1:-1] for one in characters), error.end


codecs.register_error(PLAIN, _plain)
