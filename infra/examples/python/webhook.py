#!/usr/bin/env python3
"""Is told events: verifies each webhook, refuses copies that come late, and takes each event once.

SECRET is that of an endpoint whose URL leads to this program, at PORT. Without it the program makes an endpoint, has an
event sent to it, and removes it again: that works as it stands while `cargo local` runs. Needs Python 3.10.
"""

import base64
import hmac
import json
import os
import threading
import time
import urllib.request
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

API = os.environ.get("API", "http://127.0.0.1:3000")
TOKEN = os.environ.get("TOKEN", "pbk_8d0a1c526b1e4f0e9a3b2c6f6f1f3a10_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA")
SECRET = os.environ.get("SECRET")
PORT = int(os.environ.get("PORT", "0"))

TOLERANCE = 300  # seconds that a timestamp may be away; what is older may have been recorded and sent again
LARGEST = 1_000_000  # bytes of a body


class Unverified(Exception):
    """A request that this service has not sent, or not now."""


def verify(secret, headers, body, now):
    """Returns the event of a webhook, or raises Unverified. `body` is the bytes as they came."""
    event_id, timestamp = headers.get("webhook-id", ""), headers.get("webhook-timestamp", "")
    if not timestamp.isdecimal() or abs(now - int(timestamp)) > TOLERANCE:
        raise Unverified("the timestamp is too far away")

    key = base64.b64decode(secret.removeprefix("whsec_"))
    digest = hmac.digest(key, f"{event_id}.{timestamp}.".encode() + body, "sha256")
    expected = b"v1," + base64.b64encode(digest)

    # There are two while a secret is being replaced.
    signatures = headers.get("webhook-signature", "").encode().split(b" ")
    if not any([hmac.compare_digest(signature, expected) for signature in signatures]):
        raise Unverified("no signature is good")
    return json.loads(body)


class Receiver(BaseHTTPRequestHandler):
    taken = set()  # in your database, and written in one transaction with what the event changes
    lock = threading.Lock()
    secret = SECRET
    tried_out = threading.Event()

    def do_POST(self):
        length = int(self.headers.get("Content-Length", "0"))
        if length > LARGEST:
            return self.answer(413)

        try:
            event = verify(self.secret, self.headers, self.rfile.read(length), time.time())
        except Unverified as fault:
            print("refused", fault, flush=True)
            return self.answer(400)

        # An event may come twice, and its id is the same then.
        with self.lock:
            if event["id"] not in self.taken:
                print("told", event["type"], event["id"], flush=True)
                self.taken.add(event["id"])

        self.answer(204)
        if event["type"] == "endpoint.test":
            self.tried_out.set()

    def answer(self, status):
        self.send_response(status)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_):
        pass


def call(method, path, body=None):
    headers = {"Authorization": f"Bearer {TOKEN}", "Content-Type": "application/json"}
    content = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(f"{API}/api/v1/webhook_endpoints{path}", content, headers, method=method)
    with urllib.request.urlopen(request, timeout=30) as answer:
        return json.loads(answer.read() or "null")


def try_out(url):
    """Makes an endpoint, has an event sent to it, and removes it."""
    endpoint = call("POST", "", {"url": url, "events": ["endpoint.test"]})
    Receiver.secret = endpoint["secret"]
    try:
        call("POST", f"/{endpoint['id']}/test")
        if not Receiver.tried_out.wait(timeout=60):
            raise TimeoutError("no event came")
    finally:
        call("DELETE", f"/{endpoint['id']}")


def main():
    server = ThreadingHTTPServer(("127.0.0.1", PORT), Receiver)
    url = f"http://127.0.0.1:{server.server_port}/"
    threading.Thread(target=server.serve_forever, daemon=not SECRET).start()
    print("listening", url, flush=True)
    if not SECRET:
        try_out(url)


if __name__ == "__main__":
    main()
