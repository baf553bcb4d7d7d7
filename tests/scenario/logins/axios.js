// axios.js bearer|basic URL: one request of the npm package, which makes Basic of a user and a password itself.
const axios = require('axios');

async function main() {
    const [way, url] = process.argv.slice(2), token = process.env.API_TOKEN;
    const how = way === 'bearer' ? { headers: { authorization: `Bearer ${token}` } }
        : { auth: { username: 'octo', password: token } };
    const answer = await axios.get(url, how);
    console.log(answer.status, answer.data.trim());
}
main().catch((why) => { console.log(why.message, why.response?.data.message ?? ''); process.exit(1); });
