// stripe.js [HOST]: the npm package as it comes: a customer is made (a form), then read.
const Stripe = require('stripe');

async function main() {
    const how = { maxNetworkRetries: 0, telemetry: false };
    if (process.argv[2])
        how.host = process.argv[2];
    const stripe = new Stripe(process.env.STRIPE_API_KEY, how);
    const made = await stripe.customers.create({ name: 'Ann & Sons', metadata: { from: 'a sandbox' } });
    const read = await stripe.customers.retrieve(made.id);
    console.log(read.id, '/', read.name, '/', read.metadata.from);
}
main().catch((why) => { console.log(why.message, why.detail ?? ''); process.exit(1); });
