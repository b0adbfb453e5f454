from .fixture import testbed

__all__ = ["testbed"]
