"""The published formulas once more, image by image and weight by weight, without hooks, views or torch's optimisers."""

from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from limbeck.models.classifier import Classifier
from limbeck.transfer.generate.networks import draw_latents
from limbeck.transfer.generate.settings import GenerateSettings


class SlowAdam:
    """Kingma and Ba, algorithm 1."""

    def __init__(self, rates: list[float], betas: tuple[float, float]) -> None:
        self.rates, self.betas, self.count = rates, betas, 0
        self.first: list[Any] = [0.0] * len(rates)
        self.second: list[Any] = [0.0] * len(rates)

    def step(self, weights: list[Tensor], gradients: list[Tensor]) -> None:
        self.count += 1
        beta1, beta2 = self.betas
        with torch.no_grad():
            for place, (weight, gradient) in enumerate(zip(weights, gradients, strict=True)):
                self.first[place] = beta1 * self.first[place] + (1 - beta1) * gradient
                self.second[place] = beta2 * self.second[place] + (1 - beta2) * gradient**2
                mean = self.first[place] / (1 - beta1**self.count)
                spread = (self.second[place] / (1 - beta2**self.count)) ** 0.5
                weight -= self.rates[place] * mean / (spread + 1e-8)


def answers(classifier: Classifier, images: Tensor) -> tuple[Tensor, Tensor, list[tuple[Tensor, Tensor]]]:
    """Logits, embedding, and mean and biased variance in front of every batch norm."""
    mean, std = (torch.tensor(statistic)[:, None, None] for statistic in classifier.normalisation)
    x, moments, embedding = (images - mean) / std, [], images
    for layer in classifier.network:  # pyright: ignore[reportGeneralTypeIssues]
        if isinstance(layer, nn.BatchNorm2d):
            pixels = x.permute(1, 0, 2, 3).flatten(1)
            average = pixels.sum(1) / pixels.shape[1]
            moments.append((average, ((pixels - average[:, None]) ** 2).sum(1) / pixels.shape[1]))
        if isinstance(layer, nn.Linear):
            embedding = x
        x = layer(x)
    return x, embedding, moments


def view(image: Tensor, draw: int, padding: int) -> Tensor:
    """A view of one image [C, H, W], by its number: flip x rows x columns."""
    offsets = 2 * padding + 1
    flip, top, left = draw // offsets**2, draw % offsets**2 // offsets, draw % offsets
    height, width = image.shape[1:]
    padded = nn.functional.pad(image, (padding,) * 4)[:, top : top + height, left : left + width]
    return padded.flip(2) if flip else padded


