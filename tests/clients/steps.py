"""What the Python programs here have in common: the system's addresses and keys, and a line for each step."""

import os
import urllib.request

KEY = os.environ["TOKEN"]
CHAT = os.environ["CONVERSATION"]
SPENT_KEY = os.environ["SPENT_TOKEN"]
SPENT_CHAT = os.environ["SPENT_CONVERSATION"]


def api():
    return os.environ["API"]


def step(name):
    """Runs the function that it decorates, and prints how it ended."""

    def run(function):
        try:
            function()
            print(name, "ok", flush=True)
        except Exception as error:
            text = " ".join(f"{type(error).__name__}: {error}".split())
            print(name, text[:500], flush=True)

    return run


def put(url, headers, content):
    """Brings an announced file."""
    request = urllib.request.Request(url, content, headers, method="PUT")
    with urllib.request.urlopen(request, timeout=60) as answer:
        assert answer.status == 200, answer.status
