"""What a mitmproxy add-on that swaps one token looks like: field values and the body of each request.

The token and its value are options, so that the file holds neither. Bodies are read whole, as add-ons do.
"""

from mitmproxy import ctx


class Swap:
    def load(self, loader):
        loader.add_option("swap_token", str, "", "what the sandbox holds")
        loader.add_option("swap_value", str, "", "what it stands for")

    def server_connect(self, hook):
        """The origin is dialled by its address; its certificate is still checked for the name the client asked for."""
        hook.server.sni = hook.client.sni

    def request(self, flow):
        token, value = ctx.options.swap_token, ctx.options.swap_value
        for name, field in list(flow.request.headers.items()):
            if token in field:
                flow.request.headers[name] = field.replace(token, value)
        body = flow.request.content
        if body and token.encode() in body:
            flow.request.content = body.replace(token.encode(), value.encode())


addons = [Swap()]
