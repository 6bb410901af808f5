// The library of Standard Webhooks for JavaScript, for a test: reads one JSON value from standard input, writes one.
//
// {"secret": …, "headers": {…}, "body": base64}  ->  whether it verifies
const { Webhook, WebhookVerificationError } = require("standardwebhooks");

const asked = JSON.parse(require("fs").readFileSync(0, "utf8"));
let said = true;
try {
  new Webhook(asked.secret).verify(Buffer.from(asked.body, "base64"), asked.headers);
} catch (error) {
  if (!(error instanceof WebhookVerificationError)) throw error;
  said = false;
}
process.stdout.write(JSON.stringify(said));
