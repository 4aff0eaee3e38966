"""Plays Lambda's Runtime API and AWS on loopback: it answers at once, always the same, over plain HTTP.

Rust, Node.js and Python are given the same events and the same answers here, so they differ by their own work alone.
"""

import datetime
import hashlib
import json
import os
import queue
import socketserver
import subprocess
import threading
import time

REGION = "eu-central-1"
QUEUE = "https://sqs.eu-central-1.amazonaws.com/123456789012"
# Of all functions of template.yaml together: each reads those that it needs.
SETTINGS = {
    "AGENT_KEYS_SECRET": "agent-keys",
    "API_DOMAIN": "api.example.com",
    "API_URL": "https://api.example.com",
    "ATTACHMENTS_BUCKET": "attachments",
    "CHAT_ENDPOINT": "https://chat.example.com/v1",
    "CHAT_QUEUE_URL": f"{QUEUE}/chat",
    "DEAD_LETTER_QUEUE_URL": f"{QUEUE}/dead",
    "EMAIL_CONFIGURATION_SET": "mail",
    "EMAIL_QUEUE_URL": f"{QUEUE}/email",
    "EMAIL_REPLY_DOMAIN": "reply.example.com",
    "HELLO_QUEUE_URL": f"{QUEUE}/hello",
    "MESSAGE_RETENTION_DAYS": "0",
    "QUEUE_URL": f"{QUEUE}/own",
    "RECEIPT_KEYS_SECRET": "receipt-keys",
    "TABLE_NAME": "table",
    "VISITOR_KEYS_SECRET": "visitor-keys",
    "WEBHOOK_QUEUE_URL": f"{QUEUE}/webhook",
    "WEBHOOK_REACH": "public",
    "WHATSAPP_API_URL": "https://graph.facebook.com/v26.0",
    "WHATSAPP_QUEUE_URL": f"{QUEUE}/whatsapp",
    "WHATSAPP_WEBHOOK_SECRET": "whatsapp-webhook",
}


class Failed(Exception):
    """A function did not do what it was started for."""


class Lambda:
    """One Lambda environment: a process, its Runtime API, and the AWS that it calls."""

    def __init__(self, command, event, extra=None):
        self.command, self.event, self.extra = command, event, extra or {}
        self.asked, self.events, self.answers = queue.Queue(), queue.Queue(), queue.Queue()
        self.calls, self.count = [], 0

    def __enter__(self):
        self.runtime = Server(self.answer_runtime)
        self.aws = Server(self.answer_aws)
        runtime = f"127.0.0.1:{self.runtime.port}"
        environment = {
            "PATH": os.environ["PATH"],
            "AWS_ACCESS_KEY_ID": "AKIAIOSFODNN7EXAMPLE",
            "AWS_SECRET_ACCESS_KEY": "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY",
            "AWS_SESSION_TOKEN": "session",
            "AWS_REGION": REGION,
            "AWS_DEFAULT_REGION": REGION,
            "AWS_ENDPOINT_URL": f"http://127.0.0.1:{self.aws.port}",
            "AWS_LAMBDA_FUNCTION_MEMORY_SIZE": "512",
            "AWS_LAMBDA_FUNCTION_NAME": "bench",
            "AWS_LAMBDA_FUNCTION_VERSION": "1",
            "AWS_LAMBDA_LOG_GROUP_NAME": "/aws/lambda/bench",
            "AWS_LAMBDA_LOG_STREAM_NAME": "bench",
            "AWS_LAMBDA_RUNTIME_API": runtime,
            **SETTINGS,
            **self.extra,
        }
        self.started = time.perf_counter_ns()
        self.process = subprocess.Popen(
            self.command, env=environment, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
        )
        self.output = []
        self.reader = threading.Thread(target=lambda: self.output.append(self.process.stdout.read()), daemon=True)
        self.reader.start()
        return self

    def __exit__(self, *_):
        if self.process.poll() is None:
            self.process.terminate()
        self.process.wait()
        self.reader.join()
        self.events.put(None)
        self.runtime.close()
        self.aws.close()

    def until_next(self):
        """Waits until the function asks for an event; returns when that was."""
        return self.wait(self.asked)

    def request(self):
        """Sends the event and waits for the answer; returns when each was."""
        self.count += 1
        self.calls = []
        self.events.put(self.event)
        at, sent, answer = self.wait(self.answers)
        if answer is None or (isinstance(answer, dict) and answer.get("statusCode", 200) >= 400):
            raise Failed(f"{self.command[-1]} answered {answer}: {self.text()}")
        return sent, at

    def wait(self, of):
        end = time.monotonic() + 120
        while time.monotonic() < end:
            try:
                return of.get(timeout=1)
            except queue.Empty:
                if self.process.poll() is not None:
                    self.reader.join()
                    raise Failed(f"{self.command} ended: {self.text()}") from None
        raise Failed(f"{self.command[-1]} hangs: {self.text()}")

    def text(self):
        if self.process.poll() is None:
            self.process.terminate()
            self.reader.join(10)
        return b"".join(self.output).decode(errors="replace")[-2000:]

    def answer_runtime(self, method, path, _, body):
        at = time.perf_counter_ns()
        if path.endswith("/invocation/next"):
            self.asked.put(at)
            event = self.events.get()
            if event is None:
                return None
            self.sent = time.perf_counter_ns()
            deadline = int(time.time() * 1000) + 60_000
            return 200, event, {
                "Lambda-Runtime-Aws-Request-Id": f"00000000-0000-4000-8000-{self.count:012}",
                "Lambda-Runtime-Deadline-Ms": str(deadline),
                "Lambda-Runtime-Invoked-Function-Arn": f"arn:aws:lambda:{REGION}:123456789012:function:bench",
                "Lambda-Runtime-Trace-Id": "Root=1-69a4019c-5f0b1c2d3e4f5a6b7c8d9e0f;Sampled=0",
            }
        answer = json.loads(body) if path.endswith("/response") else None
        self.answers.put((at, self.sent if self.count else 0, answer))
        return 202, b"{}", {}

    def answer_aws(self, method, path, headers, body):
        target = headers.get("x-amz-target", f"{method} {path}")
        request = json.loads(body)
        operation = target.rpartition(".")[2]
        self.calls.append((operation, request))
        answer = json.dumps(ANSWERS[operation](request)).encode()
        kind = "application/x-amz-json-1.0"
        return 200, answer, {"Content-Type": kind, "x-amzn-RequestId": "0" * 52}


