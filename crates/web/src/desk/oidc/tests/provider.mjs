// A provider of people who need no password: oidc-provider with its pages for development. Prints its issuer URL.
//
// Arguments: the folder of packages, the client's id and secret, and where browsers go back to.
import { createServer } from "node:http";
import path from "node:path";
import { pathToFileURL } from "node:url";

// What it has to say of itself goes elsewhere than the URL.
console.info = console.warn = console.error;

const [modules, id, secret, back] = process.argv.slice(2);
const main = path.join(modules, "oidc-provider", "lib", "index.js");
const { Provider } = await import(pathToFileURL(main).href);

const server = createServer();
await new Promise((listens) => server.listen(0, "127.0.0.1", listens));
const issuer = `http://127.0.0.1:${server.address().port}`;
const provider = new Provider(issuer, {
  clients: [{ client_id: id, client_secret: secret, redirect_uris: [back] }],
  claims: { openid: ["sub"], email: ["email", "email_verified"] },
  // RFC 7636, 4.3: a client that sends no challenge is refused.
  pkce: { required: () => true },
  findAccount: (_, name) => ({
    accountId: name,
    claims: () => ({ sub: name, email: `${name}@guest.example`, email_verified: name !== "unverified" }),
  }),
});
server.on("request", provider.callback());
console.log(issuer);
