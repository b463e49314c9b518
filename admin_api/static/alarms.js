// What cannot wait is shown on whichever page is open, within seconds. Without this file: on Today and on Captures.
"use strict";
(() => {
  const place = document.getElementById("alarms");
  if (!place) return;
  const MOST = 3; // that stand above a page; more would push it away, and stand on Captures
  const shown = (id) => document.querySelector(`[data-alarm="${id}"]`);
  const add = (one) => {
    const box = document.createElement("div");
    box.className = "warning loud";
    if (one.id === undefined) box.dataset.more = "";
    else box.dataset.alarm = one.id;
    const text = document.createElement("p");
    text.className = "wide";
    const words = document.createElement("strong");
    words.textContent = `${one.words}. `;
    const link = document.createElement("a");
    link.href = one.href;
    link.textContent = one.id === undefined ? "See to them" : "See to it";
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
        place.querySelectorAll("[data-more]").forEach((box) => box.remove());
        const here = open.filter((one) => shown(one.id)).length;
        const fresh = open.filter((one) => Number.isInteger(one.id) && !shown(one.id));
        const now = Math.max(0, MOST - here);
        fresh.slice(0, now).forEach(add);
        if (fresh.length > now && !document.querySelector("[data-more-alarms]")) {
          add({ words: `${fresh.length - now} more that nobody has`, href: place.dataset.all });
        }
      }
    } catch (error) {
      // the desk does not answer just now
    }
    setTimeout(look, 2000);
  };
  setTimeout(look, 500);
})();
