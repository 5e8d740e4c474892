// Runs once for every HTML component of the page: `element` is its root, `trigger` tells the server,
// `watch` calls back after a new value was drawn. What to do stands in data attributes:
//   data-action   the event sent to the server, with all other data attributes
//   data-confirm  a question to answer with yes first      data-prompt  a text to type first
//   data-local    something that needs no server
//   data-collect  send the values of the ticked boxes of this name (data-tick) along, as `chosen`
// Gradio's event for an action, where it is not "click".
const EVENTS = { show: "select", close: "select", ask: "submit", limit: "limit" };
const THEME = "orbweaver-theme";

function setTheme(name) {
  document.body.classList.toggle("dark", name === "dark");
  document.documentElement.style.colorScheme = name;
}

function toggleTheme() {
  const name = document.body.classList.contains("dark") ? "light" : "dark";
  localStorage.setItem(THEME, name);
  setTheme(name);
}

function openTab(name) {
  const tabs = [...document.querySelectorAll("[role=tab]")];
  tabs.find((tab) => tab.textContent.trim() === name)?.click();
}

// A dialog of the platform's own: it traps focus, Escape cancels, and its words are never HTML.
function inquire({ text, input, yes }) {
  const dialog = document.createElement("dialog");
  const form = document.createElement("form");
  const label = document.createElement("label");
  const field = document.createElement("input");
  const buttons = document.createElement("div");
  const cancel = document.createElement("button");
  const submit = document.createElement("button");
  dialog.className = "orb-dialog";
  form.method = "dialog";
  label.append(text);
  Object.assign(field, { value: input ?? "", maxLength: 200, required: true });
  Object.assign(cancel, { type: "button", textContent: "Cancel", onclick: () => dialog.close("") });
  Object.assign(submit, { type: "submit", textContent: yes, value: "yes" });
  submit.className = input === undefined ? "danger" : "primary";
  if (input !== undefined) label.append(field);
  buttons.append(cancel, submit);
  form.append(label, buttons);
  dialog.append(form);
  (document.querySelector(".gradio-container") ?? document.body).append(dialog);
  dialog.showModal();
  (input === undefined ? cancel : field).focus();
  field.select();
  return new Promise((resolve) => {
    dialog.addEventListener("close", () => {
      resolve(dialog.returnValue === "yes" ? (input === undefined ? "yes" : field.value) : null);
      dialog.remove();
    });
  });
}

async function act(target) {
  const { confirm, prompt, ...data } = target.dataset;
  if (confirm !== undefined) {
    if ((await inquire({ text: confirm, yes: data.yes ?? "Remove" })) === null) return;
  }
  if (prompt !== undefined) {
    data.value = await inquire({ text: prompt, input: data.value ?? "", yes: "Save" });
    if (data.value === null) return;
  }
  if (target instanceof HTMLSelectElement) data.value = target.value;
  if (data.collect !== undefined) data.chosen = collect(data.collect);
  if (data.action === "show") window.orbweaverOpener = target;
  trigger(EVENTS[data.action] ?? "click", data);
}

// Ticking a file tells the server all that are ticked; the list stays open and only its summary changes.
function limit(details) {
  const chosen = [...details.querySelectorAll("input:checked")].map((box) => box.value);
  const files = `Only ${chosen.length} ${chosen.length === 1 ? "file" : "files"}`;
  details.querySelector("[data-chosen]").textContent = chosen.length ? files : "All files";
  trigger(EVENTS.limit, { chosen });
}

// What is ticked stays ticked when a list is drawn again.
const ticks = (window.orbweaverTicks ??= new Set());

function collect(name) {
  const boxes = [...element.querySelectorAll("input[data-tick]")];
  return boxes.filter((box) => box.checked && box.dataset.tick === name).map((box) => box.value);
}

function find(field) {
  const wanted = field.value.trim().toLowerCase();
  for (const label of field.parentElement.querySelectorAll("label")) {
    label.hidden = !label.textContent.toLowerCase().includes(wanted);
  }
}

function closeMenus(except) {
  for (const menu of document.querySelectorAll("details.menu[open]")) {
    if (menu !== except) menu.open = false;
  }
}

// The words found are brought to the upper third of the text around them, without moving the page.
function drawn() {
  for (const frame of element.querySelectorAll("[data-frame]")) {
    const found = frame.querySelector("[data-found]");
    if (!found) continue;
    // The text scrolls by itself beside a page's picture; alone, its whole panel scrolls.
    const scrolling = frame.scrollHeight > frame.clientHeight ? frame : frame.closest("#source");
    const distance = found.getBoundingClientRect().top - scrolling.getBoundingClientRect().top;
    scrolling.scrollTop += distance - scrolling.clientHeight / 3;
  }
  for (const box of element.querySelectorAll("input[data-tick]")) {
    box.checked = ticks.has(box.value);
  }
  element.querySelector("[data-take-focus]")?.focus({ preventScroll: true });
  const behavior = matchMedia("(prefers-reduced-motion: reduce)").matches ? "auto" : "smooth";
  element.querySelector("[data-bring]")?.scrollIntoView({ block: "start", behavior });
  const place = element.querySelector("[data-place]")?.dataset.place;
  if (place !== undefined) history.replaceState(null, "", place || location.pathname);
}

element.addEventListener("click", (event) => {
  const target = event.target.closest("button[data-action], button[data-local]");
  if (!target) return;
  if (target.dataset.local === "theme") toggleTheme();
  if (target.dataset.local === "documents") openTab("Documents");
  if (target.dataset.action === "close") window.orbweaverOpener?.focus();
  if (target.dataset.local === "chats") target.closest("nav").classList.toggle("is-open");
  if (target.dataset.action) act(target);
  const menu = target.closest("details.menu");
  if (menu) menu.open = false;
});
element.addEventListener("change", (event) => {
  if (event.target.matches("select[data-action]")) act(event.target);
  if (event.target.matches("input[data-tick]")) {
    ticks[event.target.checked ? "add" : "delete"](event.target.value);
  }
  if (event.target.matches("input[data-action='limit']")) limit(event.target.closest("details"));
});
element.addEventListener("input", (event) => {
  if (event.target.matches("input[data-find]")) find(event.target);
});
element.addEventListener("keydown", (event) => {
  if (event.key !== "Escape") return;
  closeMenus(null);
  element.querySelector("button[data-action='close']")?.click();
});
document.addEventListener("click", (event) => closeMenus(event.target.closest("details.menu")));
if (element.closest("#live")) element.setAttribute("aria-live", "polite");
watch("value", drawn);
if (localStorage.getItem(THEME)) setTheme(localStorage.getItem(THEME));
drawn();
