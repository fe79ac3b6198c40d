"""Standard output and error: no encoding, closed pipe or full disk ends a command."""

from __future__ import annotations

import errno
import io
import os
import sys
from typing import TYPE_CHECKING, TextIO

from srkd_bench.report.formats.glyphs import PLAIN

if TYPE_CHECKING:
    from _typeshed import ReadableBuffer


class _Descriptor(io.FileIO):
    """A file descriptor that leads to the null device after the first error.

    A reader that has closed its pipe, as `head` does, has read enough: the command finishes its work and ends with
    the exit code that it would have had. Any other error is kept in `problem`.
    """

    problem: OSError | None = None

    def write(self, data: ReadableBuffer) -> int:
        try:
            return super().write(data)
        except OSError as error:
            closed = isinstance(error, BrokenPipeError) or (os.name == "nt" and error.errno == errno.EINVAL)
            if not closed:
                self.problem = error
            with open(os.devnull, "wb") as sink:  # noqa: PTH123
                os.dup2(sink.fileno(), self.fileno())
            return len(memoryview(data).cast("B"))


def guard() -> None:
    """Make standard output and error accept every character, and survive closed pipes and full disks."""
    sys.stdout, sys.stderr = _guarded(sys.stdout), _guarded(sys.stderr)


def problem_of_output() -> OSError | None:
    """Write what is buffered; return why standard output could not be written, if it could not."""
    sys.stdout.flush()
    sys.stderr.flush()
    raw = _raw(sys.stdout)
    return raw.problem if isinstance(raw, _Descriptor) else None


def write_file(text: str) -> None:
    """Write the content of a file to standard output: always UTF-8, with bytes of file names as they are."""
    sys.stdout.flush()
    sys.stdout.buffer.write(text.encode("utf-8", "surrogateescape"))
    sys.stdout.buffer.flush()


def _guarded(stream: TextIO | None) -> TextIO:
    if stream is None:  # the process was started with a closed descriptor
        return open(os.devnull, "w", encoding="utf-8")  # noqa: PTH123
    if type(raw := _raw(stream)) is io.FileIO and isinstance(stream, io.TextIOWrapper):
        stream.flush()
        descriptor = _Descriptor(raw.fileno(), "wb", closefd=False)
        unbuffered = stream.buffer is raw
        return io.TextIOWrapper(
            descriptor if unbuffered else io.BufferedWriter(descriptor),
            encoding=stream.encoding,
            errors=PLAIN,
            line_buffering=stream.line_buffering,
            write_through=stream.write_through,
        )
    if isinstance(stream, io.TextIOWrapper):
        stream.reconfigure(errors=PLAIN)
    return stream


def _raw(stream: TextIO) -> object:
    buffer = getattr(stream, "buffer", None)
    return getattr(buffer, "raw", buffer)
