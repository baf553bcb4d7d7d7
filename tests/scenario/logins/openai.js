// openai.js [BASE_URL]: the npm package as it comes; key and host are its own defaults. A streamed completion, then one at once,
// whose prompt quotes the environment. Of each event the origin is told, by the pipe 'got', before it may send the next.
const fs = require('fs');
const OpenAI = require('openai');

async function main() {
    const client = new OpenAI({ baseURL: process.argv[2], maxRetries: 0 });
    const asked = { model: 'gpt', messages: [{ role: 'user', content: `my key is ${process.env.OPENAI_API_KEY}` }] };
    const pieces = [];
    for await (const event of await client.chat.completions.create({ ...asked, stream: true })) {
        pieces.push(event.choices[0].delta.content);
        fs.appendFileSync('got', '.');
    }
    const whole = await client.chat.completions.create(asked);
    console.log(pieces.join(' '), '/', whole.choices[0].message.content);
}
main().catch((why) => { console.log(why.message, why.cause ?? ''); process.exit(1); });
