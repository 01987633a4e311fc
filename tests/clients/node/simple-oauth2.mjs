import { AuthorizationCode, ClientCredentials, ResourceOwnerPassword } from "simple-oauth2";
import { ask, done, given, reads } from "./test_side.mjs";

const settings = {
  client: { id: given.app.client_id, secret: given.app.client_secret },
  auth: { tokenHost: given.url, tokenPath: "/api/oauth/token", revokePath: "/api/oauth/revoke" },
};
const code = new AuthorizationCode({
  ...settings,
  auth: { ...settings.auth, authorizePath: "/api/oauth/authorize" },
});
const address = code.authorizeURL({ redirect_uri: given.callback, scope: "read", state: "s" });
const back = new URL(await ask({ authorize: address }));
const first = await code.getToken({
  code: back.searchParams.get("code"),
  redirect_uri: given.callback,
});
const read = await reads(first.token.access_token);
const second = await first.refresh();
await second.revoke("access_token");
const revoked = await reads(second.token.access_token);

const machine = await new ClientCredentials(settings).getToken({ scope: "read" });
const owner = await new ResourceOwnerPassword(settings).getToken({
  username: "alice",
  password: given.password,
  scope: "read",
});

done({
  read,
  scope: first.token.scope,
  refreshed: second.token.refresh_token !== first.token.refresh_token,
  revoked,
  machine: await reads(machine.token.access_token),
  owner: await reads(owner.token.access_token),
});
