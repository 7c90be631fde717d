// node greet.mjs USERNAME DATE-OF-BIRTH [--today YYYY-MM-DD] [--leap-day mar-1|feb-28]

import { parseArgs } from "node:util";
import { day, greet, parseDay, reason } from "./greeting.mjs";

const USAGE = "usage: node greet.mjs USERNAME DATE-OF-BIRTH [--today YYYY-MM-DD] [--leap-day mar-1|feb-28]";

/** The names of the service's variable `leap_day`, and those of the component. */
const LEAP_DAYS = new Map([
  ["mar-1", "march-first"],
  ["feb-28", "february-last"],
]);

/** The exit code for a wrong command line (EX_USAGE). */
const EXIT_USAGE = 64;

const { username, dateOfBirth, today, leapDay } = readArguments();
try {
  console.log(greet(username, dateOfBirth, today, leapDay));
} catch (error) {
  console.error(reason(error));
  process.exitCode = 1;
}

function readArguments() {
  const options = { today: { type: "string" }, "leap-day": { type: "string", default: "mar-1" } };
  let parsed;
  try {
    parsed = parseArgs({ options, allowPositionals: true });
  } catch (error) {
    refuse(error.message);
  }
  const { values, positionals } = parsed;
  if (positionals.length !== 2) {
    refuse("a username and a date of birth are needed");
  }
  const today = values.today === undefined ? day(new Date()) : parseDay(values.today);
  const leapDay = LEAP_DAYS.get(values["leap-day"]);
  if (today === undefined) {
    refuse("--today is not a day of the form YYYY-MM-DD");
  }
  if (leapDay === undefined) {
    refuse("--leap-day is neither mar-1 nor feb-28");
  }
  return { username: positionals[0], dateOfBirth: positionals[1], today, leapDay };
}

function refuse(what) {
  console.error(`${what}\n${USAGE}`);
  process.exit(EXIT_USAGE);
}
