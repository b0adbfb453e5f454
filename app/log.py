"""Warnings of this package, through `logging`."""

import logging

_warned: set[str] = set()


def warn_once(logger: logging.Logger, text: str) -> None:
    """Log `text` as a warning the first time it is given in this process."""
    if text not in _warned:
        _warned.add(text)
        logger.warning("%s", text)
