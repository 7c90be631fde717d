// `greeting.wasm` in a page. It needs Chromium and the packages of tests/browser: `scripts/install-browser` installs them.

import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import {
  PHONE, checkAccessibility, checkWidth, fill, startBrowser, tabTo, textThatMatches, withPage,
} from "../../../tests/browser/browser.js";
import { withServer } from "./process.mjs";

let browser;
before(async () => {
  browser = await startBrowser();
});
after(() => browser?.close());

const open = (options, use) =>
  withServer("page/serve.mjs", {}, (url) => withPage(browser, `${url}/page/`, options, (page) => use(page, url)));

/** A date field takes what a person types only in the order of the locale. */
const setDate = (page, date) => page.$eval("#born", (field, date) => (field.value = date), date);

/** What the page says to `username`, born on `date`. */
async function check(page, username, date, pattern) {
  await fill(page, "#username", username);
  await setDate(page, date);
  await page.click("button");
  await textThatMatches(page, "#message", pattern);
}

/** The day in so many days, in the time zone of this machine, which is that of the page. */
function dayIn(days, year) {
  const date = new Date();
  date.setDate(date.getDate() + days);
  const [month, day] = [date.getMonth() + 1, date.getDate()].map((number) => String(number).padStart(2, "0"));
  return `${year ?? date.getFullYear()}-${month}-${day}`;
}

test("the component says its message in the page", () =>
  open({}, async (page) => {
    await check(page, "Bob", dayIn(0, 1988), /^Hello, Bob! Happy birthday!$/);
    await check(page, " Ann ", dayIn(1, 1988), /^Hello, Ann! Your birthday is in 1 day\(s\)$/);
  }));

test("the page says what is wrong", () =>
  open({}, async (page) => {
    await check(page, "b0b", "2000-10-01", /^A username is 1 to 64 ASCII letters\.$/);
    await check(page, "Bob", "", /^A date of birth is a day of the calendar/);
    await check(page, "Bob", dayIn(1), /^A date of birth is a day before today\.$/);
    await check(page, "<img src=x onerror=alert(1)>", "2000-10-01", /^A username is/);
    await checkWidth(page, 1280);
  }));

test("the keyboard is enough", () =>
  open({}, async (page) => {
    await tabTo(page, "#username");
    await page.keyboard.type("Kay");
    await tabTo(page, "#born");
    await page.keyboard.type("02291988");
    await tabTo(page, "#leap-day");
    await page.keyboard.press("ArrowDown");
    assert.equal(await page.$eval("#leap-day", (field) => field.value), "february-last");
    await tabTo(page, "button");
    await page.keyboard.press("Enter");
    await textThatMatches(page, "#message", /^Hello, Kay! /);
  }));

test("axe finds nothing, in light and dark, on a phone and on a desktop", async () => {
  for (const options of [{}, { scheme: "dark" }, { viewport: PHONE }]) {
    await open(options, async (page) => {
      await check(page, "Bob", "2000-10-01", /^Hello, Bob! /);
      await checkAccessibility(page);
      await checkWidth(page, options.viewport?.width ?? 1280);
    });
  }
});

test("no text is run as JavaScript, and no other origin is asked", () =>
  open({ expected: /Content Security Policy|^policy: |example\.com/ }, async (page) => {
    const isRun = await page.evaluate(() => {
      const script = document.createElement("script");
      script.textContent = "window.isRun = true";
      document.head.append(script);
      return window.isRun;
    });
    assert.equal(isRun, undefined);
    const fetched = await page.evaluate(() => fetch("https://example.com/").then(() => "sent", () => "refused"));
    assert.equal(fetched, "refused");
  }));

test("only what the page needs is served", () =>
  open({}, async (_, url) => {
    const status = async (path, options) => (await fetch(url + path, { redirect: "manual", ...options })).status;
    for (const path of ["/package.json", "/page/serve.mjs", "/page/../package.json", "/page/%2e%2e/package.json", "//"]) {
      assert.equal(await status(path), 404, path);
    }
    assert.equal(await status("/"), 302);
    assert.equal(await status("/page/", { method: "POST" }), 405);
  }));

test("a component that cannot be loaded is said", () =>
  open({ expected: /greeting\.core\.wasm|Failed to load/, prepare: blockWasm }, (page) =>
    textThatMatches(page, "#message", /^The component cannot be loaded: /),
  ));

async function blockWasm(page) {
  await page.setRequestInterception(true);
  page.on("request", (request) => (request.url().endsWith(".wasm") ? request.abort() : request.continue()));
}
