// `greeting.wasm` in Node.js: each function of its WIT, and the program.

import assert from "node:assert/strict";
import { test } from "node:test";
import { greeting } from "../generated/greeting/greeting.js";
import { reason } from "../greeting.mjs";
import { run } from "./process.mjs";

const DAY = { year: 2026, month: 9, day: 26 };
const LEAP_DAY = { year: 2000, month: 2, day: 29 };

function check(call, expected) {
  assert.deepEqual(call(), expected);
}

/** An error of the WIT is an Error of JavaScript with this payload. */
function checkRefused(call, payload) {
  assert.throws(call, (error) => error instanceof Error && error.payload === payload);
}

test("a date of birth is parsed", () => {
  check(() => greeting.parse("2000-02-29", DAY), LEAP_DAY);
  check(() => greeting.parse("0001-01-01", DAY), { year: 1, month: 1, day: 1 });
  check(() => greeting.parse("2026-09-25", DAY), { year: 2026, month: 9, day: 25 });
});

test("what is no date of birth is refused", () => {
  const noDates = ["", "2001-02-29", "2000-1-01", " 2000-10-01", "２０００-１０-０１", "2000-10-01T00:00:00Z", "\ud800"];
  for (const text of noDates) {
    checkRefused(() => greeting.parse(text, DAY), "invalid-date");
  }
  for (const text of ["2026-09-26", "2026-09-27", "9999-12-31"]) {
    checkRefused(() => greeting.parse(text, DAY), "date-not-past");
  }
  checkRefused(() => greeting.parse("2000-10-01", { year: 2026, month: 13, day: 1 }), "invalid-date");
});

test("days are counted to the next birthday", () => {
  const commonYear = { year: 2027, month: 2, day: 28 };
  check(() => greeting.daysUntil({ year: 2000, month: 9, day: 26 }, DAY, "march-first"), 0);
  check(() => greeting.daysUntil({ year: 2000, month: 10, day: 1 }, DAY, "march-first"), 5);
  check(() => greeting.daysUntil({ year: 2000, month: 9, day: 25 }, DAY, "march-first"), 364);
  check(() => greeting.daysUntil(LEAP_DAY, commonYear, "march-first"), 1);
  check(() => greeting.daysUntil(LEAP_DAY, commonYear, "february-last"), 0);
});

test("days to what is no birthday are refused", () => {
  checkRefused(() => greeting.daysUntil({ year: 2001, month: 2, day: 29 }, DAY, "march-first"), "invalid-date");
  checkRefused(() => greeting.daysUntil({ year: 0, month: 1, day: 1 }, DAY, "march-first"), "invalid-date");
  checkRefused(() => greeting.daysUntil(DAY, DAY, "march-first"), "date-not-past");
});

test("the message has the name and the days", () => {
  check(() => greeting.message("Bob", 5), "Hello, Bob! Your birthday is in 5 day(s)");
  check(() => greeting.message("z".repeat(64), 0), `Hello, ${"z".repeat(64)}! Happy birthday!`);
});

test("what is no username is refused", () => {
  for (const username of ["", "b0b", "Müller", "bo b", "z".repeat(65), "\u0000", "\ud800"]) {
    checkRefused(() => greeting.message(username, 5), "invalid-username");
  }
});

test("what is no value of the WIT is refused by jco, and the component can be called again", () => {
  assert.throws(() => greeting.daysUntil(LEAP_DAY, DAY, "feb-28"), TypeError);
  assert.throws(() => greeting.message(undefined, 5), TypeError);
  check(() => greeting.message("Bob", 0), "Hello, Bob! Happy birthday!");
});

test("an error that is none of the WIT is not explained away", () => {
  const error = new RangeError("something else");
  assert.throws(() => reason(error), error);
});

async function checkProgram(parameters, expected) {
  assert.deepEqual(await run("greet.mjs", ...parameters), { code: 0, stdout: "", stderr: "", ...expected });
}

test("the program prints the message", async () => {
  const today = ["--today", "2026-09-26"];
  await checkProgram(["Bob", "2000-10-01", ...today], { stdout: "Hello, Bob! Your birthday is in 5 day(s)\n" });
  const commonYear = ["Bob", "2000-02-29", "--today", "2027-02-28"];
  await checkProgram(commonYear, { stdout: "Hello, Bob! Your birthday is in 1 day(s)\n" });
  await checkProgram([...commonYear, "--leap-day", "feb-28"], { stdout: "Hello, Bob! Happy birthday!\n" });
});

test("without --today it is the day of this machine", async () => {
  const now = new Date();
  const born = `${now.getFullYear() - 1}-${String(now.getMonth() + 1).padStart(2, "0")}-01`;
  const { code, stdout } = await run("greet.mjs", "Bob", born);
  assert.deepEqual([code, stdout.slice(0, 12)], [0, "Hello, Bob! "]);
});

test("the program says what is wrong", async () => {
  const username = { code: 1, stderr: "A username is 1 to 64 ASCII letters.\n" };
  await checkProgram(["b0b", "2000-10-01"], username);
  const form = { code: 1, stderr: "A date of birth is a day of the calendar, written YYYY-MM-DD.\n" };
  await checkProgram(["Bob", "2001-02-29"], form);
  await checkProgram(["Bob", "2999-01-01"], { code: 1, stderr: "A date of birth is a day before today.\n" });
});

test("a wrong command line is refused by name", async () => {
  for (const [parameters, pattern] of [
    [["Bob"], /^a username and a date of birth are needed\nusage: /],
    [["Bob", "2000-10-01", "--today", "2027-02-29"], /^--today is not a day of the form YYYY-MM-DD\n/],
    [["Bob", "2000-10-01", "--leap-day", "never"], /^--leap-day is neither mar-1 nor feb-28\n/],
    [["Bob", "2000-10-01", "--tomorrow"], /^Unknown option '--tomorrow'/],
  ]) {
    const { code, stdout, stderr } = await run("greet.mjs", ...parameters);
    assert.deepEqual([code, stdout], [64, ""]);
    assert.match(stderr, pattern);
  }
});
