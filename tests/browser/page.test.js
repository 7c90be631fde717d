// The page at `/`: what a person does with it.

import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import {
  DESKTOP, PHONE, checkAccessibility, checkWidth, fill, startBrowser, tabTo, textThatMatches, withPage,
} from "./browser.js";
import { startService } from "./service.js";

const TOKEN = "s3cret/+~:%20=";
const REFUSED = /^Failed to load resource: the server responded with a status of 4\d\d .*\/hello\//;
const MARKUP = '<img src=x onerror="alert(1)"><script>alert(2)</script>';

let browser;
let service;
let guarded;

before(async () => {
  service = await startService();
  guarded = await startService({ api_token: TOKEN });
  browser = await startBrowser();
});

after(() => Promise.all([browser?.close(), service?.stop(), guarded?.stop()]));

const open = (options, use) => withPage(browser, `${service.url}/${options.query ?? ""}`, options, use);

/** A date field takes what a person types only in the order of the locale. */
const setDate = (page, date) => page.$eval("#save-date", (field, date) => (field.value = date), date);

async function save(page, name, date) {
  await fill(page, "#save-name", name);
  await setDate(page, date);
  await page.click("#save button");
}

async function find(page, name) {
  await fill(page, "#find-name", name);
  await page.click("#find button");
}

/** Checks what is shown for `name`, against what the API answers. */
async function checkGreeting(page, name) {
  const { message } = await service.ask("GET", `/hello/${name}`);
  await textThatMatches(page, "#message", new RegExp(`^Hello, ${name}! `));
  assert.equal(await page.$eval("#message", (element) => element.textContent), message);
  const count = /in (\d+) day/.exec(message)?.[1] ?? "\u{1F382}";
  assert.equal(await page.$eval("#count", (element) => element.textContent), count);
}

test("a saved birthday is answered with the message and the days", () =>
  open({}, async (page) => {
    await save(page, "ada", "1815-12-10");
    await checkGreeting(page, "ada");
    assert.equal(await page.$eval("#note", (element) => element.textContent), "Saved");
    assert.equal(await page.$eval("#find-name", (field) => field.value), "ada");
  }));

test("a birthday today is congratulated", () =>
  open({}, async (page) => {
    const today = new Date().toISOString().slice(4, 10);
    await save(page, "today", `1988${today}`);
    await checkGreeting(page, "today");
  }));

test("somebody can be looked up", () =>
  open({}, async (page) => {
    await service.ask("PUT", "/hello/grace", '{"dateOfBirth":"1906-12-09"}');
    await find(page, " grace ");
    await checkGreeting(page, "grace");
  }));

test("a name in the URL is looked up", async () => {
  await service.ask("PUT", "/hello/alan", '{"dateOfBirth":"1912-06-23"}');
  await open({ query: "?username=alan" }, async (page) => {
    await checkGreeting(page, "alan");
    assert.equal(await page.$eval("#save-name", (field) => field.value), "alan");
  });
});

for (const [claim, act, title, detail] of [
  ["a date in the future", (page) => save(page, "bob", "9999-12-31"), "not in the past", "before today"],
  ["an invalid name", (page) => save(page, "b0b", "2000-01-01"), "username is not valid", "64 ASCII letters"],
  ["an unknown user", (page) => find(page, "nobody"), "user is not known", "No date of birth"],
  ["a name that is a folder", (page) => find(page, ".."), "username is not valid", "1 to 64 letters"],
  ["a name that is another path", (page) => find(page, "../health"), "username is not valid", "64 ASCII letters"],
  ["no name", (page) => find(page, " "), "name is needed", "Type the name"],
  ["no date", (page) => save(page, "bob", ""), "date of birth is needed", "before today"],
]) {
  test(`${claim} is explained`, () =>
    open({ expected: REFUSED }, async (page) => {
      await act(page);
      await textThatMatches(page, "#message", new RegExp(title));
      await textThatMatches(page, "#detail", new RegExp(detail));
      assert.equal(await page.$eval("#count", (element) => element.hidden), true);
    }));
}

test("a failure of the network is explained", () =>
  open({ expected: /ERR_INTERNET_DISCONNECTED/ }, async (page) => {
    await page.setOfflineMode(true);
    await find(page, "bob");
    await textThatMatches(page, "#message", /cannot be reached/);
  }));

/** Answers requests of the API by `answer`. */
async function intercept(page, answer) {
  await page.setRequestInterception(true);
  page.on("request", (request) => (request.url().includes("/hello/") ? answer(request) : request.continue()));
}

test("a service that does not answer is explained", () => {
  const prepare = (page) =>
    page.evaluateOnNewDocument(() => {
      const timeout = AbortSignal.timeout.bind(AbortSignal);
      AbortSignal.timeout = () => timeout(50);
    });
  return open({ prepare }, async (page) => {
    await intercept(page, () => {});
    await find(page, "bob");
    await textThatMatches(page, "#message", /takes too long/);
  });
});

test("an answer of something else is explained", () =>
  open({ expected: /status of 502/ }, async (page) => {
    await intercept(page, (request) => request.respond({ status: 502, body: "<h1>Bad Gateway</h1>" }));
    await find(page, "bob");
    await textThatMatches(page, "#message", /cannot be understood/);
    await textThatMatches(page, "#origin", /^Status 502$/);
  }));

