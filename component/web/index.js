// The page for people. It asks the same API as every other client, and shows answers as text, never as markup.
"use strict";

// Longer than the service takes for an answer, even if it gives up on its store.
const TIMEOUT_MS = 15_000;

const element = (id) => document.getElementById(id);
const forms = { save: element("save"), find: element("find"), authorize: element("authorize") };
const fields = {
  saveName: element("save-name"),
  saveDate: element("save-date"),
  findName: element("find-name"),
  token: element("token"),
};

/** Only in memory, so that it is gone with the page. */
let token = "";
/** What to do again when there is a token. */
let refused = null;
/** Whether an answer is awaited. */
let isBusy = false;

/** A problem that the person can do something about. */
class Problem extends Error {
  constructor(title, detail, origin = "") {
    super(title);
    Object.assign(this, { title, detail, origin });
  }
}

/** Shows texts in the region that screen readers announce. What is empty is hidden. */
function show(kind, texts) {
  element("answer").dataset.kind = kind;
  for (const id of ["note", "count", "message", "detail", "origin"]) {
    element(id).textContent = texts[id] ?? "";
    element(id).hidden = !texts[id];
  }
  element("answer").scrollIntoView({ block: "nearest" });
}

function showGreeting(message, note) {
  const days = /in (\d+) day\(s\)$/.exec(message)?.[1];
  show("greeting", { note, count: days ?? "\u{1F382}", message });
}

function showProblem(problem) {
  show("problem", { message: problem.title, detail: problem.detail, origin: problem.origin });
}

/** The path of a person, relative to the page, so that the service may be mounted below a prefix. */
function pathOf(name) {
  if (name === "") {
    throw new Problem("A name is needed", "Type the name first.");
  }
  // A URL cannot contain them as a segment: they mean this folder and the one above.
  if (name === "." || name === "..") {
    throw new Problem("The username is not valid", "A username is 1 to 64 letters, A to Z.");
  }
  return `hello/${encodeURIComponent(name)}`;
}

function headers() {
  try {
    return new Headers(token === "" ? {} : { authorization: `Bearer ${token}` });
  } catch {
    throw new Problem("The token is not valid", "It has characters that no header can carry.");
  }
}

/** Sends a request, and returns the JSON of the answer, or null if it has no content. Everything else is a Problem. */
async function ask(method, path, body) {
  const options = { method, headers: headers(), body, signal: AbortSignal.timeout(TIMEOUT_MS) };
  let response;
  let text;
  try {
    response = await fetch(path, options);
    text = await response.text();
  } catch (error) {
    throw error.name === "TimeoutError"
      ? new Problem("The service takes too long", "It did not answer in time. Try again in a moment.")
      : new Problem("The service cannot be reached", "Check the connection, and try again.");
  }
  let json = null;
  try {
    json = text === "" ? null : JSON.parse(text);
  } catch {
    // It is not from the service, but from something on the path to it.
  }
  if (response.ok && (json !== null || response.status === 204)) {
    return json;
  }
  const origin = `Status ${response.status}`;
  if (typeof json?.title !== "string") {
    throw new Problem("The answer cannot be understood", "It is not from this service. Try again in a moment.", origin);
  }
  const problem = new Problem(json.title, String(json.detail ?? ""), `${origin}, ${json.type ?? "about:blank"}`);
  problem.status = response.status;
  throw problem;
}

async function save() {
  const name = fields.saveName.value.trim();
  const path = pathOf(name);
  const dateOfBirth = fields.saveDate.value;
  if (dateOfBirth === "") {
    throw new Problem("A date of birth is needed", "Give day, month and year of a day before today.");
  }
  await ask("PUT", path, JSON.stringify({ dateOfBirth }));
  fields.findName.value = name;
  const { message } = await ask("GET", path);
  showGreeting(message, "Saved");
}

async function find() {
  const { message } = await ask("GET", pathOf(fields.findName.value.trim()));
  showGreeting(message, "");
}

/** Runs one action at a time, and explains how it failed. */
async function run(action) {
  if (isBusy) {
    return;
  }
  const setBusy = (busy) => {
    isBusy = busy;
    for (const button of document.querySelectorAll("button")) {
      button.setAttribute("aria-disabled", String(busy));
    }
  };
  setBusy(true);
  try {
    await action();
    forms.authorize.hidden = true;
  } catch (error) {
    if (!(error instanceof Problem)) {
      throw error;
    }
    showProblem(error);
    if (error.status === 401) {
      refused = action;
      forms.authorize.hidden = false;
      fields.token.focus();
    }
  } finally {
    setBusy(false);
  }
}

/** Yesterday here, as the date field has it. The service has the last word, in its own time zone. */
function yesterday() {
  const day = new Date();
  day.setDate(day.getDate() - 1);
  const [month, date] = [day.getMonth() + 1, day.getDate()].map((number) => String(number).padStart(2, "0"));
  return `${day.getFullYear()}-${month}-${date}`;
}

function onSubmit(form, handle) {
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    handle();
  });
}

onSubmit(forms.save, () => run(save));
onSubmit(forms.find, () => run(find));
onSubmit(forms.authorize, () => {
  token = fields.token.value;
  run(refused);
});

fields.saveDate.max = yesterday();
const username = new URLSearchParams(location.search).get("username");
if (username) {
  fields.saveName.value = username;
  fields.findName.value = username;
  run(find);
}
