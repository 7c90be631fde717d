// The screenshots of the documents, written only with UPDATE_SCREENSHOTS=1: fonts differ between machines.

import assert from "node:assert/strict";
import { statSync } from "node:fs";
import { after, before, test } from "node:test";
import { fileURLToPath } from "node:url";
import { DESKTOP, PHONE, startBrowser, textThatMatches, withPage } from "./browser.js";
import { startService } from "./service.js";

const MAX_BYTES = 150_000;
const skip = process.env.UPDATE_SCREENSHOTS !== "1";

let browser;
let service;

before(async () => {
  if (!skip) {
    service = await startService();
    browser = await startBrowser();
    // In 42 days, whenever that is.
    const born = new Date(Date.now() + 42 * 86_400_000);
    born.setUTCFullYear(1988);
    const dateOfBirth = born.toISOString().slice(0, 10);
    await service.ask("PUT", "/hello/bob", JSON.stringify({ dateOfBirth }));
  }
});

after(() => Promise.all([browser?.close(), service?.stop()]));

async function save(page, name) {
  const path = fileURLToPath(new URL(`../../docs/${name}.png`, import.meta.url));
  await page.screenshot({ path });
  const { size } = statSync(path);
  assert.ok(size <= MAX_BYTES, `${path} has ${size} bytes`);
}

for (const [name, options] of [
  ["page-phone", { viewport: { ...PHONE, height: 1080 } }],
  ["page-desktop", { viewport: { ...DESKTOP, width: 1000, height: 680 } }],
  ["page-dark", { viewport: { ...PHONE, height: 1080 }, scheme: "dark" }],
]) {
  test(`docs/${name}.png`, { skip }, () =>
    withPage(browser, `${service.url}/?username=bob`, options, async (page) => {
      await textThatMatches(page, "#message", /^Hello, bob!/);
      await page.evaluate(() => scrollTo(0, 0));
      await save(page, name);
    }));
}

test("docs/docs-desktop.png", { skip }, () =>
  withPage(browser, `${service.url}/docs`, { viewport: { ...DESKTOP, width: 1000, height: 900 } }, async (page) => {
    await page.waitForSelector(".opblock");
    await save(page, "docs-desktop");
  }));
