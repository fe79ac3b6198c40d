"""Frozen encoders: files written by `torch.export.save`, whose features a method compares.

A hyper-parameter of type `EncoderFile` is the path of such a file. In a run's identity, the sha256 of the content
replaces the path.
"""

import hashlib
import logging
import re
from collections.abc import Mapping
from functools import lru_cache
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from pydantic import AfterValidator

from srkd_bench.config.base import Params
from srkd_bench.core.errors import MissingError, SrkdError
from srkd_bench.methods import sources
from srkd_bench.networks.class_import import trusted
from srkd_bench.networks.pretrained import checksum

if TYPE_CHECKING:
    import torch
    from torch import Tensor, nn

SUFFIX = ".pt2"
_KNOWN = re.compile(r"([0-9a-f]{64})\.pt2")
_WRITTEN = (
    "torch.export.save(torch.export.export(module, (images,), dynamic_shapes=…), 'encoder.pt2') writes one"
)


def _found(value: str) -> str:
    """Return a file's content as `<sha256>.pt2`, and remember its path; the empty text stands for no file."""
    if not value or _KNOWN.fullmatch(value):
        return value
    if not value.endswith(SUFFIX):
        raise ValueError(f"must be a {SUFFIX} file of torch.export, not {value[:80]!r}")
    path = Path(value).expanduser()
    if not path.is_file():
        raise MissingError(f"no encoder file '{value}'", _WRITTEN)
    sha256 = checksum(path)
    sources.know([sources.Source(SUFFIX, value, sha256, path.absolute(), b"", "", trusted())])
    return f"{sha256}{SUFFIX}"


# Type of a hyper-parameter, with the default "" for none.
EncoderFile = Annotated[str, AfterValidator(_found)]


def resolved(params: Mapping[str, Params], *, optional: bool = False) -> dict[str, Params]:
    """Return parameters in which the path of each encoder is replaced by its content.

    Args:
        optional: leave out files that are missing.
    Raises:
        MissingError: a file is missing.
    """
    found: dict[str, Params] = {}
    for method, values in params.items():
        found[method] = {}
        for name, value in values.items():
            try:
                is_file = isinstance(value, str) and value.endswith(SUFFIX)
                found[method][name] = _found(str(value)) if is_file else value
            except MissingError:
                if not optional:
                    raise
    return found


def source_of(value: object) -> sources.Source | None:
    """Return the source of a parameter that `resolved` gave; None if it is not an encoder.

    Raises:
        MissingError: this process does not know the file.
    """
    known = _KNOWN.fullmatch(value) if isinstance(value, str) else None
    try:
        return sources.seen(SUFFIX, known[1]) if known else None
    except MissingError:
        raise MissingError(
            f"the file of encoder {value} is not known here", "name it as in the suite"
        ) from None


class Encoder:
    """An encoder on a device. Its weights are constant; gradients pass through it to the images.

    Args:
        where: the file, for messages.
    """

    def __init__(self, module: "nn.Module", where: str) -> None:
        self._module, self._where = module.requires_grad_(False), where

    def __call__(self, images: "Tensor") -> "tuple[Tensor, ...]":
        """Return the features of images.

        Args:
            images: (N, 3, H, W) in [0, 1].
        Returns:
            The module's output: one tensor (N, ...) or several.
        """
        features = self._module(images)
        return tuple(features) if isinstance(features, list | tuple) else (features,)

    def check(self, images: "Tensor") -> "tuple[Tensor, ...]":
        """Return the features of images if the encoder takes them, in batches of any size, with gradient.

        Raises:
            SrkdError: it does not.
        """
        import torch

        shape = "×".join(map(str, images.shape))
        hint = "export it for any number of images, with a gradient: dynamic_shapes=({0: torch.export.Dim.AUTO},)"
        images = images.detach().requires_grad_()
        try:
            features, single = self(images), self(images[:1])
        except Exception as error:  # an exported module raises errors of many types
            said = " ".join(str(error).split())[:200]
            raise SrkdError(
                f"encoder '{self._where}' cannot be applied to {shape} images: {said}", hint
            ) from error
        if not all(isinstance(one, torch.Tensor) and one.is_floating_point() for one in (*features, *single)):
            raise SrkdError(f"encoder '{self._where}' does not return tensors of features", _WRITTEN)
        if not all(one.requires_grad for one in (*features, *single)):
            raise SrkdError(f"encoder '{self._where}' gives its input no gradient", hint)
        return features


@lru_cache(maxsize=4)
def load(name: str, device: "torch.device") -> Encoder:
    """Return the encoder of a parameter of type `EncoderFile`; all methods of a process share it.

    Raises:
        SrkdError: the file is not one of torch.export, has changed, or is not trusted: loading one can run code.
    """
    import torch
    from torch.export.passes import move_to_device_pass

    source = source_of(name)
    if source is None or source.path is None:
        raise SrkdError("no encoder file is given", _WRITTEN)
    if not (source.allowed or trusted()):
        raise SrkdError(
            f"loading encoder '{source.where}' can run code that its author wrote",
            f"if you trust it: {sources.trusting()}",
        )
    try:
        content = source.path.read_bytes()
    except OSError as error:
        raise SrkdError(f"cannot read encoder '{source.where}': {error.strerror}") from None
    if hashlib.sha256(content).hexdigest() != source.sha256:
        raise SrkdError(f"encoder '{source.where}' has changed in the meantime", "run the same command again")
    log = logging.getLogger("torch.export")  # it prints the traces of its readers
    disabled, log.disabled = log.disabled, True
    try:
        program = move_to_device_pass(torch.export.load(BytesIO(content)), str(device))
    except Exception:  # its readers raise errors of many types
        raise SrkdError(f"'{source.where}' is not a file that torch.export.save wrote", _WRITTEN) from None
    finally:
        log.disabled = disabled
    return Encoder(program.module(), source.where)
