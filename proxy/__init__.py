"""The web proxy: mitmproxy embedded, the decision asked before anything is fetched; fails closed."""
