// ws.js URL: the npm package: a bearer token in the handshake, then one in a frame of text; what comes back is said.
const WebSocket = require('ws');

const token = process.env.API_TOKEN;
const socket = new WebSocket(process.argv[2], { headers: { authorization: `Bearer ${token}` } });
const fail = (why) => { console.log(why); process.exit(1); };
socket.on('open', () => socket.send(JSON.stringify({ token, text: 'hello' })));
socket.on('message', (text) => { console.log(`${text}`); socket.close(1000); });
socket.on('close', (code) => console.log('closed', code));
socket.on('error', (why) => fail(why.message));
socket.on('unexpected-response', (request, answer) => {
    let said = '';
    answer.setEncoding('utf8').on('data', (text) => { said += text; }).on('end', () => fail(`${answer.statusCode} ${said}`));
});
