// node_http2.js URL: Node's http2 module, three streams of one session at once; HTTPS_PROXY by hand, as it has to be.
const http2 = require('http2');
const net = require('net');
const tls = require('tls');
const url = new URL(process.argv[2]);

function through(proxy) {
    return new Promise((done, fail) => {
        const socket = net.connect(proxy.port, proxy.hostname);
        let head = '';
        const read = (octets) => {
            head += octets.toString('latin1');
            if (!head.endsWith('\r\n\r\n'))
                return;
            socket.off('data', read);
            if (!/^HTTP\/1\.[01] 200 /.test(head))
                fail(new Error(head));
            done(tls.connect({ socket, servername: url.hostname, ALPNProtocols: ['h2'] }));
        };
        socket.on('error', fail).on('data', read);
        socket.write(`CONNECT ${url.hostname}:443 HTTP/1.1\r\nHost: ${url.hostname}:443\r\n\r\n`);
    });
}

function ask(session, name, body) {
    return new Promise((done, fail) => {
        const stream = session.request({ ':path': `${url.pathname}/${name}`, ':method': body ? 'POST' : 'GET',
            'x-api-key': process.env.API_KEY }, { endStream: !body });
        let status, got = '';
        stream.on('response', (head) => { status = head[':status']; }).on('error', fail);
        stream.setEncoding('latin1').on('data', (text) => { got += text; });
        stream.on('end', () => done(`${name} ${status} ${session.alpnProtocol} ${got.length < 100 ? got.trim() : got.length}`));
        if (body)
            stream.end(body);
    });
}

async function main() {
    const proxy = process.env.HTTPS_PROXY && new URL(process.env.HTTPS_PROXY);
    const socket = proxy && await through(proxy);
    const session = http2.connect(url.origin, socket ? { createConnection: () => socket } : {});
    await new Promise((done, fail) => session.on('connect', done).on('error', fail));
    const said = await Promise.all([ask(session, 'get'), ask(session, 'post', 'x'.repeat(299957) + process.env.API_KEY),
        ask(session, 'down')]);
    console.log(said.join('\n'));
    session.close();
}
main().catch((why) => { console.log(why); process.exit(1); });
