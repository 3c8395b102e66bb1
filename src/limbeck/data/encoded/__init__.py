"""From encoded images, wherever they lie, to an `ImageSet`: columns of tables or files, decoding, one shape for all."""
