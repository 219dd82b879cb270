// What pages can do better with JavaScript. Everything works without it.
"use strict";

// A form with faults comes back with a list of them: begin there.
document.getElementById("felsammanfattning")?.focus();

// One press, one act. The server holds it too; this only spares the reader a second answer.
function free(form) {
  delete form.dataset.sent;
  for (const button of form.querySelectorAll("button[aria-disabled]")) button.removeAttribute("aria-disabled");
}
document.addEventListener("submit", (event) => {
  const form = event.target;
  if (event.defaultPrevented || form.hasAttribute("hx-post")) return;
  if (form.dataset.sent) {
    event.preventDefault();
    return;
  }
  form.dataset.sent = "yes";
  event.submitter?.setAttribute("aria-disabled", "true");
  setTimeout(() => free(form), 8000); // a download leaves the page where it is
});
addEventListener("pageshow", () => document.querySelectorAll("form[data-sent]").forEach(free));

// Two minutes before the session ends: say so, and offer to go on (WCAG 2.2, 2.2.1).
const session = document.getElementById("session");
if (session) {
  const warnBefore = 120;
  let timers = [];
  const show = (name) => {
    for (const text of session.querySelectorAll("[data-text]")) text.hidden = text.dataset.text !== name;
    session.querySelector("[data-act=extend]").hidden = name !== "soon";
    session.hidden = false;
  };
  const count = (left, fixed) => {
    timers.forEach(clearTimeout);
    session.hidden = true;
    timers = [
      setTimeout(show, Math.max(0, left - warnBefore) * 1000, fixed ? "fixed" : "soon"),
      setTimeout(show, left * 1000, "over"),
    ];
  };
  session.addEventListener("click", async (event) => {
    if (!event.target.closest("[data-act=extend]")) return;
    try {
      const answer = await fetch(session.dataset.extend, {
        method: "POST",
        headers: { "X-CSRF-Token": session.dataset.csrf },
      });
      if (!answer.ok) return show("over");
      const { seconds, fixed } = await answer.json();
      count(seconds, fixed);
    } catch {
      show("soon"); // the network is away: the button stays
    }
  });
  count(Number(session.dataset.left), "fixed" in session.dataset);
}

// --- Shared inbox: who else is here, told within a moment; and our own word that we are (web/live.py) ---
const live = document.getElementById("live");
if (live && window.EventSource) {
  const said = document.getElementById("live-said");
  const changed = document.getElementById("live-changed");
  let source, beat, before = "", saidAt = 0, saying;
  // A screen reader is told at most every ten seconds, of what is so then.
  const say = (text) => {
    clearTimeout(saying);
    saying = setTimeout(() => { said.textContent = text; saidAt = Date.now(); }, Math.max(0, saidAt + 10000 - Date.now()));
  };
  const show = ({ here, changes }) => {
    const shown = [];
    for (const place of document.querySelectorAll("[data-present]")) {
      const text = here[place.dataset.present] ?? "";
      if (place.textContent !== text) place.textContent = text;
      if (text) shown.push(text);
    }
    const text = shown.join(". ");
    if (text !== before) say(text);
    before = text;
    if (changes !== Number(live.dataset.changes)) changed.hidden = false;
  };
  const tell = (state) => {
    if (!live.dataset.presence) return;
    const body = new URLSearchParams({ kuvert: live.dataset.envelope, lage: state });
    fetch(live.dataset.presence, {
      method: "POST", body, keepalive: true, headers: { "X-CSRF-Token": live.dataset.csrf },
    }).catch(() => {}); // the network is away: the others forget us in half a minute
  };
  const begin = () => {
    if (source) return;
    source = new EventSource(live.dataset.stream);
    source.addEventListener("narvaro", (event) => show(JSON.parse(event.data)));
    source.addEventListener("slut", () => source.close());
    tell(live.dataset.state);
    beat = setInterval(() => tell(live.dataset.state), 15000);
  };
  const end = () => {
    source?.close();
    source = undefined;
    clearInterval(beat);
  };
  before = [...document.querySelectorAll("[data-present]")].map((place) => place.textContent).filter(Boolean).join(". ");
  // A page that nobody looks at neither listens nor says that somebody is there.
  const look = () => {
    if (document.visibilityState === "visible") begin();
    else { end(); tell("leaving"); }
  };
  addEventListener("pagehide", () => { end(); tell("leaving"); });
  addEventListener("pageshow", look);
  document.addEventListener("visibilitychange", look);
  look();
}
const newer = document.getElementById("nyare");
newer?.focus();

// --- forms of the social worker: conditions, counts, saving while one writes, undo's seconds, print ---

// Questions that depend on another answer. What is hidden is not sent; without JavaScript a hint says when to answer.
function askedNow(scope) {
  for (const part of scope.querySelectorAll("[data-when]")) {
    const name = part.dataset.when;
    const wanted = part.dataset.values.split(" ");
    const inputs = [...part.closest("form").elements].filter((one) => one.name === name);
    const asked = inputs.some((one) => (/^(?:radio|checkbox)$/.test(one.type) ? one.checked : true) && wanted.includes(one.value));
    part.hidden = !asked;
    for (const one of part.querySelectorAll("input, select, textarea")) one.disabled = !asked;
  }
}
for (const form of document.forms) {
  if (!form.querySelector("[data-when]")) continue;
  askedNow(form);
  form.addEventListener("change", () => askedNow(form));
}

