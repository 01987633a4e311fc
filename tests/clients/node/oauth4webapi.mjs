import * as oauth from "oauth4webapi";
import { ask, done, given, reads } from "./test_side.mjs";

const insecure = { [oauth.allowInsecureRequests]: true };
const issuer = new URL(given.url);
const as = await oauth
  .discoveryRequest(issuer, { algorithm: "oauth2", ...insecure })
  .then((answer) => oauth.processDiscoveryResponse(issuer, answer));
const client = { client_id: given.app.client_id };
const auth = oauth.ClientSecretBasic(given.app.client_secret);

// a code with PKCE
const verifier = oauth.generateRandomCodeVerifier();
const state = oauth.generateRandomState();
const address = new URL(as.authorization_endpoint);
address.search = new URLSearchParams({
  client_id: client.client_id,
  redirect_uri: given.callback,
  response_type: "code",
  scope: "read",
  code_challenge: await oauth.calculatePKCECodeChallenge(verifier),
  code_challenge_method: "S256",
  state,
});
const back = new URL(await ask({ authorize: address.href }));
const params = oauth.validateAuthResponse(as, client, back, state); // checks iss, RFC 9207
const first = await oauth
  .authorizationCodeGrantRequest(as, client, auth, params, given.callback, verifier, insecure)
  .then((answer) => oauth.processAuthorizationCodeResponse(as, client, answer));
const read = await reads(first.access_token);

// refresh, introspect, revoke
const second = await oauth
  .refreshTokenGrantRequest(as, client, auth, first.refresh_token, insecure)
  .then((answer) => oauth.processRefreshTokenResponse(as, client, answer));
const known = await oauth
  .introspectionRequest(as, client, auth, second.access_token, insecure)
  .then((answer) => oauth.processIntrospectionResponse(as, client, answer));
await oauth
  .revocationRequest(as, client, auth, second.access_token, insecure)
  .then((answer) => oauth.processRevocationResponse(answer));
const revoked = await reads(second.access_token);

// a machine by itself
const machine = await oauth
  .clientCredentialsGrantRequest(as, client, auth, { scope: "read" }, insecure)
  .then((answer) => oauth.processClientCredentialsResponse(as, client, answer));

// a device
const device = await oauth
  .deviceAuthorizationRequest(as, client, auth, { scope: "read" }, insecure)
  .then((answer) => oauth.processDeviceAuthorizationResponse(as, client, answer));
await ask({ user_code: device.user_code });
const token = await oauth
  .deviceCodeGrantRequest(as, client, auth, device.device_code, insecure)
  .then((answer) => oauth.processDeviceCodeResponse(as, client, answer));

done({
  read,
  scope: first.scope,
  refreshed: second.refresh_token !== first.refresh_token,
  active: known.active,
  revoked,
  machine: await reads(machine.access_token),
  device: await reads(token.access_token),
});
