"""grpc_client - one gRPC call as the JSON of its input says, and what came of it as JSON; grpc-js/client.js does the same.

target, ca, host; authority; method, metadata, messages (hexadecimal); deadline in seconds; cancel: as soon as it has begun.
A bidirectional call says its next message when the last one has come back.
"""
import json
import queue
import sys

import grpc


def spoken(call, messages, turns):
    """What the client streams: in a bidirectional call each message waits for its turn."""
    for number, message in enumerate(messages):
        if call["method"] == "Bidi" and number:
            turns.get(timeout=20)
        yield message


def start(channel, call, messages, turns):
    path, more = f"/osb.Test/{call['method']}", {"metadata": tuple(call["metadata"].items())}
    more["timeout"] = call.get("deadline")
    if call["method"] == "Unary":
        return channel.unary_unary(path).future(messages[0], **more)
    if call["method"] == "Client":
        return channel.stream_unary(path).future(spoken(call, messages, turns), **more)
    if call["method"] == "Bidi":
        return channel.stream_stream(path)(spoken(call, messages, turns), **more)
    return channel.unary_stream(path)(messages[0], **more)


def run(call):
    with open(call["ca"], "rb") as roots:
        credentials = grpc.ssl_channel_credentials(roots.read())
    options = [("grpc.ssl_target_name_override", call["host"]), ("grpc.enable_http_proxy", 0)]
    options.append(("grpc.default_authority", call.get("authority") or call["host"]))
    heard, turns = [], queue.Queue()
    with grpc.secure_channel(call["target"], credentials, options) as channel:
        it = start(channel, call, [bytes.fromhex(message) for message in call["messages"]], turns)
        try:
            initial = dict(it.initial_metadata())
            if call.get("cancel"):
                it.cancel()
            for message in [it.result()] if call["method"] in ("Unary", "Client") else it:
                heard.append(message.hex())
                turns.put(None)
        except (grpc.RpcError, grpc.FutureCancelledError):
            initial = dict(it.initial_metadata() or ())
        trailing = {key: v.hex() if isinstance(v, bytes) else v for key, v in it.trailing_metadata() or ()}
        return {
            "code": it.code().value[0],
            "details": it.details(),
            "messages": heard,
            "initial": initial,
            "trailing": trailing,
        }


print(json.dumps(run(json.load(sys.stdin))))