for (const count of document.querySelectorAll("[data-count]")) {
  const text = document.getElementById(count.dataset.count);
  const before = count.textContent;
  const show = () => {
    const left = Number(text.dataset.max) - text.value.length;
    count.textContent = text.value ? `${before} ${text.value.length}/${text.dataset.max}` : before;
    count.classList.toggle("trouble", left < 0);
  };
  text.addEventListener("input", show);
  show();
}

for (const button of document.querySelectorAll("[data-act=print]")) {
  button.hidden = false;
  button.addEventListener("click", () => print());
}

for (const form of document.querySelectorAll("form.undo")) {
  const text = form.querySelector("[data-text]");
  const over = Date.now() + Number(form.dataset.left) * 1000;
  const tick = () => {
    const left = Math.ceil((over - Date.now()) / 1000);
    if (left > 0) {
      text.textContent = text.dataset.text.replace("{n}", left);
      setTimeout(tick, 250);
    } else {
      form.querySelector("button").hidden = true;
      text.textContent = text.dataset.over;
      form.dataset.over = "yes";
    }
  };
  tick();
}

// A text that no server takes is told here, where it still stands.
const LARGEST = 1_000_000; // characters of one form; docs/forms.md has the fields' own limits
document.addEventListener(
  "submit",
  (event) => {
    const form = event.target;
    if (!form.dataset.large) return;
    if (sizeOf(form) <= LARGEST) return;
    event.preventDefault();
    event.stopPropagation();
    told(form, form.dataset.large, true);
  },
  true,
);
function sizeOf(form) {
  return [...form.elements].reduce((sum, one) => sum + (one.value?.length ?? 0), 0);
}
function told(form, text, trouble = false) {
  const state = form.querySelector(".save-state");
  if (!state) return;
  state.textContent = text;
  state.classList.toggle("trouble", trouble);
  if (trouble) state.scrollIntoView({ block: "nearest" });
}

// A draft is saved at the latest five seconds after the last change, and when the page is left. Nothing is kept here.
for (const form of document.querySelectorAll("form[data-autosave]")) {
  const quiet = 2000;
  const soonest = 5000;
  let timer = 0;
  let firstAt = 0;
  let dirty = false;
  let running = null;
  let leaving = false;
  const body = () => new URLSearchParams(new FormData(form));
  const later = (wait) => {
    clearTimeout(timer);
    timer = setTimeout(save, wait);
  };
  const changed = () => {
    if (leaving) return;
    firstAt ||= Date.now();
    dirty = true;
    later(Math.max(0, Math.min(quiet, firstAt + soonest - 500 - Date.now())));
  };
  async function save() {
    if (running || !dirty || leaving) return;
    dirty = false;
    firstAt = 0;
    if (sizeOf(form) > LARGEST) return told(form, form.dataset.large, true);
    const sent = body();
    told(form, form.dataset.saving);
    running = send(sent);
    await running;
    running = null;
    if (dirty && !timer) later(quiet);
  }
  async function send(sent) {
    try {
      const answer = await fetch(form.dataset.autosave, { method: "POST", body: sent });
      if (answer.ok) {
        const { at, base } = await answer.json();
        form.elements.base.value = base;
        told(form, `${form.dataset.saved} ${at}`);
      } else if (answer.status === 409) {
        told(form, form.dataset.conflict, true);
      } else if (answer.status === 413) {
        told(form, form.dataset.large, true);
      } else if (answer.status === 401 || answer.status === 403) {
        // Signed in again in another tab: this page's token belongs to the session that has ended.
        again((await renewed()) ? form.dataset.saving : form.dataset.out);
      } else {
        again(form.dataset.offline);
      }
    } catch {
      again(form.dataset.offline);
    }
  }
  async function renewed() {
    const page = await fetch(form.action);
    if (!page.ok || page.redirected) return false;
    const fresh = new DOMParser().parseFromString(await page.text(), "text/html").querySelector("main [name=_csrf]");
    if (fresh) form.elements._csrf.value = fresh.value;
    return Boolean(fresh);
  }
  function again(text) {
    dirty = true;
    told(form, text, text !== form.dataset.saving);
    setTimeout(save, soonest);
  }
  form.addEventListener("input", changed);
  form.addEventListener("change", changed);
  addEventListener("online", () => later(0));
  // A saving that is on its way is waited for: it would make the page's own look like somebody else's.
  form.addEventListener("submit", (event) => {
    if (event.defaultPrevented) return;
    leaving = true;
    clearTimeout(timer);
    if (!running) return;
    event.preventDefault();
    const pressed = event.submitter;
    running.finally(() => form.requestSubmit(pressed));
  });
  addEventListener("pagehide", () => {
    if (!dirty || leaving || sizeOf(form) > LARGEST) return;
    const sent = body();
    fetch(form.dataset.autosave, { method: "POST", body: sent, keepalive: sent.toString().length < 60_000 }).catch(() => {});
    dirty = false;
  });
  addEventListener("pageshow", (event) => {
    leaving = false;
    if (event.persisted) location.reload(); // what was sent since then stands on the server
  });
}
