// The form, and what the component says to it.

const form = document.querySelector("form");
const message = document.querySelector("#message");
const loaded = import("../greeting.mjs");
loaded.catch((error) => {
  message.textContent = `The component cannot be loaded: ${error.message}`;
});

form.addEventListener("submit", async (event) => {
  event.preventDefault();
  const { username, born, leapDay } = form.elements;
  message.textContent = answer(await loaded, username.value.trim(), born.value, leapDay.value);
});

function answer({ day, greet, reason }, username, born, leapDay) {
  try {
    return greet(username, born, day(new Date()), leapDay);
  } catch (error) {
    return reason(error);
  }
}
