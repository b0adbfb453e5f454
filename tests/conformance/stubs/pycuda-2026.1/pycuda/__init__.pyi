__version__: str
VERSION_TEXT: str
