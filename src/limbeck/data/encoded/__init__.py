"""From encoded images, wherever they lie, to an `ImageSet`: cells of tables and files, decoding, one shape for all."""
