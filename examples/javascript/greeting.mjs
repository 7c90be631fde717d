// What the service says, by the component `greeting`. It runs in Node.js and in a page.

import { greeting } from "./generated/greeting/greeting.js";

const REASONS = {
  "invalid-username": "A username is 1 to 64 ASCII letters.",
  "invalid-date": "A date of birth is a day of the calendar, written YYYY-MM-DD.",
  "date-not-past": "A date of birth is a day before today.",
};

/** The last day that the component knows. */
const LAST_DAY = { year: 9999, month: 12, day: 31 };

/**
 * The message for `username`. `dateOfBirth` is YYYY-MM-DD, `today` a record `{ year, month, day }`,
 * `leapDay` is `march-first` or `february-last`.
 *
 * If the component refuses one of them, it throws an error; `reason` has the words for it.
 */
export function greet(username, dateOfBirth, today, leapDay) {
  const born = greeting.parse(dateOfBirth, today);
  const days = greeting.daysUntil(born, today, leapDay);
  return greeting.message(username, days);
}

/** What is wrong, in words for a person. What is no error of the component's WIT is thrown again. */
export function reason(error) {
  // jco throws an error of the WIT as an Error with this payload.
  const known = REASONS[error?.payload];
  if (known === undefined) {
    throw error;
  }
  return known;
}

/** The calendar day of `now` in the time zone of this machine. */
export function day(now) {
  return { year: now.getFullYear(), month: now.getMonth() + 1, day: now.getDate() };
}

/** The day that `text` (YYYY-MM-DD) names, or `undefined`. */
export function parseDay(text) {
  try {
    return greeting.parse(text, LAST_DAY);
  } catch (error) {
    reason(error);
    return undefined;
  }
}
