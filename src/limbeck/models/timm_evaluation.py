"""What sets evaluation here apart from timm's: crop and interpolation."""

from limbeck.models.classifier import Classifier


def evaluation_remark(network: Classifier) -> str:
    """How timm shows images to weights of its own in evaluation, where that is not as they are shown here; "" if it is.

    Example:
        >>> network = lb.create("timm:test_resnet", num_classes=10)
        >>> evaluation_remark(network).partition(";")[0]
        'timm evaluates timm:test_resnet on the central 0.95 of a side (`crop_pct`), resized bilinear'
    """
    published = getattr(network.network, "pretrained_cfg", None) or {}
    crop, interpolation = published.get("crop_pct") or 1.0, published.get("interpolation") or "bilinear"
    if crop == 1 and interpolation == "bilinear":
        return ""
    return (
        f"timm evaluates {network.name} on the central {crop:.3g} of a side (`crop_pct`), resized {interpolation}; "
        "here images are resized bilinearly and cropped no further than to the network's aspect, so that its accuracy "
        "may not be the published one"
    )
