// What cannot wait is shown on whichever page is open, within seconds. Without this file: on Today and on Captures.
"use strict";
(() => {
  const place = document.getElementById("alarms");
  if (!place) return;
  const shown = (id) => document.querySelector(`[data-alarm="${id}"]`);
  const add = (one) => {
    const box = document.createElement("div");
    box.className = "warning loud";
    box.dataset.alarm = one.id;
    const text = document.createElement("p");
    text.className = "wide";
    const words = document.createElement("strong");
    words.textContent = `${one.words}. `;
    const link = document.createElement("a");
    link.href = one.href;
    link.textContent = "See to it";
    text.append(words, link);
    box.append(text);
    place.append(box);
  };
  const look = async () => {
    try {
      if (document.visibilityState === "visible") {
        const said = await fetch(place.dataset.from, { credentials: "same-origin", redirect: "error" });
        if (!said.ok) return; // signed out: the next page says so
        const open = (await said.json()).alarms;
        place.querySelectorAll("[data-alarm]").forEach((box) => {
          if (!open.some((one) => String(one.id) === box.dataset.alarm)) box.remove();
        });
        open.filter((one) => Number.isInteger(one.id) && !shown(one.id)).forEach(add);
      }
    } catch (error) {
      // the desk does not answer just now
    }
    setTimeout(look, 2000);
  };
  setTimeout(look, 500);
})();
