"""The CUPS server: aiohttp and TLS around the core."""
