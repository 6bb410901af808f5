// The SDK of CloudEvents for JavaScript, for a test: reads one JSON value from standard input, writes one.
//
// {"write": "binary" | "structured", "event": {…}, "base64": …}  ->  {"headers": {…}, "body": base64}
// {"read": {"headers": {…}, "body": base64}}                    ->  the event or events, as JSON
const { CloudEvent, HTTP } = require("cloudevents");

const asked = JSON.parse(require("fs").readFileSync(0, "utf8"));
let said;
if (asked.write) {
  const bytes = asked.base64 ? { data: new Uint8Array(Buffer.from(asked.base64, "base64")) } : {};
  const message = HTTP[asked.write](new CloudEvent({ ...asked.event, ...bytes }));
  const body = message.body === undefined ? Buffer.alloc(0) : Buffer.from(message.body);
  said = { headers: message.headers, body: body.toString("base64") };
} else {
  const body = Buffer.from(asked.read.body, "base64");
  const text = asked.read.bytes ? new Uint8Array(body) : body.toString("utf8");
  const event = HTTP.toEvent({ headers: asked.read.headers, body: text });
  said = event;
}
process.stdout.write(JSON.stringify(said));
