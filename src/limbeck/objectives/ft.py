"""Factor transfer: a paraphraser condenses the teacher's stage, a translator makes the same out of the student's."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from limbeck.errors import UserError
from limbeck.models.layers import batch_normed
from limbeck.objectives.checks import check_choice, check_count, check_positive
from limbeck.objectives.objective import FORMS, PREPARING, Objective, Preparation
from limbeck.objectives.setup import Setup, Unbuilt
from limbeck.objectives.stages import Stages, attention, one_stage, same_size

_SLOPE = 0.1  # of the leaky ReLUs


def ft(student_factor: Tensor, teacher_factor: Tensor, *, power: int = 2, norm: int = 1) -> Tensor:
    """The mean of |f_s - f_t|^norm, f being the mean over channels of the factor's powers, scaled to length 1.

    Args:
        student_factor: [B, C, H, W], from the translator.
        teacher_factor: [B, C, H', W'], from the paraphraser; receives no gradient. The larger is pooled.
        power: of the factors, >= 1.
        norm: of the differences, >= 1.

    Source: Kim, Park and Kwak, "Paraphrasing complex network: network compression via factor transfer", NeurIPS 2018.

    Example:
        >>> ft(torch.ones(1, 2, 2, 2), torch.eye(2).expand(1, 3, 2, 2))
        tensor(0.3536)
    """
    student, teacher = same_size(student_factor, teacher_factor.detach())
    return (attention(student, power) - attention(teacher, power)).abs().pow(norm).mean()


def whole_factors(student_factor: Tensor, teacher_factor: Tensor, *, norm: int = 1) -> Tensor:
    """The mean of |f_s - f_t|^norm, f being all numbers of an image's factor, scaled to length 1.

    Args:
        student_factor: [B, C, H, W], from the translator.
        teacher_factor: [B, C, H', W'], from the paraphraser; receives no gradient. The larger is pooled.
        norm: of the differences, >= 1.

    Source: as for `ft`; the mean, and not the sum, as in https://github.com/Jangho-Kim/Factor-Transfer-pytorch.

    Example:
        >>> whole_factors(torch.ones(1, 1, 2, 2), torch.eye(2).expand(1, 1, 2, 2))
        tensor(0.3536)
    """
    student, teacher = same_size(student_factor, teacher_factor.detach())
    return (F.normalize(student.flatten(1)) - F.normalize(teacher.flatten(1))).abs().pow(norm).mean()


def encoder(inputs: int, outputs: int, *, norm: bool) -> nn.Sequential:
    """Three 3x3 convolutions with leaky ReLUs, and batch norm where asked for."""
    layers: list[nn.Module] = []
    for before, after in ((inputs, inputs), (inputs, outputs), (outputs, outputs)):
        layers += [nn.Conv2d(before, after, 3, 1, 1), nn.BatchNorm2d(after) if norm else nn.Identity()]
        layers.append(nn.LeakyReLU(_SLOPE, inplace=True))
    return nn.Sequential(*layers)


class Paraphraser(nn.Module):
    """An autoencoder of the teacher's stage; what its encoder makes is the factor."""

    def __init__(self, channels: int, factors: int) -> None:
        super().__init__()
        self.encoder = encoder(channels, factors, norm=False)
        layers: list[nn.Module] = []
        for before, after in ((factors, factors), (factors, channels), (channels, channels)):
            layers += [nn.ConvTranspose2d(before, after, 3, 1, 1), nn.Identity(), nn.LeakyReLU(_SLOPE, inplace=True)]
        self.decoder = nn.Sequential(*layers)

    def forward(self, stage: Tensor) -> Tensor:
        """The stage, rebuilt from its factor."""
        return self.decoder(self.encoder(stage))


class Translator(nn.Module):
    """Makes the factor out of the student's stage."""

    def __init__(self, channels: int, factors: int, *, norm: bool = True) -> None:
        super().__init__()
        self.encoder = encoder(channels, factors, norm=norm)

    def forward(self, stage: Tensor) -> Tensor:
        for layer in self.encoder:
            stage = batch_normed(layer, stage) if isinstance(layer, nn.BatchNorm2d) else layer(stage)
        return stage


class FT(Objective):
    """Factor transfer at the deepest stage; before, the paraphraser alone learns to rebuild the teacher's stage.

    In the form of the CRD "benchmark" (RepDistiller) the loss is `ft`, of the factors' mean powers over channels, the
    translator has batch norm, and rebuilding is judged by squared differences. In that of the "authors" the loss is
    `whole_factors`, of every number of the factors, as in the paper, the translator has no batch norm, and rebuilding
    is judged by absolute differences; published with weight 500 and 6 epochs of preparing before 164.

    Args:
        factors: channels of the factor as a share of the teacher's, > 0.
        power: as for `ft`, of the benchmark's form.
        norm: of the differences, >= 1.
        stage: which; -1, the deepest, as published.
        preparing: share of the run's steps in which the paraphraser learns; 0 <= share < 1, and with 0 it stays
            random.
        preparing_rate: share of the learning rate that it learns at, > 0. As published at a rate of 0.01 for students
            of the families ResNet and WideResNet, which is a fifth of theirs, and at the student's own for others; the
            authors' is 1.
        form: "benchmark" or "authors".

    Source: https://github.com/HobbitLong/RepDistiller (the benchmark),
    https://github.com/Jangho-Kim/Factor-Transfer-pytorch (the authors).
    """

    def __init__(
        self,
        *,
        factors: float = 0.5,
        power: int = 2,
        norm: int = 1,
        stage: int = -1,
        preparing: float = PREPARING,
        preparing_rate: float = 0.2,
        form: str = "benchmark",
    ) -> None:
        super().__init__()
        check_positive("factors", factors)
        check_count("power", power)
        check_count("norm", norm)
        check_positive("preparing_rate", preparing_rate)
        check_choice("form", form, FORMS)
        if form == "authors" and power != 2:
            raise UserError(f"`power` belongs to `form: benchmark`, got {power} with `form: authors`; leave it out.")
        self.factors = factors
        self.power, self.norm = power, norm
        self.stage = stage
        self.form = form
        self.paraphraser: nn.Module = Unbuilt()
        self.translator: nn.Module = Unbuilt()
        self.preparation = Preparation(self.rebuild, preparing, rate=preparing_rate)

    def build(self, setup: Setup) -> None:
        student = one_stage("ft", setup.student.stages, self.stage, "student").shape[1]
        teacher = one_stage("ft", setup.teacher.stages, self.stage, "teacher").shape[1]
        exact = teacher * self.factors
        factors = max(1, round(exact) if self.form == "authors" else int(exact))
        self.paraphraser = Paraphraser(teacher, factors)
        self.translator = Translator(student, factors, norm=self.form == "benchmark")

    def rebuild(self, teacher_stages: Stages) -> Tensor:
        """Mean squared (of the authors: absolute) error of the paraphraser's copy of the teacher's stage."""
        stage = teacher_stages[self.stage].detach()
        error = F.l1_loss if self.form == "authors" else F.mse_loss
        return error(self.paraphraser(stage), stage)

    def forward(self, student_stages: Stages, teacher_stages: Stages) -> Tensor:
        with torch.no_grad():
            factor = self.paraphraser.get_submodule("encoder")(teacher_stages[self.stage])
        translated = self.translator(student_stages[self.stage])
        if self.form == "authors":
            return whole_factors(translated, factor, norm=self.norm)
        return ft(translated, factor, power=self.power, norm=self.norm)
