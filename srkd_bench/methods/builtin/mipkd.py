"""Mixture of priors (MiPKD): mix features of student and teacher at random; either network continues from them."""

from dataclasses import dataclass
from typing import Annotated

import torch
import torch.nn.functional as F
from pydantic import Field
from torch import Tensor, nn

from srkd_bench.methods.base import PIXEL_LOSSES, Factor, Losses, Method, PixelLoss, Step, Weight
from srkd_bench.methods.features import channel_statistics, sample_features


@dataclass(frozen=True)
class MiPKD(Method):
    """Both networks' features are encoded, mixed at random and decoded, at each level.

    Feature prior mixer: a small CNN each encodes the features of student and teacher. Every element of the mixture
    is drawn from one of the two codes. It is decoded and compared with the teacher's features (`feature`).
    Block prior mixer: drawn for each level, the student or the teacher continues from the decoded mixture to an SR,
    which is compared with the teacher's (`block`). The SRs of both networks are compared too (`response`).
    Two auto-encoders a level, of the student's features and of the teacher's, train the CNNs alone (`autoencoder`).

    A step costs about ten of the student's own in the demo, besides the teacher's forward pass: the layers after
    1/3, 2/3 and 3/3 of the blocks are run again, by the teacher half of the time, forwards and backwards. A foreign
    network runs whole forward passes for that.

    Deviation: the paper's weights of HR, `response`, `feature` and `block` are 1, 1, 1 and 0.1, in L1, which are
    `weight: 1.0` and `train.loss: l1`.
    Deviation: features are far from unit scale in EDSR; each channel of teacher and untrained student is
    standardised by its mean and deviation over 64 fixed training patches, and restored before a network continues.
    Reading: there is no public code, and the paper's equations were not at hand. Its abstract, its reviews and a
    summary describe the two mixers and the loss weights, but not what follows.
    Reading: each CNN is two 3×3 convolutions around a ReLU, with as many channels in the code as the student's
    features have (`width`).
    Reading: the levels are after 1/3, 2/3 and 3/3 of the blocks (`levels`). The mask of channels × height × width,
    the paper's random 3-D mask, is drawn for each level and shared by all images; half of it is the student's
    (`ratio`). The student continues half of the time.
    Reading: a network continues to its end from each level's mixture, which gives one SR a level.
    Reading: a second decoder gives the mixture the student's channels where the student continues. Its auto-encoder
    has the same weight as the teacher's and as `feature`.
    Default: 0.005 for features, 1 and 0.1 as in the paper for the SRs and blocks. The gradient share of the paper's
    1 for features is 13 and 44 after 10 and 25 % of 400 steps of the demo, which has MSE: standardised features
    differ by about 1, pixels by 0.001. In proportion that of 0.005 is 0.07 and 0.22. That of `block` is 0.17 and
    0.20, and that of `response` 1.0, as HKD's.

    Args:
        weight: of `feature` and `autoencoder`.
        block: weight of `block`.
        response: weight of `response`.
        loss: the distance between two SRs.
        levels: number of depths.
        ratio: probability that an element of the mixture is the student's.
        width: channels of the codes; 0 for those of the student's features.
        adapter_rate: factor on the learning rate of encoders and decoders.
    """

    kind = "feature"
    source = "Li et al., ICLR 2025, arXiv:2404.02573"
    formula = (
        r"\mathcal{L} = \ell(S, y) + w_r\, d(S, T) + \sum_l \left(w L_l + b\, d(R_l, T)\right)",
        r"L_l = \operatorname{MAE}(D_T(M_l), \hat{F}^T_l) + A_l",
        r"M_l = m_l \odot E_S(\hat{F}^S_l) + (1 - m_l) \odot E_T(\hat{F}^T_l)",
    )
    symbols = (
        "w_r: parameter `response`",
        "b: parameter `block`",
        r"\hat{F}^S_l: features of the student, standardised",
        r"\hat{F}^T_l: features of the teacher, standardised",
        "E_S: encoder of the student's features",
        "E_T: encoder of the teacher's features",
        "D_T: decoder to the teacher's features",
        "m_l: random mask, 1 with probability `ratio`",
        "R_l: the SR that student or teacher, drawn at random, computes from the decoded mixture",
        "A_l: error of the auto-encoders, which trains only them",
    )
    needs = ("sr", "features", "network")
    taps = (1 / 3, 2 / 3, 1.0)
    resumes = ("student", "teacher")
    beside = ("autoencoder",)
    never_zero = "features pass through encoders and decoders, which are random at first"

    weight: Weight = 0.005
    block: Weight = 0.1
    response: Weight = 1.0
    loss: PixelLoss = "mse"
    levels: Annotated[int, Field(ge=1, le=8)] = 3
    ratio: Annotated[float, Field(gt=0, le=1)] = 0.5
    width: Annotated[int, Field(ge=0, le=4096)] = 0
    adapter_rate: Factor = 1.0

    def __post_init__(self) -> None:
        """Set the taps."""
        taps = tuple((level + 1) / self.levels for level in range(self.levels))
        object.__setattr__(self, "taps", taps)  # not a field of the frozen dataclass

    def adapter(self, teacher: nn.Module | None, student: nn.Module, lr: Tensor) -> nn.Module:
        """Return the mixers, from shallow to deep."""
        assert teacher is not None
        guided, hints = (sample_features(network, lr, self.taps) for network in (student, teacher))
        width = self.width or guided[self.taps[0]].shape[1]
        return nn.ModuleList(Mixer(guided[tap], hints[tap], width) for tap in self.taps)

    def losses(self, step: Step, adapter: nn.Module) -> Losses:
        """Return `rec`, `response`, and `feature`, `autoencoder` and `block`, summed over the levels."""
        from_student = torch.randint(2, (self.levels,), generator=step.generator).bool().tolist()
        levels = [
            self._level(step, mixer, tap, continues)
            for mixer, tap, continues in zip(adapter.children(), self.taps, from_student, strict=True)
        ]
        feature, autoencoder, block = (torch.stack(terms).sum() for terms in zip(*levels, strict=True))
        return {
            "rec": step.rec,
            "response": self.response * PIXEL_LOSSES[self.loss](step.student.sr, step.teacher.sr),
            "feature": self.weight * feature,
            "autoencoder": self.weight * autoencoder,
            "block": self.block * block,
        }

    def _level(
        self, step: Step, mixer: nn.Module, tap: float, student: bool
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Return the losses of a level: of the feature prior mixer, the auto-encoders and the block prior mixer.

        Args:
            student: whether the student continues from the mixture; otherwise the teacher.
        """
        assert isinstance(mixer, Mixer)
        guided, hint = mixer.student(step.student.feats[tap]), mixer.teacher(step.teacher.feats[tap])
        code = mixer.mixture(guided, hint, self.ratio, step.generator)
        feature = F.l1_loss(mixer.teacher.decoder(code), hint)
        autoencoder = mixer.student.error(guided.detach()) + mixer.teacher.error(hint)
        if student:
            sr = step.resume(tap, mixer.student.restored(code))
        else:
            sr = step.teacher.resume(tap, mixer.teacher.restored(code))
        return feature, autoencoder, PIXEL_LOSSES[self.loss](sr, step.teacher.sr)


class Mixer(nn.Module):
    """The auto-encoders of a level, which share their codes' space.

    Args:
        guided, hint: samples of the student's and of the teacher's features, (N, C, h, w).
        width: channels of the codes.
    """

    def __init__(self, guided: Tensor, hint: Tensor, width: int) -> None:
        super().__init__()
        self.student, self.teacher = Autoencoder(guided, width), Autoencoder(hint, width)

    def mixture(self, guided: Tensor, hint: Tensor, ratio: float, generator: torch.Generator) -> Tensor:
        """Return a code (N, width, h, w) of elements of both networks' codes, chosen alike for all images.

        Args:
            guided, hint: standardised features of student and teacher.
            ratio: probability that an element is the student's.
        """
        own, other = self.student.encoder(guided), self.teacher.encoder(hint)
        mask = torch.rand(own.shape[1:], generator=generator) < ratio
        return torch.where(mask.to(own.device, non_blocking=True), own, other)


class Autoencoder(nn.Module):
    """An encoder and a decoder of a network's features, each of two 3×3 convolutions around a ReLU.

    Args:
        sample: of the features, (N, C, h, w), whose channels' means and deviations standardise them.
    """

    mean: Tensor
    deviation: Tensor

    def __init__(self, sample: Tensor, width: int) -> None:
        super().__init__()
        mean, deviation = channel_statistics(sample)
        self.register_buffer("mean", mean)
        self.register_buffer("deviation", deviation)
        channels = sample.shape[1]
        self.encoder, self.decoder = _coder(channels, width, width), _coder(width, width, channels)

    def forward(self, features: Tensor) -> Tensor:
        """Standardise features (N, C, h, w)."""
        return (features - self.mean) / self.deviation

    def restored(self, code: Tensor) -> Tensor:
        """Return the features (N, C, h, w) of a code (N, width, h, w), in the network's own range."""
        features: Tensor = self.decoder(code) * self.deviation + self.mean
        return features

    def error(self, standardised: Tensor) -> Tensor:
        """Return the mean absolute difference that encoding and decoding makes to standardised features."""
        return F.l1_loss(self.decoder(self.encoder(standardised)), standardised)


def _coder(inputs: int, width: int, outputs: int) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(inputs, width, 3, padding=1), nn.ReLU(), nn.Conv2d(width, outputs, 3, padding=1)
    )
