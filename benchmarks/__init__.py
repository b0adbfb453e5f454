"""What a model is worth: its accuracy on photographs with masks, its time per image, and reports of both."""
