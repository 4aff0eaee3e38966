"""The client that openapi-generator makes for Python, in all operations that a caller begins with."""

import time

import openapi_client
from openapi_client import ApiException, AttachmentReference, NewFile, NewMessage
from steps import CHAT, KEY, SPENT_CHAT, SPENT_KEY, api, put, step


def apis(key):
    client = openapi_client.ApiClient(openapi_client.Configuration(host=api(), access_token=key))
    return openapi_client.MessagesApi(client), openapi_client.FilesApi(client)


messages, files = apis(KEY)
known = {}


def problem(error, status, code):
    assert isinstance(error.data, openapi_client.Problem), error.body
    assert (error.status, error.data.status, error.data.code) == (status, status, code), error.body
    return error.data


@step("send")
def send():
    sent = messages.send_message(CHAT, NewMessage(content="By a client."), idempotency_key="send-1")
    again = messages.send_message(CHAT, NewMessage(content="By a client."), idempotency_key="send-1")
    assert sent.content == "By a client." and again.id == sent.id
    known["id"] = sent.id


@step("upload")
def upload():
    known["uploaded"] = files.upload_file(CHAT, ("a.txt", b"A text.\n"))
    assert known["uploaded"].size == 8


@step("announce")
def announce():
    new = NewFile(filename="b.txt", content_type="text/plain", size=8)
    announced = files.announce_file(CHAT, new)
    put(announced.upload.url, announced.upload.headers, b"A text.\n")
    urls = [known["uploaded"].url, announced.url]
    references = [AttachmentReference(url=url) for url in urls]
    sent = messages.send_message(CHAT, NewMessage(content="Two files.", attachments=references))
    assert [file.url for file in sent.attachments] == urls


@step("read")
def read():
    for _ in range(100):
        delivery = messages.read_message(CHAT, known["id"]).delivery
        if delivery.status == "delivered":
            break
        time.sleep(0.1)
    assert delivery.status == "delivered" and delivery.error is None, delivery
    assert delivery.delivered_at.tzinfo is not None


@step("list")
def list_messages():
    first = messages.list_messages(CHAT, limit=1)
    then = messages.list_messages(CHAT, limit=1, after=first.next)
    assert first.messages[0].id != then.messages[0].id


@step("403")
def forbidden():
    try:
        apis(SPENT_KEY)[0].send_message(SPENT_CHAT, NewMessage(content="One too many."))
        raise AssertionError("it was taken")
    except ApiException as error:
        refused = problem(error, 403, "quota_exceeded")
        assert refused.limit == refused.used and refused.resets_at.tzinfo is not None


@step("422")
def invalid():
    try:
        messages.send_message(CHAT, NewMessage(content="\u200b"))
        raise AssertionError("it was taken")
    except ApiException as error:
        refused = problem(error, 422, "validation_error")
        assert [part.actual_instance for part in refused.errors[0].loc] == ["body", "content"]
