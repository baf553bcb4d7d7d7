// fetch.js bearer|basic URL: one request of Node's fetch, which takes no user and password but in a header.
async function main() {
    const [way, url] = process.argv.slice(2), token = process.env.API_TOKEN;
    const authorization = way === 'bearer' ? `Bearer ${token}` : `Basic ${btoa(`octo:${token}`)}`;
    const answer = await fetch(url, { headers: { authorization } });
    const said = await answer.text();
    console.log(answer.status, answer.ok ? said.trim() : JSON.parse(said).message);
    process.exitCode = answer.ok ? 0 : 1;
}
main().catch((why) => { console.log(why.cause ?? why); process.exit(1); });
