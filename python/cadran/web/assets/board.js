// Keeps a page as the data moves, without a reload: each part that changed is replaced in place.
"use strict";
(() => {
  const root = document.documentElement;
  const here = document.querySelector("nav.main [aria-current]");
  if (here) here.scrollIntoView({ block: "nearest", inline: "center" });
  for (const control of document.querySelectorAll("form.controls select"))
    control.addEventListener("change", () => control.form.requestSubmit());
  document.addEventListener("keydown", (event) => {
    if (event.key !== "/" || /INPUT|TEXTAREA|SELECT/.test(event.target.tagName)) return;
    const box = document.querySelector("[data-search]");
    if (box) { event.preventDefault(); location.href = box.href; }
  });
  // Up and down go through what a search found, from its box and back to it.
  const box = document.querySelector("input[type=search]");
  const hits = [...document.querySelectorAll("[data-hits] a")];
  document.addEventListener("keydown", (event) => {
    const at = hits.indexOf(document.activeElement);
    if (!hits.length || (at < 0 && document.activeElement !== box)) return;
    if (event.altKey || event.ctrlKey || event.metaKey || event.shiftKey) return;
    const ends = at < 0 ? {} : { Home: 0, End: hits.length - 1, Escape: -1 };
    const to = { ArrowDown: at + 1, ArrowUp: at < 0 ? -1 : at - 1, ...ends }[event.key];
    if (to === undefined) return;
    event.preventDefault();
    (to < 0 ? box : hits[Math.min(to, hits.length - 1)]).focus();
  });
  let working = false, again = false;
  async function update() {
    if (working) { again = true; return; }
    working = true;
    try {
      const reply = await fetch(location.href, { headers: { accept: "text/html" }, credentials: "same-origin" });
      if (reply.ok) {
        const fresh = new DOMParser().parseFromString(await reply.text(), "text/html");
        for (const part of document.querySelectorAll("[data-part]")) {
          const next = fresh.querySelector(`[data-part="${CSS.escape(part.dataset.part)}"]`);
          if (!next || next.innerHTML === part.dataset.sent) continue;
          if (part.dataset.sent === undefined && next.innerHTML === part.innerHTML) continue;
          const open = [...part.querySelectorAll("details")].map((one) => one.open);
          const text = next.innerHTML;
          part.innerHTML = text;
          part.dataset.sent = text;
          part.querySelectorAll("details").forEach((one, at) => { if (open[at]) one.open = true; });
          part.classList.remove("moved"); void part.offsetWidth; part.classList.add("moved");
        }
      }
    } catch { /* the stream tells of the next change */ }
    working = false;
    if (again) { again = false; update(); }
  }
  const stream = root.dataset.events;
  if (stream && "EventSource" in window) {
    let events;
    const listen = () => {
      if (events) events.close();
      events = new EventSource(stream);
      events.addEventListener("changed", (event) => { root.dataset.state = event.data; update(); });
      events.addEventListener("hello", (event) => {
        if (root.dataset.state && root.dataset.state !== event.data) update();
        root.dataset.state = event.data;
        root.dataset.live = "1";
      });
    };
    listen();
    addEventListener("cadran:again", listen);
    addEventListener("pageshow", (event) => { if (event.persisted) listen(); });
    addEventListener("pagehide", () => events.close());
  }
  root.dataset.ready = "1";
})();
