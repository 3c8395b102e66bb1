"""The exact view cache: a frozen teacher is asked once for each view of each image, whoever needs the output later.

A folder `views/KEY` of limbeck's cache belongs to a teacher (weights, code, attributes, how it computes), an
augmentation with finitely many views, and a shape of images; never to a set of images. In it:

- `index.bin`: 16 bytes for each image that was ever of a transfer set: a hash of its pixels, and of its id where views
  hang on ids. The position is the image's *row*. It is only appended to, under a lock.
- `OUTPUT-CODEC.bin`: records of one size, values and a CRC-32. Record `row x distinct + draw` holds the output for view
  number `draw` of an image. The CRC starts from image and view, so that a record never passes for another image's,
  whatever happened to either file. The file is sparse: it takes the room of the views that were shown.
- `about.json`: what `limbeck cache ls` shows. `OUTPUT-topK-DTYPE-error.json`: what keeping the largest logits cost.

So subsets, joined and growing sets, other pools with the same pictures, other seeds, students and objectives, resumed
runs and several processes at once share what is known; and what is damaged reads as unknown.
"""
