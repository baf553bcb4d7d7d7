// anthropic.js [BASE_URL]: the npm package as it comes; key and host are its own defaults. A streamed message, then one at once,
// whose prompt quotes the environment. Of each piece the origin is told, by the pipe 'got', before it may send the next.
const fs = require('fs');
const Anthropic = require('@anthropic-ai/sdk');

async function main() {
    const client = new Anthropic({ baseURL: process.argv[2], maxRetries: 0 });
    const messages = [{ role: 'user', content: `my key is ${process.env.ANTHROPIC_API_KEY}` }];
    const asked = { model: 'claude', max_tokens: 99, messages };
    const pieces = [];
    const stream = client.messages.stream(asked).on('text', (piece) => {
        pieces.push(piece);
        fs.appendFileSync('got', '.');
    });
    await stream.finalMessage();
    const whole = await client.messages.create(asked);
    console.log(pieces.join(' '), '/', whole.content[0].text);
}
main().catch((why) => { console.log(why.message, why.cause ?? ''); process.exit(1); });
