#!/usr/bin/env python3
"""Reads the mails beside it with Python's own parser, and prints as JSON what a mail program shows of each.

golden.rs compares that with what another parser shows.
"""

import json
import pathlib
from email import policy
from email.header import decode_header, make_header
from email.parser import BytesParser


def main():
    mails = pathlib.Path(__file__).parent.glob("*.eml")
    print(json.dumps({mail.name: shown(mail.read_bytes()) for mail in mails}))


def shown(mail):
    mail = BytesParser(policy=policy.default).parsebytes(mail)
    return {
        "subject": mail["subject"],
        "from": address(mail["from"]),
        "to": address(mail["to"]),
        "reply_to": address(mail["reply-to"]),
        "in_reply_to": names(mail["in-reply-to"]),
        "references": names(mail["references"]),
        "text": text(mail, "plain"),
        "html": text(mail, "html"),
        "files": [file(part) for part in mail.iter_attachments()],
    }


def address(header):
    [one] = header.addresses
    return [one.display_name, one.addr_spec]


def names(header):
    return [name.strip("<>") for name in (header or "").split()]


def text(mail, kind):
    part = mail.get_body((kind,))
    # With strict decoding: get_content() would replace what it cannot decode.
    return part.get_payload(decode=True).decode(part.get_content_charset()).replace("\r\n", "\n")


def file(part):
    payload, charset = part.get_payload(decode=True), part.get_content_charset()
    if charset:  # so that both parsers have to read the text by its charset
        payload = payload.decode(charset).encode()
    return {
        "filename": part.get_filename(),
        "name": str(make_header(decode_header(part.get_param("name")))),
        "type": part.get_content_type(),
        "charset": charset,
        "bytes": payload.hex(),
    }


if __name__ == "__main__":
    main()
