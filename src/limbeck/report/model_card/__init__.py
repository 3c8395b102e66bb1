"""The model card of a run's student: README.md in the format of the Hugging Face hub."""

from limbeck.report.model_card.card import CARD_FILE, is_own, model_card, write_model_card, write_model_cards
from limbeck.report.model_card.licences import meant_licence

__all__ = ["CARD_FILE", "is_own", "meant_licence", "model_card", "write_model_card", "write_model_cards"]
