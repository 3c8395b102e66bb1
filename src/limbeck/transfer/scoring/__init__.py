"""What is seen of images, and how much each is worth by it."""
