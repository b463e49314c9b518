"""The resolver: bytes in, the decision asked, bytes out."""
