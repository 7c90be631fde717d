// Swagger UI at `/docs`.

import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import {
  DESKTOP, PHONE, checkAccessibility, checkWidth, startBrowser, tabTo, textThatMatches, withPage,
} from "./browser.js";
import { startService } from "./service.js";

const TOKEN = "s3cret/+~:%20=";
const REFUSED = /^Failed to load resource: the server responded with a status of 4\d\d .*\/hello\//;
const PUT = "#operations-people-putHello";
const GET = "#operations-people-getHello";
const STATUS = ".live-responses-table .response .response-col_status";
const BODY = ".live-responses-table .response .response-col_description";

/** The rules of axe that Swagger UI breaks in its own markup, and that docs.js and docs.css cannot mend from outside. */
const BROKEN = [
  // Its tags are h3 below the h1 of the title, and its dialog begins with an h3.
  "heading-order",
  // Both tables of responses of an operation are regions of the same name.
  "landmark-unique",
  // The button that expands an operation contains a link to it.
  "nested-interactive",
  // The button with the text "Authorize" has the name "Apply credentials".
  "label-content-name-mismatch",
];

let browser;
let service;
let guarded;

before(async () => {
  service = await startService();
  guarded = await startService({ api_token: TOKEN });
  browser = await startBrowser();
});

after(() => Promise.all([browser?.close(), service?.stop(), guarded?.stop()]));

const open = (options, use) =>
  withPage(browser, `${(options.service ?? service).url}/docs${options.query ?? ""}`, options, async (page) => {
    await page.waitForSelector(PUT);
    await use(page);
  });

/** Expands the operation, fills in `username`, and sends the request. */
async function execute(page, operation, username) {
  if ((await page.$(`${operation} .execute`)) === null) {
    await page.click(`${operation} .opblock-summary-control`);
    await page.waitForSelector(`${operation} .execute`);
  }
  await page.click(`${operation} .parameters input`, { count: 3 });
  await page.type(`${operation} .parameters input`, username);
  await page.click(`${operation} .execute`);
}

const answered = async (page, operation, status, body) => {
  await textThatMatches(page, `${operation} ${STATUS}`, status);
  await textThatMatches(page, `${operation} ${BODY}`, body);
};

test("a PUT and a GET can be tried", () =>
  open({}, async (page) => {
    await execute(page, PUT, "tim");
    await answered(page, PUT, /204/, /./);
    await execute(page, GET, "tim");
    await answered(page, GET, /200/, /Hello, tim! /);
    const { message } = await service.ask("GET", "/hello/tim");
    assert.match(message, /^Hello, tim! /);
  }));

test("Authorize sends the token", () =>
  open({ service: guarded, expected: REFUSED }, async (page) => {
    await execute(page, PUT, "tim");
    await answered(page, PUT, /401/, /not authorized/);
    await page.click(".auth-wrapper .authorize");
    await page.waitForSelector(".auth-container input");
    await page.type(".auth-container input", TOKEN);
    await page.click(".auth-btn-wrapper .authorize");
    await page.click(".auth-btn-wrapper .btn-done");
    await execute(page, PUT, "tim");
    await answered(page, PUT, /204/, /./);
    await execute(page, GET, "tim");
    await answered(page, GET, /200/, /Hello, tim! /);
    const kept = await page.evaluate(() => [sessionStorage.length, localStorage.length, document.cookie]);
    assert.deepEqual(kept, [0, 0, ""]);
  }));

test("every operation can be expanded", () =>
  open({}, async (page) => {
    const operations = await page.$$eval(".opblock", (blocks) => blocks.map((block) => block.id));
    assert.equal(operations.length, 10);
    for (const operation of operations) {
      await page.click(`#${operation} .opblock-summary-control`);
      await page.waitForSelector(`#${operation} .responses-table`);
    }
  }));

test("the keyboard is enough", () =>
  open({ expected: REFUSED }, async (page) => {
    await tabTo(page, `${GET} .opblock-summary-control`);
    await page.keyboard.press("Enter");
    await page.waitForSelector(`${GET} .execute`);
    await tabTo(page, `${GET} .execute`);
    await page.keyboard.press("Enter");
    await answered(page, GET, /404/, /user is not known/);
  }));

test("a link leads to an operation", () =>
  open({ query: "#/people/getHello" }, async (page) => {
    await page.waitForSelector(`${GET} .execute`);
  }));

test("the URL cannot name another description", () =>
  open({ query: "?url=https://example.com/openapi.json&configUrl=https://example.com/x" }, async (page) => {
    await textThatMatches(page, ".info .title", /birthday/);
  }));

// A text cannot name an icon, so the browser asks for one.
test("the licences are a page", () =>
  open({ expected: /favicon\.ico/ }, async (page) => {
    await Promise.all([page.waitForNavigation(), page.click("footer a")]);
    await textThatMatches(page, "body", /Apache License[^]*React/);
  }));

for (const scheme of ["light", "dark"]) {
  for (const [name, viewport] of [["phone", PHONE], ["desktop", DESKTOP]]) {
    test(`everybody can use it: ${scheme}, ${name}`, () =>
      open({ viewport, scheme }, async (page) => {
        await checkAccessibility(page, BROKEN);
        await page.$$eval(".opblock-summary-control", (buttons) => buttons.forEach((button) => button.click()));
        await page.waitForSelector("#operations-pages-getAsset .execute");
        await execute(page, PUT, "axe");
        await answered(page, PUT, /204/, /./);
        await checkAccessibility(page, BROKEN);
        await page.click(".auth-wrapper .authorize");
        await page.waitForSelector(".auth-container input");
        await checkAccessibility(page, BROKEN);
      }));
  }
}

test("320 pixels are wide enough", () =>
  open({ viewport: { ...PHONE, width: 320 } }, async (page) => {
    await checkWidth(page, 320);
    await execute(page, PUT, "narrow");
    await answered(page, PUT, /204/, /./);
    await checkWidth(page, 320);
  }));

test("assets are compressed, and asked for once", () =>
  open({}, async (page) => {
    const load = async () => {
      const responses = [];
      const note = (response) => responses.push(response);
      page.on("response", note);
      await page.goto(`${service.url}/docs`, { waitUntil: "networkidle0" });
      page.off("response", note);
      return responses.filter((response) => response.url().includes("/assets/"));
    };
    const again = await load();
    assert.ok(again.length >= 4, `${again.length} assets`);
    for (const response of again) {
      assert.ok(response.fromCache(), `${response.url()} is asked for again`);
      assert.equal(response.headers()["content-encoding"], "gzip");
    }
  }));
