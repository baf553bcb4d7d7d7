// One gRPC call as the JSON of its input says, and what came of it as JSON: what grpc_client.py does, by @grpc/grpc-js.
"use strict";
const fs = require("fs");
const grpc = require("@grpc/grpc-js");

const call = JSON.parse(fs.readFileSync(0));
const client = new grpc.Client(call.target, grpc.credentials.createSsl(fs.readFileSync(call.ca)), {
    "grpc.ssl_target_name_override": call.host,
    "grpc.default_authority": call.authority || call.host,
    "grpc.enable_http_proxy": 0,
});
const metadata = new grpc.Metadata();
for (const [name, value] of Object.entries(call.metadata)) metadata.add(name, value);
const messages = call.messages.map((message) => Buffer.from(message, "hex"));
const same = (octets) => octets;
const heard = [];
let initial = {};

function plain(fields) {
    const out = {};
    for (const [name, value] of Object.entries(fields.getMap())) out[name] = Buffer.isBuffer(value) ? value.toString("hex") : value;
    return out;
}

function start() {
    const options = call.deadline ? { deadline: Date.now() + call.deadline * 1000 } : {};
    const given = (error, message) => message && heard.push(message.toString("hex"));
    const path = "/osb.Test/" + call.method;
    if (call.method === "Unary") return client.makeUnaryRequest(path, same, same, messages[0], metadata, options, given);
    if (call.method === "Client") return client.makeClientStreamRequest(path, same, same, metadata, options, given);
    if (call.method === "Bidi") return client.makeBidiStreamRequest(path, same, same, metadata, options);
    return client.makeServerStreamRequest(path, same, same, messages[0], metadata, options);
}

const it = start();
function speak() {
    if (messages.length) it.write(messages.shift());
    else it.end();
}
it.on("metadata", (fields) => {
    initial = plain(fields);
    if (call.cancel) it.cancel();
});
it.on("data", (message) => {
    heard.push(message.toString("hex"));
    if (call.method === "Bidi") speak();
});
it.on("error", () => {}); // the status says it
it.on("status", (status) => {
    const said = { code: status.code, details: status.details, messages: heard, initial, trailing: plain(status.metadata) };
    setImmediate(() => process.stdout.write(JSON.stringify(said) + "\n", () => client.close()));
});
if (call.method === "Bidi") speak();
if (call.method === "Client") {
    for (const message of messages) it.write(message);
    it.end();
}
