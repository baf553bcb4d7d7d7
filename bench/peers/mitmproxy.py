"""What a mitmproxy add-on that swaps one token looks like: field values and the body of each request.

The token and its value are options, so that the file holds neither. Bodies are read whole, as add-ons do.
"""

from mitmproxy import ctx


class Swap:
    def load(self, loader):
        loader.add_option("swap_token", str, "", "what the sandbox holds")
        loader.add_option("swap_value", str, "", "what it stands for")

    def request(self, flow):
        token, value = ctx.options.swap_token, ctx.options.swap_value
        for name, field in flow.request.headers.items(multi=True):
            if token in field:
                flow.request.headers[name] = field.replace(token, value)
        body = flow.request.raw_content
        if body and token.encode() in body:
            flow.request.raw_content = body.replace(token.encode(), value.encode())


addons = [Swap()]
