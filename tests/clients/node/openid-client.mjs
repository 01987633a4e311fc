import * as client from "openid-client";
import { ask, done, given, reads } from "./test_side.mjs";

const config = await client.discovery(
  new URL(given.url),
  given.app.client_id,
  given.app.client_secret,
  client.ClientSecretPost(given.app.client_secret),
  { algorithm: "oauth2", execute: [client.allowInsecureRequests] },
);

const verifier = client.randomPKCECodeVerifier();
const state = client.randomState();
const address = client.buildAuthorizationUrl(config, {
  redirect_uri: given.callback,
  scope: "read",
  code_challenge: await client.calculatePKCECodeChallenge(verifier),
  code_challenge_method: "S256",
  state,
});
const back = new URL(await ask({ authorize: address.href }));
const first = await client.authorizationCodeGrant(config, back, {
  pkceCodeVerifier: verifier,
  expectedState: state,
});
const read = await reads(first.access_token);
const second = await client.refreshTokenGrant(config, first.refresh_token);
const known = await client.tokenIntrospection(config, second.access_token);
await client.tokenRevocation(config, second.access_token);
const revoked = await reads(second.access_token);
const machine = await client.clientCredentialsGrant(config, { scope: "read" });

const device = await client.initiateDeviceAuthorization(config, { scope: "read" });
const polled = client.pollDeviceAuthorizationGrant(config, device);
await ask({ user_code: device.user_code });

done({
  read,
  scope: first.scope,
  refreshed: second.refresh_token !== first.refresh_token,
  active: known.active,
  revoked,
  machine: await reads(machine.access_token),
  device: await reads((await polled).access_token),
});
