import pytest
import torch
from torch import nn

from limbeck.data.image_set import ImageSet
from limbeck.errors import UserError
from limbeck.evaluation import evaluating, predict


def test_equals_one_plain_forward_pass(make_classifier, images):
    classifier = make_classifier().eval()
    with torch.no_grad():
        expected = classifier(images.tensor()).logits
    logits = predict(classifier, images)
    assert logits.dtype == torch.float32
    assert not logits.is_inference()
    torch.testing.assert_close(logits, expected)


def test_batch_size_changes_nothing(make_classifier, images):
    classifier = make_classifier()
    whole = predict(classifier, images)
    torch.testing.assert_close(predict(classifier, images, batch_size=7), whole, rtol=1e-5, atol=1e-6)


def test_bf16_is_near_fp32(make_classifier, images):
    classifier = make_classifier()
    torch.testing.assert_close(
        predict(classifier, images, precision="bf16"), predict(classifier, images), rtol=0.05, atol=0.05
    )


def test_modes_and_state_come_back_untouched(make_classifier, images):
    classifier = make_classifier().train()
    classifier.network[1].eval()  # a frozen part inside a training network
    modes = [part.training for part in classifier.modules()]
    state = {name: tensor.clone() for name, tensor in classifier.state_dict().items()}
    predict(classifier, images, precision="bf16")
    assert [part.training for part in classifier.modules()] == modes
    for name, tensor in classifier.state_dict().items():
        assert torch.equal(tensor, state[name])
    assert all(parameter.grad is None for parameter in classifier.parameters())


def test_modes_come_back_after_an_error():
    module = nn.Dropout()
    with pytest.raises(RuntimeError, match="boom"), evaluating(module):
        raise RuntimeError("boom")
    assert module.training


def test_progress_counts_images(make_classifier, images):
    counts: list[int] = []
    predict(make_classifier(), images, batch_size=12, progress=counts.append)
    assert counts == [12, 12, 6]


def test_nan_in_weights_is_named(make_classifier, images):
    classifier = make_classifier()
    with torch.no_grad():
        classifier.network[5].weight[0, 0] = float("nan")
    with pytest.raises(UserError, match=r"not finite for 30 of 30 images of 'tiny' \(first: id 5\)"):
        predict(classifier, images)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"batch_size": 0}, "`batch_size` must be >= 1, got 0"),
        ({"precision": "fp23"}, "unknown precision 'fp23'; did you mean 'fp32'"),
    ],
)
def test_wrong_arguments(make_classifier, images: ImageSet, arguments, message):
    with pytest.raises(UserError, match=message):
        predict(make_classifier(), images, **arguments)