class Slow:
    """Calls of a method, from the network, settings and draws of a synthesiser that made none yet.

    Attributes:
        network: as it is after the calls so far.
        kept: images [B, C, H, W] in [0, 1] of the last call.
    """

    def __init__(self, settings: GenerateSettings, teacher: Classifier, student: Classifier, network: Any) -> None:
        self.settings, self.teacher, self.student, self.network = settings, teacher, student, network
        self.memory: list[tuple[Tensor, Tensor]] = []
        self.adam: SlowAdam | None = None
        count = len(list(network.parameters()))
        rate = settings.meta_rate or settings.learning_rate * settings.inner_steps
        self.meta = SlowAdam([rate] * count, settings.betas)

    def losses(self, images: Tensor, views: Tensor, labels: Tensor | None) -> dict[str, Tensor]:
        settings = self.settings
        logits, embedding, moments = answers(self.teacher, views)
        others, _, _ = answers(self.student, views)
        labels = logits.argmax(1) if labels is None else labels
        self.found, count = moments, len(logits)
        norms = [module for module in self.teacher.modules() if isinstance(module, nn.BatchNorm2d)]
        m, distance = settings.momentum, torch.zeros(())
        for place, (norm, pair) in enumerate(zip(norms, moments, strict=True)):
            old = self.memory[place] if self.memory else None
            mean, var = pair if old is None else (m * was + (1 - m) * now for was, now in zip(old, pair, strict=True))
            distance = distance + ((var - norm.running_var) ** 2).sum() ** 0.5  # pyright: ignore
            distance = distance + ((mean - norm.running_mean) ** 2).sum() ** 0.5  # pyright: ignore
        p, q = ((outputs / settings.adversarial_temperature).softmax(1) for outputs in (logits, others))
        disagreement = torch.zeros(())
        for row in range(count):
            disagreement = disagreement + self.disagreement(p[row], q[row], logits[row], others[row]) / count
        average = logits.softmax(1).mean(0)
        mean, std = (torch.tensor(statistic)[:, None, None] for statistic in self.teacher.normalisation)
        x = (images - mean) / std
        shifts = [(0, 1), (1, 0), (1, 1)]
        pairs = [(x[..., a:, b:], x[..., : x.shape[2] - a, : x.shape[3] - b]) for a, b in shifts]
        pairs.append((x[..., 1:, :-1], x[..., :-1, 1:]))
        return {
            "batch_norm": distance,
            "one_hot": -logits.log_softmax(1)[torch.arange(count), labels].mean(),
            "adversarial": -disagreement,
            "activation": -embedding.abs().mean(),
            "balance": (average * average.log()).sum(),
            "total_variation": sum((first - second).abs().mean() for first, second in pairs),  # pyright: ignore
            "l2": (x**2).sum((1, 2, 3)).sqrt().mean(),
        }

    def disagreement(self, p: Tensor, q: Tensor, logits: Tensor, others: Tensor) -> Tensor:
        form = self.settings.adversarial
        if form == "l1":
            return (logits - others).abs().mean()
        if form == "js-clamped":
            p, q, mixture = (probabilities.clamp(0.01, 0.99) for probabilities in (p, q, (p + q) / 2))
            return ((mixture * (mixture / p).log()).sum() + (mixture * (mixture / q).log()).sum()) / 2
        if form == "js":
            mixture = (p + q) / 2
            return ((p * (p / mixture).log()).sum() + (q * (q / mixture).log()).sum()) / 2
        if form == "kl-where-equal" and logits.argmax() != others.argmax():
            return 0 * logits.sum()
        return (p * (p / q).log()).sum() * self.settings.adversarial_temperature**2

    def call(self, number: int, labels: Tensor | None, draws: list[Tensor], padding: int) -> dict[str, float]:
        """The means of losses of the last step, which is kept."""
        settings, count = self.settings, len(draws[0])
        draw_of = partial(draw_latents, self.network, count if labels is None else labels, seed=0, call=number)
        working = [parameter.detach().clone().requires_grad_() for parameter in self.network.parameters()]
        names = [name for name, _ in self.network.named_parameters()]
        free = settings.optimise != "generator"
        latents = draw_of().requires_grad_() if free else None
        weights = [*working, *([] if latents is None else [latents])]
        latent_rate = settings.latent_rate or settings.learning_rate
        rates = [settings.learning_rate] * len(working) + [latent_rate if working else settings.learning_rate]
        adam = SlowAdam(rates[: len(weights)], settings.betas) if free or settings.meta != "none" else self.adam
        adam = adam or SlowAdam(rates[: len(weights)], settings.betas)
        collected = [torch.zeros_like(tensor) for tensor in working]
        losses: dict[str, Tensor] = {}
        for step, draw in enumerate(draws):
            z = draw_of(step) if latents is None else latents
            images = torch.func.functional_call(self.network, dict(zip(names, working, strict=True)), (z, labels))
            views = torch.stack([view(image, int(which), padding) for image, which in zip(images, draw, strict=True)])
            losses = self.losses(images, views, labels)
            weighted = [weight * losses[loss] for loss, weight in settings.losses.model_dump().items() if weight]
            self.kept = images.detach()
            gradients = torch.autograd.grad(sum(weighted), weights)  # pyright: ignore
            for place in range(len(working)):
                collected[place] = gradients[place] + (collected[place] if settings.meta == "fomaml" else 0)
            adam.step(weights, list(gradients))
        self.adam = None if free or settings.meta != "none" else adam
        self.end(working, collected)
        return {loss: losses[loss].item() for loss, weight in settings.losses.model_dump().items() if weight}

    def end(self, working: list[Tensor], collected: list[Tensor]) -> None:
        parameters = list(self.network.parameters())
        if self.settings.meta == "reptile":
            collected = [67 * (old.detach() - new.detach()) for old, new in zip(parameters, working, strict=True)]
        if self.settings.meta != "none":
            self.meta.step(parameters, collected)
        else:
            with torch.no_grad():
                for parameter, weight in zip(parameters, working, strict=True):
                    parameter.copy_(weight)
        moments = [tuple(part.detach() for part in pair) for pair in self.found]
        m = self.settings.momentum
        mixed = [
            tuple(m * was + (1 - m) * now for was, now in zip(old, new, strict=True))
            for old, new in zip(self.memory, moments, strict=False)
        ]
        self.memory = mixed or moments  # pyright: ignore
