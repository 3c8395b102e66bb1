"""A network as a pure function of one vector of all its parameters."""

from copy import deepcopy

import torch
from torch import Tensor, nn
from torch.func import functional_call
from torch.nn.utils import parameters_to_vector, vector_to_parameters

from limbeck.errors import UserError
from limbeck.memory import keep_freed_memory
from limbeck.models.classifier import Classifier
from limbeck.transfer.condense.double_backward import for_two_gradients


class FlatNetwork:
    """A network whose parameters are passed in as one vector, in the order in which the network lists them.

    It computes in evaluation mode, so that equal parameters and inputs give equal results. Neither the given classifier
    nor any buffer is ever written.

    Args:
        classifier: its architecture is used; its weights do not matter.

    Raises:
        UserError: the network keeps running statistics (batch norm), which are no parameters, or has no parameters.

    Example:
        >>> network = FlatNetwork(lb.create("convnet_d3", num_classes=10, input_size=8, width=4))
        >>> start = network.vector(network.classifier)
        >>> network.logits(start, torch.zeros(2, 3, 8, 8)).shape, start.shape == (network.size,)
        (torch.Size([2, 10]), True)
    """

    def __init__(self, classifier: Classifier) -> None:
        keep_freed_memory()
        self.classifier = deepcopy(classifier).eval()
        self._network = deepcopy(self.classifier.network)
        # Without whitening, whose matrices are not needed here: inputs are normalised already.
        self._computing = Classifier(
            self._network,
            num_classes=classifier.num_classes,
            channels=classifier.channels,
            taps=classifier.taps,
            config=classifier.config,
        )
        for name, module in self._network.named_modules():
            if getattr(module, "running_mean", None) is not None:
                raise UserError(
                    f"`network` {classifier.name!r} cannot be one vector of parameters: {name!r} "
                    f"({type(module).__name__}) also remembers statistics of what it saw; take a network without batch "
                    "norm, as convnet_d3 with `norm` instance, group, layer or none."
                )
        for_two_gradients(self._network)
        self._shapes = {name: parameter.shape for name, parameter in self._network.named_parameters()}
        self._sizes = [shape.numel() for shape in self._shapes.values()]
        self.size = sum(self._sizes)
        if self.size == 0:
            raise UserError(f"`network` {classifier.name!r} has no parameters, so nothing of it can be learned.")

    @property
    def num_classes(self) -> int:
        return self.classifier.num_classes

    def to(self, device: torch.device) -> "FlatNetwork":
        """Moves its buffers to `device`, where vectors and inputs must be, too; returns itself."""
        self.classifier.to(device)
        self._computing.to(device)
        return self

    def vector(self, module: nn.Module) -> Tensor:
        """A copy of all parameters `[P]` of a classifier or network of the same kind.

        Raises:
            UserError: its parameters have other names or shapes.
        """
        network = module.network if isinstance(module, Classifier) else module
        if {name: parameter.shape for name, parameter in network.named_parameters()} != self._shapes:
            raise UserError(
                f"`module` must have the parameters of {self.classifier.name!r}, {self.size:,} in all, got a "
                f"{type(network).__name__} with {sum(parameter.numel() for parameter in network.parameters()):,}; were "
                "its options or classes others?"
            )
        return parameters_to_vector(network.parameters()).detach().clone()

    def logits(self, theta: Tensor, inputs: Tensor) -> Tensor:
        """Logits `[B, K]` of normalised inputs `[B, C, H, W]` at parameters `[P]`."""
        return functional_call(self._network, self._state(theta), (inputs,))

    def features(self, theta: Tensor, inputs: Tensor) -> Tensor:
        """Input of the classifier head `[B, D]`; for a ConvNet all of its last map."""
        with self._computing.tapping(("embedding",)) as recorder:
            embedding = recorder.take(self.logits(theta, inputs), ("embedding",)).embedding
        assert embedding is not None
        return embedding

    def load(self, theta: Tensor) -> Classifier:
        """A new classifier with these parameters `[P]`, in evaluation mode."""
        self._check(theta)
        classifier = deepcopy(self.classifier).to(theta.device)
        # Parameters become views of the vector they are taken from, so it is a copy.
        vector_to_parameters(theta.detach().clone(), classifier.network.parameters())
        return classifier

    def _state(self, theta: Tensor) -> dict[str, Tensor]:
        self._check(theta)
        parts = theta.split(self._sizes)
        state = {name: part.view(shape) for (name, shape), part in zip(self._shapes.items(), parts, strict=True)}
        for name, buffer in self._network.named_buffers():
            if buffer.is_floating_point() and buffer.dtype != theta.dtype:
                state[name] = buffer.to(theta.dtype)
        return state

    def _check(self, theta: Tensor) -> None:
        if theta.shape != (self.size,):
            raise UserError(
                f"`theta` must hold the {self.size:,} parameters of {self.classifier.name!r} in one vector, got shape "
                f"{list(theta.shape)}."
            )
