#!/usr/bin/env python3
"""Sends a message with a file, follows it, and reads the conversation page by page.

Works as it stands while `cargo local` runs; API, CONVERSATION and TOKEN name another system.
Needs Python 3.10 and httpx.
"""

import os
import random
import sys
import time
import uuid

import httpx

API = os.environ.get("API", "http://127.0.0.1:3000")
CONVERSATION = os.environ.get("CONVERSATION", "6f1c1f0e-3a57-4a39-9a55-6c1e7bb7d1a4")
TOKEN = os.environ.get("TOKEN", "pbk_8d0a1c526b1e4f0e9a3b2c6f6f1f3a10_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA")

ATTEMPTS = 6
client = httpx.Client(
    base_url=f"{API}/api/v1/conversations/{CONVERSATION}",
    headers={"Authorization": f"Bearer {TOKEN}"},
    timeout=30,
)


class Refused(Exception):
    """The service refused a request; decide by `problem["code"]`."""

    def __init__(self, problem):
        super().__init__(f"{problem['code']}: {problem['detail']}")
        self.problem = problem


def call(method, path, **request):
    """Makes a request, and repeats it while there is no answer that settles it."""
    for attempt in range(1, ATTEMPTS + 1):
        wait = random.uniform(0, 2**attempt)
        try:
            response = client.request(method, path, **request)
            if response.status_code != 429 and response.status_code < 500:
                break
            wait = max(wait, int(response.headers.get("Retry-After", 0)))
        except httpx.TransportError:
            if attempt == ATTEMPTS:
                raise
        if attempt < ATTEMPTS:
            time.sleep(wait)

    if response.headers.get("Content-Type") == "application/problem+json":
        raise Refused(response.json())
    return response.raise_for_status().json()


def upload(name, content, content_type):
    """Uploads a file into the conversation; larger ones than 4 MiB are announced instead."""
    return call("POST", "/upload", files={"file": (name, content, content_type)})


def send(content, attachments=(), key=None):
    """Sends a message, once however often it is repeated: all attempts have one key."""
    return call(
        "POST",
        "/messages",
        headers={"Idempotency-Key": key or str(uuid.uuid4())},
        json={"content": content, "attachments": [{"url": file["url"]} for file in attachments]},
    )


def follow(message_id, seconds=60):
    """Reads a message until it has arrived or failed."""
    until = time.monotonic() + seconds
    while True:
        delivery = call("GET", f"/messages/{message_id}")["delivery"]
        if delivery["status"] in ("delivered", "read", "failed") or time.monotonic() > until:
            return delivery
        time.sleep(1)


def messages():
    """Reads all messages of the conversation, oldest first."""
    query = {"limit": 100}
    while True:
        page = call("GET", "/messages", params=query)
        yield from page["messages"]
        query["after"] = page["next"]  # kept, it brings later exactly what has come since
        if not page["has_more"]:
            return


def main():
    file = upload("order.txt", b"Two pairs of shoes, brown.\n", "text/plain")
    print("uploaded", file["url"])
    sent = send("This is what we packed.", [file])
    print("sent", sent["id"])
    print("status", follow(sent["id"])["status"])
    for message in messages():
        print(message["created_at"], message["content"])


if __name__ == "__main__":
    try:
        main()
    except Refused as refused:
        sys.exit(str(refused))
