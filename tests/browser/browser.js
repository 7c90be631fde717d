// A browser, and pages that notice what must never happen.

import assert from "node:assert/strict";
import { accessSync, constants, readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { delimiter, join } from "node:path";
import puppeteer from "puppeteer-core";

export const PHONE = { width: 390, height: 844, isMobile: true, hasTouch: true };
export const DESKTOP = { width: 1280, height: 800 };

const AXE = readFileSync(createRequire(import.meta.url).resolve("axe-core/axe.min.js"), "utf8");

export function startBrowser() {
  // The sandbox of Chromium refuses root.
  const args = process.getuid?.() === 0 ? ["--no-sandbox"] : [];
  return puppeteer.launch({ executablePath: onPath("chromium"), headless: true, args });
}

function onPath(program) {
  for (const folder of process.env.PATH.split(delimiter)) {
    try {
      accessSync(join(folder, program), constants.X_OK);
      return join(folder, program);
    } catch {
      // It may be in a later folder.
    }
  }
  throw new Error(`no ${program} on PATH`);
}

/**
 * Runs `use` with a new page of a new profile. It fails on a request to another origin, a violation of the policy,
 * a dialog, and an error or a warning in the console, but for those that match `expected`: the browser reports each
 * refused request there.
 */
export async function withPage(browser, url, options, use) {
  const { viewport = DESKTOP, scheme = "light", expected = /^$/, prepare = async () => {} } = options;
  const context = await browser.createBrowserContext();
  const page = await context.newPage();
  const faults = [];
  const note = (what) => expected.test(what) || faults.push(what);
  const { origin } = new URL(url);
  page.on("request", (request) => {
    const target = new URL(request.url());
    const isOwn = target.origin === origin || ["data:", "blob:"].includes(target.protocol);
    isOwn || note(`request to ${target}`);
  });
  page.on("console", (message) => {
    ["error", "warn"].includes(message.type()) && note(`${message.text()} (${message.location().url})`);
  });
  page.on("pageerror", (error) => note(`exception: ${error.message}`));
  page.on("dialog", async (dialog) => {
    note(`dialog: ${dialog.message()}`);
    await dialog.dismiss();
  });
  await page.evaluateOnNewDocument(() => {
    document.addEventListener("securitypolicyviolation", (event) => {
      console.error(`policy: ${event.violatedDirective} ${event.blockedURI} ${event.sample}`);
    });
  });
  await page.setViewport(viewport);
  await page.emulateMediaFeatures([
    { name: "prefers-color-scheme", value: scheme },
    { name: "prefers-reduced-motion", value: "reduce" },
  ]);
  try {
    await prepare(page);
    await page.goto(url, { waitUntil: "networkidle0" });
    await use(page);
  } finally {
    await context.close();
  }
  assert.deepEqual(faults, []);
}

/** The text of the element, once `pattern` matches it. */
export async function textThatMatches(page, selector, pattern) {
  const { source, flags } = pattern;
  const matches = (selector, source, flags) => {
    const text = document.querySelector(selector)?.innerText ?? "";
    return new RegExp(source, flags).test(text) && text;
  };
  try {
    const text = await page.waitForFunction(matches, { timeout: 5_000 }, selector, source, flags);
    return await text.jsonValue();
  } catch {
    const text = await page.evaluate((selector) => document.querySelector(selector)?.innerText, selector);
    return assert.fail(`${selector} has ${JSON.stringify(text)}, which ${pattern} does not match`);
  }
}

/** Presses Tab until the focus is on `selector`. What has the focus must show it. */
export async function tabTo(page, selector) {
  for (let presses = 0; presses < 200; presses += 1) {
    await page.keyboard.press("Tab");
    const focus = await page.evaluate((selector) => {
      const { activeElement } = document;
      const { outlineStyle, boxShadow } = getComputedStyle(activeElement);
      const isVisible = outlineStyle !== "none" || boxShadow !== "none" || activeElement === document.body;
      return { isVisible, isWanted: activeElement.matches(selector), html: activeElement.outerHTML.slice(0, 200) };
    }, selector);
    assert.ok(focus.isVisible, `the focus is not visible: ${focus.html}`);
    if (focus.isWanted) {
      return;
    }
  }
  assert.fail(`Tab does not reach ${selector}`);
}

/** Replaces the content of a field. */
export async function fill(page, selector, text) {
  await page.$eval(selector, (field) => (field.value = ""));
  await page.type(selector, text);
}

/** Checks the page by the rules of axe, but for `without`. */
export async function checkAccessibility(page, without = []) {
  await page.evaluate(AXE);
  const violations = await page.evaluate(async (without) => {
    const rules = Object.fromEntries(without.map((rule) => [rule, { enabled: false }]));
    const { violations } = await axe.run(document, { rules });
    return violations.map(({ id, nodes }) => ({
      id,
      nodes: nodes.map(({ html, failureSummary }) => `${html.slice(0, 200)}: ${failureSummary}`),
    }));
  }, without);
  assert.deepEqual(violations, []);
}

export async function checkWidth(page, width) {
  const actual = await page.evaluate(() => document.documentElement.scrollWidth);
  assert.ok(actual <= width, `${actual} pixels are wider than the window of ${width}`);
}
