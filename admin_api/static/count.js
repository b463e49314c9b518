// While past traffic is still being counted, the part of the page that says so is fetched again. Without this: "Look again".
"use strict";

async function again() {
  const part = document.querySelector("#past[data-again]");
  if (!part) return;
  await new Promise((done) => setTimeout(done, 1000));
  try {
    const said = await fetch(part.dataset.again, { credentials: "same-origin" });
    if (!said.ok) return;
    const fresh = new DOMParser().parseFromString(await said.text(), "text/html").querySelector("#past");
    if (fresh) part.replaceWith(fresh);
    again();
  } catch (error) {
    // the link stays
  }
}

again();
