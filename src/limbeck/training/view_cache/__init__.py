"""The exact view cache: a frozen teacher computes each view of each image once, for all later uses.

A folder `views/KEY` of limbeck's cache belongs to a teacher (weights, code, attributes, how it computes), an
augmentation with finitely many views, and a shape of images, never to a set of images. It holds:

- `index.bin`: 16 bytes for each image that was ever in a transfer set: a hash of its pixels, and of its id where views
  depend on ids. The position is the image's *row*. It is only appended to, under a lock.
- `OUTPUT-CODEC.bin`: records of one size, values and a CRC-32. Record `row x distinct + draw` holds the output for view
  number `draw` of an image. The CRC starts from image and view, so that a record is never taken for another image's,
  whatever happened to either file. The file is sparse: it takes only the space of the views that were shown.
- `about.json`: what `limbeck cache ls` shows. `OUTPUT-topK-DTYPE-error.json`: the error of keeping only top logits.

So subsets, joined and growing sets, other pools with the same images, other seeds, students and objectives, resumed
runs and concurrent processes share the outputs; and damaged records read as unknown.
"""
