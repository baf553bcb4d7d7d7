// node_fetch.js URL: Node's fetch. It has no way to tell the protocol; up to Node 20 it never offers h2.
async function main() {
    const url = process.argv[2], headers = { 'x-api-key': process.env.API_KEY };
    for (const name of ['get', 'post', 'down']) {
        const body = name === 'post' ? 'x'.repeat(299957) + process.env.API_KEY : undefined;
        const answer = await fetch(`${url}/${name}`, { method: body ? 'POST' : 'GET', headers, body });
        const got = await answer.text();
        console.log(`${name} ${answer.status} h1 ${got.length < 100 ? got.trim() : got.length}`);
    }
}
main().catch((why) => { console.log(why); process.exit(1); });
