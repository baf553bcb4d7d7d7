"""refusal - what every answer of the proxy's own must be: status, fields, body, and an audit line that agrees."""
import json
import re

from case import see, see_equal, short
from house import TOKEN

PROXY_STATUS = re.compile(r'osb; error=[a-z_]+; details="([a-z_]+)(: [^"\\]+)?"')


def see_json(answer, code, request_id):
    see_equal(answer.get("content-type"), "application/json", "Content-Type")
    said = json.loads(answer.body)
    see_equal(set(said), {"error", "message", "host", "request_id"}, "the members of the body")
    see_equal(set(said["error"]), {"type", "code", "message"}, "the members of error")
    see_equal((said["error"]["code"], said["request_id"]), (code, request_id), "code and request_id in the body")
    see(said["message"] and said["message"] == said["error"]["message"], f"message is {said['message']!r}")
    see_equal(
        said["error"]["type"] == "egress_blocked",
        answer.status in (403, 405, 421, 429) or code == "secret_unusable",
        f"whether the type of {code} is egress_blocked",
    )
    return said["message"]


def see_plain(answer, code, request_id):
    see((answer.get("content-type") or "").startswith("text/plain"), f"Content-Type {answer.get('content-type')}")
    text = answer.body.decode("ascii")
    see(code in text and request_id in text, f"no code or request id in {short(text)}")
    return text


def see_fields(answer, status, code):
    see_equal((answer.status, answer.code), (status, code), "status and X-Osb-Error")
    proxy_status = PROXY_STATUS.fullmatch(answer.get("proxy-status") or "")
    see(proxy_status and proxy_status.group(1) == code, f"Proxy-Status is {answer.get('proxy-status')}")
    see_equal(answer.get("cache-control"), "no-store", "Cache-Control")
    reason = answer.start.split(b" ", 2)[2].decode("ascii")
    see(code in reason, f"the reason phrase {reason!r} does not say it")
    if status == 429:
        see(int(answer.get("retry-after") or 0) >= 1, f"Retry-After is {answer.get('retry-after')}")
    elif status in (403, 405, 421):
        see_equal(answer.get("x-should-retry"), "false", "X-Should-Retry")


def see_silent(house, octets):
    """Neither a value nor a token, be it whole or someone else's."""
    for secret in house.secrets:
        see(secret.value not in octets, f"the value of {secret.name} is in the answer")
    hit = TOKEN.search(octets)
    see(hit is None, f"a token is in the answer: {short(hit.group()) if hit else ''}")


def see_refusal(house, answer, status, code, says="", plain=False, audited=True):
    """Gives the audit line. says: a pattern for the message."""
    see(answer is not None, "no answer at all")
    see_fields(answer, status, code)
    see_silent(house, answer.head + answer.body)
    request_id = answer.get("x-request-id")
    see(request_id and re.fullmatch(r"[0-9a-f]{16}", request_id), f"X-Request-Id is {request_id}")
    see(answer.complete, "the answer is not whole")
    message = (see_plain if plain else see_json)(answer, code, request_id)
    see(re.search(says, message, re.I), f"the message {message!r} says nothing like {says!r}")
    if not audited:
        return None
    line = house.await_audit(lambda line: line["request_id"] == request_id, f"an audit line for {code}")
    action = "error" if status >= 500 and code != "secret_unusable" else "block"
    see_equal((line["status"], line["reason"], line["action"]), (status, code, action), "what was audited")
    return line


def says_no(client):
    """How a connection ended that must not be served: a word, or None where it was served after all."""
    return client.closed if not client.shaken or client.closed else None
