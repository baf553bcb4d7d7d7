"""grpc_server - a gRPC server that writes down what it was sent: CHAIN KEY; each line that it prints is one JSON object.

/osb.Test/ has one method a kind of call, all of which give the messages back; Fail, which fails after one; and Wait, which
never answers. Messages are octets. It ends by a signal.
"""
import concurrent.futures
import json
import sys
import threading

import grpc

lock = threading.Lock()


def say(**what):
    with lock:
        print(json.dumps(what), flush=True)


def begin(name, context):
    fields = [
        (key, value.hex() if isinstance(value, bytes) else value) for key, value in context.invocation_metadata()
    ]
    say(began=name, metadata=fields, remaining=context.time_remaining())
    context.add_callback(lambda: say(ended=name))
    context.send_initial_metadata((("x-initial", "1"),))
    context.set_trailing_metadata((("x-trailing", "2"), ("x-octets-bin", b"\0\xff")))


def got(name, messages):
    for message in messages:
        say(got=name, message=message.hex())
        yield message


def unary(message, context):
    begin("Unary", context)
    return next(got("Unary", [message]))


def client(messages, context):
    begin("Client", context)
    return b"".join(got("Client", messages))


def server(message, context):
    begin("Server", context)
    for _ in range(3):
        yield from got("Server", [message])


def bidi(messages, context):
    begin("Bidi", context)
    yield from got("Bidi", messages)


def fail(message, context):
    begin("Fail", context)
    yield message
    context.abort(grpc.StatusCode.FAILED_PRECONDITION, "not so: 50 % \u00e9\n")


def wait(message, context):
    begin("Wait", context)
    over = threading.Event()
    if context.add_callback(over.set):
        over.wait(30)
    yield from ()


HANDLERS = {
    "Unary": grpc.unary_unary_rpc_method_handler(unary),
    "Client": grpc.stream_unary_rpc_method_handler(client),
    "Server": grpc.unary_stream_rpc_method_handler(server),
    "Bidi": grpc.stream_stream_rpc_method_handler(bidi),
    "Fail": grpc.unary_stream_rpc_method_handler(fail),
    "Wait": grpc.unary_stream_rpc_method_handler(wait),
}


def main():
    chain, key = (open(path, "rb").read() for path in sys.argv[1:3])
    it = grpc.server(concurrent.futures.ThreadPoolExecutor(16))
    it.add_generic_rpc_handlers((grpc.method_handlers_generic_handler("osb.Test", HANDLERS),))
    port = it.add_secure_port("127.0.0.1:0", grpc.ssl_server_credentials([(key, chain)]))
    it.start()
    say(port=port)
    it.wait_for_termination()


if __name__ == "__main__":
    main()
