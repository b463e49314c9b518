"""What a person reads when a site cannot be reached or a request is none: mitmproxy's messages in our words. Pure."""

from proxy.answer import Answer, bare_page
from proxy.reach import INNER_ADDRESS

NOT_DECIDED = "Schoolgate: no decision let this through"
BAD_CERTIFICATE = "Certificate verify failed"  # how mitmproxy's message begins
TOO_OLD = ("cannot agree on a TLS version", "unsupported protocol", "alert protocol version", "wrong version number")


def failure(status: int, message: str) -> Answer:
    """The page for a failure."""
    if BAD_CERTIFICATE in message:
        words = (
            "This site could not prove who it is",
            (
                "Its certificate is out of date, made for another name, or signed by nobody we trust, so it stays closed. "
                "Your own browser would have warned you too. Tell a member of staff if you need this site."
            ),
        )
    elif any(each in message for each in TOO_OLD):
        words = (
            "This site is not secure enough",
            "It speaks only old kinds of encryption that browsers refuse as well, so it stays closed.",
        )
    elif INNER_ADDRESS in message or NOT_DECIDED in message:
        words = ("This address cannot be opened", "It leads to an inner network and not to a site on the internet.")
    elif status >= 500:
        words = ("This site did not answer", "It may be switched off or very busy. Please try again in a few minutes.")
    else:
        words = ("This request could not be understood", "The filter passes on only what it can read.")
    return bare_page(status, *words)
