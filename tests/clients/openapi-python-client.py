"""The client that openapi-python-client makes, in all operations that a caller begins with."""

import io
import time
from uuid import UUID

from pingback_messages_client import AuthenticatedClient
from pingback_messages_client.api.files import announce_file, upload_file
from pingback_messages_client.api.messages import list_messages, read_message, send_message
from pingback_messages_client.models import AttachmentReference, FileForm, NewFile, NewMessage, Problem
from pingback_messages_client.types import File
from steps import CHAT, KEY, SPENT_CHAT, SPENT_KEY, api, put, step

client = AuthenticatedClient(base_url=api(), token=KEY)
chat = UUID(CHAT)
known = {}


def problem(response, status, code):
    refused = response.parsed
    assert isinstance(refused, Problem), response.content
    assert (response.status_code, refused.status, refused.code) == (status, status, code), refused
    return refused


@step("send")
def send():
    new = NewMessage(content="By a client.")
    sent = send_message.sync(chat, client=client, body=new, idempotency_key="send-1")
    again = send_message.sync(chat, client=client, body=new, idempotency_key="send-1")
    assert sent.content == "By a client." and again.id == sent.id
    known["id"] = sent.id


@step("upload")
def upload():
    file = File(payload=io.BytesIO(b"A text.\n"), file_name="a.txt", mime_type="text/plain")
    known["uploaded"] = upload_file.sync(chat, client=client, body=FileForm(file=file))
    assert known["uploaded"].size == 8


@step("announce")
def announce():
    new = NewFile(filename="b.txt", content_type="text/plain", size=8)
    announced = announce_file.sync(chat, client=client, body=new)
    put(announced.upload.url, announced.upload.headers.to_dict(), b"A text.\n")
    urls = [known["uploaded"].url, announced.url]
    references = [AttachmentReference(url=url) for url in urls]
    new = NewMessage(content="Two files.", attachments=references)
    sent = send_message.sync(chat, client=client, body=new)
    assert [file.url for file in sent.attachments] == urls


@step("read")
def read():
    for _ in range(100):
        delivery = read_message.sync(chat, known["id"], client=client).delivery
        if delivery.status == "delivered":
            break
        time.sleep(0.1)
    assert delivery.status == "delivered" and delivery.error is None, delivery
    assert delivery.delivered_at.tzinfo is not None


@step("list")
def pages():
    first = list_messages.sync(chat, client=client, limit=1)
    then = list_messages.sync(chat, client=client, limit=1, after=first.next_)
    assert first.messages[0].id != then.messages[0].id


@step("403")
def forbidden():
    spent = AuthenticatedClient(base_url=api(), token=SPENT_KEY)
    new = NewMessage(content="One too many.")
    refused = problem(send_message.sync_detailed(UUID(SPENT_CHAT), client=spent, body=new), 403, "quota_exceeded")
    assert refused.limit == refused.used and refused.resets_at.tzinfo is not None


@step("422")
def invalid():
    response = send_message.sync_detailed(chat, client=client, body=NewMessage(content="\u200b"))
    assert problem(response, 422, "validation_error").errors[0].loc == ["body", "content"]
