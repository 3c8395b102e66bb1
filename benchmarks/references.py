"""The losses of the reference implementations, as functions of the signals that ours take.

Their code is imported from checkouts, never copied. Each entry of `LOSSES` names the repository and makes, for given
shapes, the modules to teach and a function from signals to the loss.
"""

import contextlib
import importlib
import os
import subprocess
import sys
import types
import warnings
from argparse import Namespace
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from limbeck.objectives import Setup

REPOSITORIES = {
    "RepDistiller": "HobbitLong/RepDistiller",
    "distillers": "giakoumoglou/distillers",
    "mdistiller": "megvii-research/mdistiller",
    "image_classification_sota": "hunto/image_classification_sota",
    "logit-standardization-KD": "sunshangquan/logit-standardization-KD",
    "SimKD": "DefangChen/SimKD",
    "EA-KD": "cpsu00/EA-KD",
}
"""Folder of a checkout, and where it comes from."""

Signals = Mapping[str, Any]


class Theirs(NamedTuple):
    """A loss of a reference: a function of the signals, and what learns beside the student."""

    loss: Callable[[Signals], Tensor]
    modules: tuple[nn.Module, ...] = ()


class Checkout:
    """Imports single files of a checkout, as what their package's `__init__` imports may not be installed."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def load(self, module: str) -> Any:
        """A module by its path from the checkout on, `crd/criterion`."""
        package, _, name = module.rpartition("/")
        alias = f"reference_{self.folder.name}_{package}".replace("/", "_").replace("-", "_")
        if alias not in sys.modules:
            parent = types.ModuleType(alias)
            parent.__path__ = [str(self.folder / package)]
            sys.modules[alias] = parent
        return importlib.import_module(f"{alias}.{name}")


def clone(name: str, temporary: Path) -> Path:
    """The folder of a fresh clone in `temporary`."""
    folder, address = temporary / name, f"https://github.com/{REPOSITORIES[name]}"
    command = ["git", "clone", "--quiet", "--depth", "1", address, str(folder)]
    if subprocess.run(command, env={**os.environ, "GIT_TERMINAL_PROMPT": "0"}, check=False).returncode:
        sys.exit(f"cannot clone {address}; offline, give a checkout: --reference PATH, its folder being {name!r}.")
    return folder


def without_cuda() -> None:
    """Lets code that calls `.cuda()` run where there is no GPU."""
    if not torch.cuda.is_available():
        torch.Tensor.cuda = lambda self, *_, **__: self  # pyright: ignore[reportAttributeAccessIssue]
        nn.Module.cuda = lambda self, *_, **__: self  # pyright: ignore[reportAttributeAccessIssue]
    warnings.simplefilter("ignore")
    # One of the references imports a name from it that it does not use.
    sys.modules.setdefault("turtle", types.SimpleNamespace(st=None))  # pyright: ignore[reportArgumentType]


def _kd(source: Checkout, setup: Setup) -> Theirs:
    loss = source.load("distiller_zoo/KD").DistillKL(4)
    return Theirs(lambda s: loss(s["student_logits"], s["teacher_logits"]))


def _fitnet(source: Checkout, setup: Setup) -> Theirs:
    loss = source.load("distiller_zoo/FitNet").HintLoss()
    regressor = source.load("models/util").ConvReg(setup.student.stages[2].shape, setup.teacher.stages[2].shape)
    return Theirs(lambda s: loss(regressor(s["student_stages"][2]), s["teacher_stages"][2]), (regressor,))


def _on_stages(file: str, name: str, first: int = 1) -> Callable[[Checkout, Setup], Theirs]:
    """Losses without parameters that give a list over stages."""

    def make(source: Checkout, setup: Setup) -> Theirs:
        loss = getattr(source.load(f"distiller_zoo/{file}"), name)()
        return Theirs(lambda s: _total(loss(s["student_stages"][first:], s["teacher_stages"][first:])))

    return make


def _total(losses: list[Tensor]) -> Tensor:
    return torch.stack([loss.sum() for loss in losses]).sum()


def _on_embeddings(file: str, name: str) -> Callable[[Checkout, Setup], Theirs]:
    def make(source: Checkout, setup: Setup) -> Theirs:
        loss = getattr(source.load(f"distiller_zoo/{file}"), name)()
        return Theirs(lambda s: loss(s["student_embedding"], s["teacher_embedding"]))

    return make


def _cc(source: Checkout, setup: Setup) -> Theirs:
    loss, embed = source.load("distiller_zoo/CC").Correlation(), source.load("models/util").LinearEmbed
    of_student, of_teacher = (embed(size, 128) for size in setup.embedding_sizes())
    modules = (of_student, of_teacher)
    return Theirs(lambda s: loss(of_student(s["student_embedding"]), of_teacher(s["teacher_embedding"])), modules)


def _vid(source: Checkout, setup: Setup) -> Theirs:
    loss = source.load("distiller_zoo/VID").VIDLoss
    pairs = zip(setup.student.stages[1:], setup.teacher.stages[1:], strict=True)
    losses = [loss(a.shape[1], b.shape[1], b.shape[1]) for a, b in pairs]

    def total(s: Signals) -> Tensor:
        parts = zip(losses, s["student_stages"][1:], s["teacher_stages"][1:], strict=True)
        return _total([criterion(a, b) for criterion, a, b in parts])

    return Theirs(total, tuple(losses))


def _ab(source: Checkout, setup: Setup) -> Theirs:
    students, teachers = setup.student.pre_activations[1:], setup.teacher.pre_activations[1:]
    loss = source.load("distiller_zoo/AB").ABLoss(len(students))
    shapes = [tensor.shape for tensor in students], [tensor.shape for tensor in teachers]
    connect = source.load("models/util").Connector(*shapes)

    def total(s: Signals) -> Tensor:
        return _total(loss(connect(s["student_pre_activations"][1:]), s["teacher_pre_activations"][1:]))

    return Theirs(total, (connect,))


def _ft(source: Checkout, setup: Setup) -> Theirs:
    loss, util = source.load("distiller_zoo/FT").FactorTransfer(), source.load("models/util")
    paraphraser = util.Paraphraser(setup.teacher.stages[-1].shape)
    translator = util.Translator(setup.student.stages[-1].shape, setup.teacher.stages[-1].shape)

    def total(s: Signals) -> Tensor:
        with torch.no_grad():
            factor = paraphraser(s["teacher_stages"][-1], is_factor=True)
        return loss(translator(s["student_stages"][-1]), factor)

    return Theirs(total, (translator, paraphraser.requires_grad_(False)))


def _fsp(source: Checkout, setup: Setup) -> Theirs:
    shapes = [[stage.shape for stage in side.stages] for side in (setup.student, setup.teacher)]
    loss = source.load("distiller_zoo/FSP").FSP(*shapes)
    return Theirs(lambda s: _total(loss(s["student_stages"], s["teacher_stages"])))


def _contrast_options(setup: Setup, **options: Any) -> Namespace:
    """What the contrastive losses read of a command line, at its defaults."""
    student, teacher = setup.embedding_sizes()
    defaults = {"feat_dim": 128, "nce_k": 16384, "nce_t": 0.07, "nce_m": 0.5, "nce_t_s": 0.1, "nce_t_t": 0.02}
    return Namespace(s_dim=student, t_dim=teacher, n_data=len(setup.ids), dataset="cifar100", **{**defaults, **options})


def _quietly(loss: Callable[..., Tensor]) -> Callable[..., Tensor]:
    """The loss without the normalisation that its first call prints."""

    def call(*given: Tensor) -> Tensor:
        with contextlib.redirect_stdout(None):
            return loss(*given).sum()

    return call


def _crd(source: Checkout, setup: Setup) -> Theirs:
    """With negatives that it draws itself, from all images, by its alias method."""
    loss = source.load("crd/criterion").CRDLoss(_contrast_options(setup))
    call = _quietly(loss)
    return Theirs(lambda s: call(s["student_embedding"], s["teacher_embedding"], s["ids"]), (loss,))


def _contrast(name: str, memory: str) -> Callable[[Checkout, Setup], Theirs]:
    def make(source: Checkout, setup: Setup) -> Theirs:
        module = source.load(f"cifar/distillers/{name}")
        loss = getattr(module, f"{name}Loss")(_contrast_options(setup, memory_type=memory))
        call = _quietly(loss)
        return Theirs(lambda s: call(s["student_embedding"], s["teacher_embedding"], s["ids"]), (loss,))

    return make


def _icd(source: Checkout, setup: Setup) -> Theirs:
    loss = source.load("cifar/distillers/DCD").DCDLoss(_contrast_options(setup))
    return Theirs(lambda s: loss(s["student_embedding"], s["teacher_embedding"]), (loss,))


def _itrd(source: Checkout, setup: Setup) -> Theirs:
    loss = source.load("cifar/distillers/ITRD").ITLoss(_contrast_options(setup))
    return Theirs(lambda s: loss(s["student_embedding"], s["teacher_embedding"]), (loss,))


def _ega(source: Checkout, setup: Setup) -> Theirs:
    loss = source.load("cifar/distillers/EGA").EGA()
    return Theirs(lambda s: loss(s["teacher_embedding"], s["student_embedding"]))


def _wsld(source: Checkout, setup: Setup) -> Theirs:
    loss = source.load("cifar/distillers/WSLD").WSLDLoss(_contrast_options(setup, nce_t=2.0))
    return Theirs(lambda s: loss(s["teacher_logits"], s["student_logits"], s["labels"]))


def _semckd(source: Checkout, setup: Setup) -> Theirs:
    loss = source.load("distiller_zoo/SemCKD").SemCKDLoss()
    channels = [[stage.shape[1] for stage in side.stages[1:]] for side in (setup.student, setup.teacher)]
    attention = source.load("models/util").SelfA(setup.batch_size, *channels, 1.0)

    def total(s: Signals) -> Tensor:
        return loss(*attention(s["student_stages"][1:], s["teacher_stages"][1:]))

    return Theirs(total, (attention,))


def _srrl(source: Checkout, setup: Setup) -> Theirs:
    student, teacher = setup.embedding_sizes()
    transfer, head, loss = source.load("models/util").SRRL(s_n=student, t_n=teacher), setup.frozen_head("srrl"), _mse

    def total(s: Signals) -> Tensor:
        embedding, logits = transfer(s["student_embedding"], head)
        return loss(embedding, s["teacher_embedding"]) + loss(logits, s["teacher_logits"])

    return Theirs(total, (transfer, head))


def _simkd(source: Checkout, setup: Setup) -> Theirs:
    student, teacher = setup.student.stages[-1].shape[1], setup.teacher.stages[-1].shape[1]
    transfer, head = source.load("models/util").SimKD(s_n=student, t_n=teacher), setup.frozen_head("simkd")

    def total(s: Signals) -> Tensor:
        stage, target, _ = transfer(s["student_stages"][-1], s["teacher_stages"][-1], head)
        return _mse(stage, target)

    return Theirs(total, (transfer, head))


_mse = nn.functional.mse_loss


def _dkd(source: Checkout, setup: Setup) -> Theirs:
    loss = source.load("mdistiller/distillers/DKD").dkd_loss
    return Theirs(lambda s: loss(s["student_logits"], s["teacher_logits"], s["labels"], 1.0, 8.0, 4.0))


def _dist(source: Checkout, setup: Setup) -> Theirs:
    loss = source.load("lib/models/losses/dist_kd").DIST(1.0, 1.0, 4.0)
    return Theirs(lambda s: loss(s["student_logits"], s["teacher_logits"]))


def _mlkd(source: Checkout, setup: Setup) -> Theirs:
    """Its three losses at its five temperatures, on one view as ours."""
    module = source.load("mdistiller/distillers/MLKD")
    losses = module.kd_loss, module.bc_loss, module.cc_loss

    def total(s: Signals) -> Tensor:
        logits = s["student_logits"], s["teacher_logits"]
        return _total([loss(*logits, temperature) for temperature in (4.0, 2.0, 3.0, 5.0, 6.0) for loss in losses])

    return Theirs(total)


def _ea_kd(source: Checkout, setup: Setup) -> Theirs:
    loss = source.load("mdistiller/distillers/KD").kd_loss
    bound = torch.tensor(100.0, device=setup.ids.device)
    return Theirs(lambda s: loss(s["student_logits"], s["teacher_logits"], 4.0, EA=True, H_ub=bound))


LOSSES: dict[str, tuple[str, Callable[[Checkout, Setup], Theirs]]] = {
    "kd": ("RepDistiller", _kd),
    "fitnet": ("RepDistiller", _fitnet),
    "at": ("RepDistiller", _on_stages("AT", "Attention")),
    "sp": ("RepDistiller", _on_stages("SP", "Similarity", first=-1)),
    "cc": ("RepDistiller", _cc),
    "vid": ("RepDistiller", _vid),
    "rkd": ("RepDistiller", _on_embeddings("RKD", "RKDLoss")),
    "pkt": ("RepDistiller", _on_embeddings("PKT", "PKT")),
    "ab": ("RepDistiller", _ab),
    "ft": ("RepDistiller", _ft),
    "fsp": ("RepDistiller", _fsp),
    "nst": ("RepDistiller", _on_stages("NST", "NSTLoss")),
    "crd": ("RepDistiller", _crd),
    "crd (queue)": ("distillers", _contrast("CRD", "fifo")),
    "icd": ("distillers", _icd),
    "rrd": ("distillers", _contrast("RRD", "fifo")),
    "rrd (momentum)": ("distillers", _contrast("RRD", "momentum")),
    "kdsvd": ("RepDistiller", _on_stages("KDSVD", "KDSVD")),
    "ega": ("distillers", _ega),
    "itrd": ("distillers", _itrd),
    "wsld": ("distillers", _wsld),
    "semckd": ("SimKD", _semckd),
    "srrl": ("SimKD", _srrl),
    "simkd": ("SimKD", _simkd),
    "dkd": ("mdistiller", _dkd),
    "dist": ("image_classification_sota", _dist),
    "mlkd": ("logit-standardization-KD", _mlkd),
    "ea_kd": ("EA-KD", _ea_kd),
}
"""Loss -> checkout, and what makes it; in brackets, the memory that is not the default one."""
