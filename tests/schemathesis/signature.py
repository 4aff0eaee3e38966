"""Signs the calls of WhatsApp's webhook as Meta does, so that Schemathesis gets past the signature.

Schemathesis loads this file by SCHEMATHESIS_HOOKS; `run` puts Meta's secret into META_APP_SECRET.
"""

import hashlib
import hmac
import os

import requests
import schemathesis


class Signature(requests.auth.AuthBase):
    def __call__(self, request):
        body = request.body or b""
        body = body.encode() if isinstance(body, str) else body
        if isinstance(body, bytes):
            secret = os.environ["META_APP_SECRET"].encode()
            request.headers["X-Hub-Signature-256"] = "sha256=" + hmac.new(secret, body, hashlib.sha256).hexdigest()
        return request


@schemathesis.hook
def before_call(context, case, kwargs):
    if (case.method.upper(), case.path) == ("POST", "/api/v1/webhooks/whatsapp"):
        kwargs["auth"] = Signature()