# ── What AWS answers ────────────────────────────────────────────────────────────────────────────────────────────────

DAY = datetime.datetime(2026, 3, 1, tzinfo=datetime.timezone.utc).isoformat().replace("+00:00", "Z")


def item(key):
    """The item that the table has under a key; nothing for an idempotency key, which is new each time."""
    pk, sk = key["pk"]["S"], key["sk"]["S"]
    if sk.startswith("KEY#"):
        return {**key, "is_active": {"BOOL": True}}
    if sk == "CONVERSATION":
        return {
            **key,
            "channel": {"S": "chat"},
            "channel_id": {"S": "2b1f6a52-5d0c-4d5e-9d0a-3c0c8d5a7f10"},
            "recipient": {"S": "visitor-0123456789abcdef"},
            "status": {"S": "open"},
            "seq": {"N": "41"},
            "settled_seq": {"N": "41"},
            "created_at": {"S": DAY},
            "updated_at": {"S": DAY},
            "first_response_at": {"S": DAY},
            "fence": {"N": "7"},
        }
    if sk == "PLAN":
        return {
            **key,
            "name": {"S": "pro"},
            "max_messages_per_month": {"N": "100000"},
            "shards": {"N": "1"},
            "requests_per_minute": {"N": "1000000"},
            "version": {"N": "3"},
        }
    if sk == "SHARD":
        return {**key, "used": {"N": "1234"}, "cap": {"N": "100000"}}
    if sk.startswith("QUOTA#"):
        return {**key, "limit": {"N": "100000"}, "shards": {"N": "1"}, "version": {"N": "3"}}
    if sk.startswith("CHANNEL#"):
        return {**key, "is_active": {"BOOL": True}, "settings": {"M": {"chat": {"M": {}}}}}
    if sk == "IDEMPOTENCY":
        return None
    raise Failed(f"fakes.py has no item {pk} {sk}")


def get(request):
    found = item(request["Key"])
    return {"Item": found} if found else {}


def get_all(request):
    found = {table: [item(key) for key in of["Keys"]] for table, of in request["RequestItems"].items()}
    return {
        "Responses": {table: [one for one in items if one] for table, items in found.items()},
        "UnprocessedKeys": {},
    }


def send(request):
    digest = hashlib.md5(request["MessageBody"].encode(), usedforsecurity=False).hexdigest()
    return {"MessageId": "5fea7756-0ea4-451a-a703-a558b933e274", "MD5OfMessageBody": digest}


ANSWERS = {
    "BatchGetItem": get_all,
    "GetItem": get,
    "SendMessage": send,
    "TransactWriteItems": lambda _: {},
}


# ── HTTP ────────────────────────────────────────────────────────────────────────────────────────────────────────────


class Server:
    """As much of HTTP/1.1 as the clients speak, quicker than http.server: connections are kept, bodies have a length."""

    def __init__(self, answer):
        class Connection(socketserver.StreamRequestHandler):
            disable_nagle_algorithm = True

            def handle(self):
                while request := read(self.rfile):
                    answered = answer(*request)
                    if answered is None:
                        return
                    status, body, headers = answered
                    head = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
                    head = f"HTTP/1.1 {status} OK\r\nContent-Length: {len(body)}\r\n{head}\r\n"
                    try:
                        self.wfile.write(head.encode() + body)
                    except OSError:
                        return

        class Listener(socketserver.ThreadingTCPServer):
            daemon_threads = True
            block_on_close = False

        self.listener = Listener(("127.0.0.1", 0), Connection)
        self.port = self.listener.server_address[1]
        threading.Thread(target=self.listener.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()

    def close(self):
        self.listener.shutdown()
        self.listener.server_close()


def read(file):
    """Reads a request; nothing if the connection was closed."""
    try:
        line = file.readline()
        if not line:
            return None
        method, path, _ = line.decode().split(" ", 2)
        headers = {}
        while (line := file.readline()) not in (b"\r\n", b""):
            name, _, value = line.decode().partition(":")
            headers[name.lower()] = value.strip()
        body = file.read(int(headers.get("content-length", 0)))
    except OSError:
        return None
    return method, path, headers, body
