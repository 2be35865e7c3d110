// The story of one case in a real Chromium with scripts switched off: a person signs in, opens a case, offers it,
// notes something, and the customer closes it. On each page: axe-core's rules in both colour schemes, the width of wide
// and narrow windows, the content security policy, requests that go elsewhere. Prints one JSON object.
//
// In: an object on standard input: modules, chromium, base, screenshots, password. Says "offered ID" on standard error
// when the other vendor is to act.
import { createRequire } from "node:module";
import { readFileSync } from "node:fs";
import path from "node:path";

const asked = JSON.parse(readFileSync(0, "utf8"));
const require = createRequire(path.join(asked.modules, "any.js"));
const puppeteer = require("puppeteer-core");
const axe = readFileSync(require.resolve("axe-core/axe.min.js"), "utf8");

const wrong = [];
const seen = {};
const browser = await (puppeteer.default ?? puppeteer).launch({
  executablePath: asked.chromium,
  headless: true,
  args: ["--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--hide-scrollbars"],
});
let name = "start";
const tell = (what) => wrong.push(`${name}: ${what}`);

const page = await browser.newPage();
await page.setJavaScriptEnabled(false);
page.on("dialog", async (dialog) => { tell("a dialog opened"); await dialog.dismiss(); });
page.on("console", (message) => { if (message.type() === "error" && !/status of 4/.test(message.text())) tell(`console: ${message.text()}`); });
page.on("request", (request) => { if (!request.url().startsWith(asked.base)) tell(`asks for ${request.url()}`); });

const text = () => page.evaluate("document.body.innerText");
async function expect(words) {
  if (!(await text()).includes(words)) tell(`does not say ${JSON.stringify(words)}: ${(await text()).slice(0, 600)}`);
}

// The rules need scripts: they look at the same address in a page of their own, in a world that its policy does not reach.
async function rules(as, open) {
  const other = await browser.newPage();
  await other.goto(page.url(), { waitUntil: "load", timeout: 30000 });
  if (open) await other.evaluate(open);
  for (const scheme of ["light", "dark"]) {
    await other.emulateMediaFeatures([{ name: "prefers-color-scheme", value: scheme }]);
    const client = await other.createCDPSession();
    const { frameTree } = await client.send("Page.getFrameTree");
    const world = await client.send("Page.createIsolatedWorld", { frameId: frameTree.frame.id });
    const run = (expression) => client.send("Runtime.evaluate", {
      expression, contextId: world.executionContextId, awaitPromise: true, returnByValue: true,
    });
    await run(axe);
    const result = await run("axe.run(document, { resultTypes: ['violations'] }).then((r) => ({ passes: r.passes.length, " +
      "violations: r.violations.map((v) => v.id + ': ' + v.help + ' — ' + v.nodes.slice(0, 3).map((n) => n.html.slice(0, 160)).join(' | ')) }))");
    const value = result.result.value;
    if (!value) tell(`axe did not run: ${JSON.stringify(result.exceptionDetails)}`);
    else { seen[`${as} ${scheme}`] = value.passes; value.violations.forEach((violation) => tell(`axe (${scheme}): ${violation}`)); }
    await client.detach();
  }
  await other.close();
}

async function look(as, open) {
  name = as;
  await rules(as, open);
  if (open) await page.evaluate(open);
  for (const scheme of ["light", "dark"]) {
    await page.emulateMediaFeatures([{ name: "prefers-color-scheme", value: scheme }]);
    for (const [width, suffix] of [[1280, ""], [380, "-narrow"]]) {
      await page.setViewport({ width, height: 900 });
      if (await page.evaluate("document.documentElement.scrollWidth > innerWidth")) tell(`wider than a window of ${width}`);
      await page.screenshot({ path: path.join(asked.screenshots, `desk-${as}-${scheme}${suffix}.png`), fullPage: true });
    }
    await page.setViewport({ width: 1280, height: 900 });
  }
}

const submit = (selector) => Promise.all([page.waitForNavigation({ timeout: 30000 }), page.click(selector)]);
async function signIn(who) {
  await page.type("#login", who);
  await page.type("#password", asked.password);
  await submit("main form button");
}
const signOut = () => submit("form.out button");

try {
  await page.goto(`${asked.base}/desk`);
  await look("sign-in");
  await page.type("#login", "ann");
  await page.type("#password", "not the password");
  await submit("main form button");
  await expect("do not belong together");
  await signIn("ann");
  await look("queue");
  await expect("With others to act");

  await submit("nav a[href='/desk/open']");
  await page.type("#open-summary", "Guest hangs after live migration");
  await page.type("#open-description", "Every second night the guest stops answering.\nThe console shows soft lockups.");
  await page.type("#open-guest", "osa 5.2");
  await page.type("#open-host", "vmmo 1");
  await page.type("#open-number", "G-4711");
  await page.type("#open-customer", "Customer Inc.");
  await page.type("#open-by", "Pat Doe");
  for (const what of ["problem", "configuration", "evidence"]) await page.click(`input[value=${what}]`);
  await look("open");
  await submit("main form p button");
  await look("draft");
  await expect("Nothing of it went out");
  await submit("form[action$='/offer'] button");
  await expect("Next to act: host.example");
  const id = page.url().split("/").pop();
  process.stderr.write(`offered ${id}\n`);
  for (let turn = 0; turn < 300 && !(await text()).includes("resolution proposed"); turn += 1) {
    await new Promise((resolve) => setTimeout(resolve, 100));
    await page.reload();
  }
  await expect("resolution proposed");

  // By keyboard alone: the note's form is opened, filled in and sent.
  name = "keyboard";
  await page.keyboard.press("Tab");
  if (!(await page.evaluate("document.activeElement.className")).includes("skip")) tell("the first stop is not the skip link");
  await page.evaluate("[...document.querySelectorAll('summary')].find((s) => s.innerText.includes('internal note')).focus()");
  await page.keyboard.press("Enter");
  await page.keyboard.press("Tab");
  await page.keyboard.type("SECRET: their build is odd");
  await page.keyboard.press("Tab");
  await Promise.all([page.waitForNavigation({ timeout: 30000 }), page.keyboard.press("Enter")]);
  await expect("SECRET: their build is odd");
  await look("case");

  await signOut();
  await signIn("pat");
  await look("queue-customer");
  await page.goto(`${asked.base}/desk/cases/${id}`);
  if (/SECRET|Bo Lind/.test(await text())) tell("a customer reads what is the vendors'");
  await look("case-customer", "document.querySelector('input[value=confirmed]').closest('details').open = true");
  await page.type("#confirmed-text", "It runs since Monday.");
  await submit("form:has(input[value=confirmed]) button");
  await expect("closed");
  await signOut();
  await signIn("max");
  await page.goto(`${asked.base}/desk/cases/${id}`);
  await look("closed");
  await expect("It runs since Monday.");
  await submit("nav a[href='/desk/audit']");
  await look("audit");
  await expect("confirmed");
} catch (error) {
  tell(`broke off: ${error.stack}`);
} finally {
  await browser.close();
}
process.stdout.write(JSON.stringify({ wrong, seen }));
