"""Runtime per image: how it is measured, what it is compared with, and a page that shows it."""
