"""Relational representation distillation: the student relates an image to many others as the teacher does."""


