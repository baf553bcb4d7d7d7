// ws_server.js PORT: on loopback. It answers a frame of text by what it saw of the bearer token of the handshake and of the
// token in the frame, each as a digest, so that nothing is to be masked.
const { createHash } = require('crypto');
const { WebSocketServer } = require('ws');

const digest = (text) => createHash('sha256').update(text).digest('hex').slice(0, 16);
new WebSocketServer({ host: '127.0.0.1', port: Number(process.argv[2]) }).on('connection', (socket, request) => {
    const bearer = request.headers.authorization.replace('Bearer ', '');
    socket.on('message', (text) => socket.send(`${digest(bearer)} ${digest(JSON.parse(text).token)}`));
});
