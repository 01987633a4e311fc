// Publishes at each quality of service, follows commands, and is refused a topic of others.
import { readFileSync } from "node:fs";
import mqtt from "mqtt";

const given = JSON.parse(process.argv[2]);
const [keyId, keyPassword] = given.key;
const client = await mqtt.connectAsync(given.address, {
  protocolVersion: given.version,
  username: keyId,
  password: keyPassword,
  ca: readFileSync(given.certificate),
  reconnectPeriod: 0,
});
const topic = `wotkit/${keyId}`;
const command = new Promise((resolve) => {
  client.on("message", (name, payload) => {
    if (name.startsWith(`${topic}/commands/`)) resolve(JSON.parse(payload));
  });
});
const filters = [`${topic}/commands/#`, `${topic}/errors`];
const granted = await client.subscribeAsync(filters, { qos: 1 });
console.log("subscribed");
for (const qos of [0, 1, 2]) {
  await client.publishAsync(`${topic}/sensors/roof/data`, JSON.stringify({ value: given.value }), { qos });
}
const received = await command;
let refused = false;
try {
  refused = (await client.subscribeAsync("wotkit/+/data"))[0].qos >= 128;
} catch {
  refused = true;
}
const result = { granted: granted.map((each) => each.qos), command: received, refused };
console.log(JSON.stringify(result));
await client.endAsync();
