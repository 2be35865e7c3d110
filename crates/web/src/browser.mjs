// Opens pages in a real Chromium, in both colour schemes, and tells what is wrong with them: rules of
// accessibility that are broken (axe-core), violations of the content security policy, errors of
// scripts, requests that go elsewhere, and names that were run instead of shown. Prints one JSON object.
//
// In: an object on standard input: modules, chromium, base, pages, screenshots, follow.
import { createRequire } from "node:module";
import { readFileSync } from "node:fs";
import path from "node:path";

const asked = JSON.parse(readFileSync(0, "utf8"));
const require = createRequire(path.join(asked.modules, "any.js"));
const puppeteer = require("puppeteer-core");
const axe = readFileSync(require.resolve("axe-core/axe.min.js"), "utf8");

const wrong = [];
const browser = await (puppeteer.default ?? puppeteer).launch({
  executablePath: asked.chromium,
  headless: true,
  args: ["--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--hide-scrollbars"],
});

async function open(address, scheme, javascript) {
  const page = await browser.newPage();
  await page.setViewport({ width: 1200, height: 900 });
  await page.emulateMediaFeatures([{ name: "prefers-color-scheme", value: scheme }]);
  await page.setJavaScriptEnabled(javascript);
  const tell = (what) => wrong.push(`${address} (${scheme}): ${what}`);
  page.on("dialog", async (dialog) => { tell("a dialog opened"); await dialog.dismiss(); });
  page.on("pageerror", (error) => tell(`script error: ${error.message}`));
  page.on("console", (message) => {
    if (message.type() === "error") tell(`console: ${message.text()}`);
  });
  page.on("request", (request) => {
    const url = request.url();
    if (!url.startsWith(asked.base) && !url.startsWith("data:")) tell(`asks for ${url}`);
  });
  return { page, tell };
}

async function accessible(page, tell) {
  // In a world of its own, which the page's policy does not reach, so that the policy stays in force.
  const client = await page.createCDPSession();
  const { frameTree } = await client.send("Page.getFrameTree");
  const world = await client.send("Page.createIsolatedWorld", { frameId: frameTree.frame.id });
  const run = (expression) => client.send("Runtime.evaluate", {
    expression, contextId: world.executionContextId, awaitPromise: true, returnByValue: true,
  });
  await run(axe);
  const result = await run("axe.run(document, { resultTypes: ['violations'] }).then((r) => ({ " +
    "passes: r.passes.length, violations: r.violations.map((v) => v.id + ': ' + v.help + ' — ' + " +
    "v.nodes.slice(0, 3).map((n) => n.html.slice(0, 160)).join(' | ')) }))");
  const value = result.result.value;
  if (!value) { tell(`axe did not run: ${JSON.stringify(result.exceptionDetails)}`); return 0; }
  value.violations.forEach((violation) => tell(`axe: ${violation}`));
  return value.passes;
}

const passes = {};
try {
  for (const { name, address } of asked.pages) {
    for (const scheme of ["light", "dark"]) {
      const { page, tell } = await open(address, scheme, true);
      const response = await page.goto(asked.base + address, { waitUntil: "load", timeout: 30000 });
      if (!response.ok() && response.status() !== 304) tell(`status ${response.status()}`);
      passes[`${name} ${scheme}`] = await accessible(page, tell);
      if ((await page.title()).startsWith("run by")) tell("a name was run");
      const wide = await page.evaluate("document.documentElement.scrollWidth > innerWidth");
      if (wide) tell("wider than the window");
      await page.screenshot({ path: path.join(asked.screenshots, `${name}-${scheme}.png`), fullPage: true });
      await page.close();
    }
  }
  // Without scripts, a page of a run still shows it.
  const { page, tell } = await open(asked.follow, "light", false);
  await page.goto(asked.base + asked.follow, { waitUntil: "load", timeout: 30000 });
  if (!(await page.content()).includes("This run goes on.")) tell("shows nothing without scripts");
  await page.close();
  // With them, it follows: the test writes on as soon as it reads this line.
  const live = await open(asked.follow, "light", true);
  await live.page.goto(asked.base + asked.follow, { waitUntil: "load", timeout: 30000 });
  process.stderr.write("following\n");
  await live.page.waitForFunction("document.body.innerText.includes('its evidence is complete')",
    { timeout: 30000 }).catch(() => live.tell("did not follow its run to the end"));
  await live.page.close();
} finally {
  await browser.close();
}
process.stdout.write(JSON.stringify({ wrong, passes }));
