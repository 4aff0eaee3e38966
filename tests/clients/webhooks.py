"""A library in another language, Standard Webhooks' own for Python, verifies what the local system sends to endpoints."""

import json
import os
import time
import urllib.request

import standardwebhooks

API = os.environ["API"]
SANDBOX = os.environ["SANDBOX"]
KEY = os.environ["TOKEN"]
CHAT = os.environ["CONVERSATION"]
PATIENCE = 60  # seconds, until the events have come


def call(method, url, body=None):
    headers = {"Authorization": f"Bearer {KEY}", "Content-Type": "application/json"}
    content = None if body is None else json.dumps(body).encode()
    with urllib.request.urlopen(urllib.request.Request(url, content, headers, method=method), timeout=60) as answer:
        return json.loads(answer.read() or "null")


def taken(receiver, count):
    """The requests that a receiver got, once there are so many."""
    until = time.monotonic() + PATIENCE
    while time.monotonic() < until:
        received = call("GET", f"{SANDBOX}/sandbox/receivers/{receiver}")
        if len(received) >= count:
            return received
        time.sleep(0.1)
    raise TimeoutError(f"{len(received)} of {count} events came")


def is_refused(secret, body, headers):
    try:
        standardwebhooks.Webhook(secret).verify(body, headers)
    except standardwebhooks.WebhookVerificationError:
        return True
    return False


def main():
    receiver = f"library-{CHAT}"
    endpoints = f"{API}/api/v1/webhook_endpoints"
    endpoint = call("POST", endpoints, {"url": f"{SANDBOX}/receivers/{receiver}"})
    secrets = [endpoint["secret"]]

    content = "Größe 42 is in stock again. 👟"
    call("POST", f"{API}/api/v1/conversations/{CHAT}/messages", {"content": content})
    received = taken(receiver, 3)  # accepted, sent, delivered

    # Both secrets sign for a day.
    secrets.append(call("POST", f"{endpoints}/{endpoint['id']}/rotate-secret")["secret"])
    call("POST", f"{endpoints}/{endpoint['id']}/test")
    rotated = taken(receiver, len(received) + 1)[-1]

    for request, good in [*((request, secrets[:1]) for request in received), (rotated, secrets)]:
        body, headers = request["body"], request["headers"]
        for secret in good:
            event = standardwebhooks.Webhook(secret).verify(body, headers)
            assert event["id"] == headers["webhook-id"], event
            assert "message" not in event["data"] or event["data"]["message"]["content"] == content, event

        late = {**headers, "webhook-timestamp": str(int(headers["webhook-timestamp"]) - 600)}
        assert is_refused(good[0], body.replace('"sequence":', '"sequence": '), headers), "the body is another"
        assert is_refused(good[0], body, late), "it is ten minutes old"
        assert is_refused("whsec_" + "A" * 43 + "=", body, headers), "the secret is another"

    assert is_refused(secrets[1], received[0]["body"], received[0]["headers"]), "it was not there yet"
    call("DELETE", f"{endpoints}/{endpoint['id']}")
    print(f"verified {len(received) + 1}")


if __name__ == "__main__":
    main()