test("a token is asked for, used, and forgotten", () =>
  withPage(browser, `${guarded.url}/`, { expected: REFUSED }, async (page) => {
    assert.equal(await page.$eval("#authorize", (form) => form.hidden), true);
    await save(page, "bob", "2000-10-01");
    await textThatMatches(page, "#message", /not authorized/);
    await page.waitForFunction(() => document.activeElement?.id === "token");
    await checkAccessibility(page);
    await page.type("#token", "wrong");
    await page.click("#authorize button");
    await page.waitForSelector("#authorize button[aria-disabled=false]");
    await textThatMatches(page, "#message", /not authorized/);
    await fill(page, "#token", "日本");
    await page.click("#authorize button");
    await textThatMatches(page, "#message", /token is not valid/);
    await fill(page, "#token", TOKEN);
    await page.click("#authorize button");
    await textThatMatches(page, "#message", /^Hello, bob!/);
    assert.equal(await page.$eval("#authorize", (form) => form.hidden), true);
    await find(page, "bob");
    await textThatMatches(page, "#message", /^Hello, bob!/);
    const kept = await page.evaluate(() => [sessionStorage.length, localStorage.length, document.cookie]);
    assert.deepEqual(kept, [0, 0, ""]);
    await page.reload();
    await find(page, "bob");
    await textThatMatches(page, "#message", /not authorized/);
  }));

/** The icon and the script of the page. */
const ELEMENTS = 2;

const countElements = (page) => page.$$eval("img, script", (elements) => elements.length);

test("markup in the fields is text", () =>
  open({ expected: REFUSED }, async (page) => {
    await save(page, MARKUP, "2000-10-01");
    await textThatMatches(page, "#message", /username is not valid/);
    await find(page, MARKUP);
    await textThatMatches(page, "#message", /username is not valid/);
    assert.equal(await countElements(page), ELEMENTS);
  }));

test("markup in the URL is text", () =>
  open({ expected: REFUSED, query: `?username=${encodeURIComponent(MARKUP)}` }, async (page) => {
    await textThatMatches(page, "#message", /username is not valid/);
    assert.equal(await page.$eval("#find-name", (field) => field.value), MARKUP);
    assert.equal(await countElements(page), ELEMENTS);
  }));

test("markup in an answer is text", () =>
  open({ expected: /status of 400/ }, async (page) => {
    const problem = { type: MARKUP, title: MARKUP, detail: MARKUP };
    await intercept(page, (request) => request.respond({ status: 400, body: JSON.stringify(problem) }));
    await find(page, "bob");
    await page.waitForFunction((text) => document.querySelector("#detail").textContent === text, {}, MARKUP);
    assert.equal(await page.$eval("#message", (element) => element.textContent), MARKUP);
    assert.equal(await countElements(page), ELEMENTS);
  }));

test("the keyboard is enough", () =>
  open({}, async (page) => {
    await tabTo(page, "nav a");
    await tabTo(page, "#save-name");
    await page.keyboard.type("kay");
    await tabTo(page, "#save-date");
    await page.keyboard.type("02291988");
    assert.equal(await page.$eval("#save-date", (field) => field.value), "1988-02-29");
    await tabTo(page, "#save button");
    await page.keyboard.press("Enter");
    await checkGreeting(page, "kay");
    await tabTo(page, "#find-name");
    await page.keyboard.press("Enter");
    await page.waitForFunction(() => document.querySelector("#note").textContent === "");
    await checkGreeting(page, "kay");
    await tabTo(page, "footer a");
    await Promise.all([page.waitForNavigation(), page.keyboard.press("Enter")]);
    assert.equal(page.url(), `${service.url}/docs`);
  }));

test("the date field ends yesterday", () =>
  open({}, async (page) => {
    const max = await page.$eval("#save-date", (field) => field.max);
    const expected = await page.evaluate(() => new Date(Date.now() - 86_400_000).toLocaleDateString("sv"));
    assert.equal(max, expected);
  }));

for (const scheme of ["light", "dark"]) {
  for (const [name, viewport] of [["phone", PHONE], ["desktop", DESKTOP]]) {
    test(`everybody can use it: ${scheme}, ${name}`, () =>
      open({ viewport, scheme, expected: REFUSED }, async (page) => {
        await checkAccessibility(page);
        await save(page, "ada", "1815-12-10");
        await checkGreeting(page, "ada");
        await checkAccessibility(page);
        await find(page, "nobody");
        await textThatMatches(page, "#message", /user is not known/);
        await checkAccessibility(page);
      }));
  }
}

test("what is touched has 44 pixels", () =>
  open({ viewport: PHONE }, async (page) => {
    const small = await page.$$eval("a, button, input", (elements) =>
      elements
        .map((element) => [element.outerHTML, element.getBoundingClientRect()])
        .filter(([, { width, height }]) => width > 0 && Math.min(width, height) < 44)
        .map(([html]) => html),
    );
    assert.deepEqual(small, []);
  }));

test("320 pixels are wide enough", () =>
  open({ viewport: { ...PHONE, width: 320 }, expected: REFUSED }, async (page) => {
    await checkWidth(page, 320);
    await save(page, "a".repeat(64), "2000-10-01");
    await textThatMatches(page, "#message", /^Hello, a{64}!/);
    await checkWidth(page, 320);
    await find(page, MARKUP);
    await textThatMatches(page, "#message", /username is not valid/);
    await checkWidth(page, 320);
  }));
