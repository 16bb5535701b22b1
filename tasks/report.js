"use strict";
const $ = (id) => document.getElementById(id);
const rows = [...$("chunks").children];

const clock = (seconds) => {
  const [h, m, s] = [seconds / 3600, (seconds / 60) % 60, seconds % 60].map(Math.floor);
  return h ? `${h}:${String(m).padStart(2, "0")}:${String(s).padStart(2, "0")}` : `${m}:${String(s).padStart(2, "0")}`;
};

function listen(audio) {
  const spoken = rows.filter((row) => row.dataset.start);
  const starts = spoken.map((row) => Number(row.dataset.start));
  const sections = [...document.querySelectorAll("#outline li")].map((item) => {
    const row = document.querySelector(item.firstElementChild.hash);
    return { item, start: Number(row.dataset.start ?? Infinity), title: item.querySelector("span").textContent };
  });
  const calm = matchMedia("(prefers-reduced-motion: reduce)");
  const wave = $("wave");
  const nav = $("outline")?.parentElement;
  let length = Number(wave.dataset.duration);
  let now = -1;
  let until = Infinity; // where a chunk that is heard on its own ends

  // The last that has begun; a seek to a start may land a rounding before it.
  const lastBegun = (times, at) => {
    let low = 0, high = times.length;
    while (low < high) {
      const middle = (low + high) >> 1;
      if (times[middle] <= at + 0.005) low = middle + 1; else high = middle;
    }
    return low - 1;
  };

  // The page stands still while the row is well in sight, and never glides over a whole book.
  function show(row) {
    const box = row.getBoundingClientRect();
    if (box.top > $("player").getBoundingClientRect().bottom && box.bottom < 0.8 * innerHeight) return;
    const near = Math.abs(box.top) < 2 * innerHeight;
    row.scrollIntoView({ block: "center", behavior: near && !calm.matches ? "smooth" : "instant" });
  }

  function mark(within, chosen) {
    for (const item of document.querySelectorAll(`${within} [aria-current]`)) item.removeAttribute("aria-current");
    for (const item of chosen) item.setAttribute("aria-current", "true");
  }

  function draw() {
    const at = audio.currentTime;
    wave.style.setProperty("--at", `${(100 * at) / length}%`);
    const text = clock(at);
    if ($("elapsed").textContent !== text) {
      $("elapsed").textContent = text;
      wave.setAttribute("aria-valuenow", Math.round(at));
      wave.setAttribute("aria-valuetext", text);
    }
    const index = lastBegun(starts, at);
    if (index === now) return;
    now = index;
    const row = spoken[now];
    mark(".chunks", row ? document.querySelectorAll(`.chunks [data-start="${row.dataset.start}"]`) : []);
    const section = sections.findLast((each) => each.start <= at + 0.005);
    mark("#outline", section ? [section.item] : []);
    if (section) nav.scrollTo({ top: section.item.offsetTop - nav.clientHeight / 2 });
    if (row && !row.hidden && $("follow").checked && until === Infinity) show(row);
  }

  function seek(seconds, end = Infinity) {
    until = end;
    audio.currentTime = Math.min(Math.max(0, seconds), length);
    draw();
  }

  function step(by) {
    let index = lastBegun(starts, audio.currentTime) + by;
    while (spoken[index]?.hidden) index += by;
    if (!spoken[index]) return;
    seek(starts[index]);
    show(spoken[index]);
  }

  const toggle = () => (audio.paused ? audio.play() : audio.pause());
  const pointed = (event) => {
    const box = wave.getBoundingClientRect();
    return Math.min(Math.max(0, (event.clientX - box.left) / box.width), 1) * length;
  };

  function tick() {
    if (audio.currentTime >= until) {
      until = Infinity;
      audio.pause();
    }
    draw();
    if (!audio.paused) requestAnimationFrame(tick);
  }
  for (const event of ["play", "pause"]) audio.addEventListener(event, () => {
    document.body.classList.toggle("playing", !audio.paused);
    $("toggle").setAttribute("aria-label", audio.paused ? "Play" : "Pause");
    tick();
  });
  audio.addEventListener("seeked", draw);
  audio.addEventListener("durationchange", () => { if (Number.isFinite(audio.duration)) length = audio.duration; });
  audio.addEventListener("error", () => { $("unplayable").hidden = false; });

  $("toggle").addEventListener("click", toggle);
  $("previous").addEventListener("click", () => step(-1));
  $("next").addEventListener("click", () => step(1));
  $("speed").addEventListener("change", (event) => { audio.playbackRate = Number(event.target.value); });
  for (const event of ["wheel", "touchmove"]) {
    addEventListener(event, () => { $("follow").checked &&= audio.paused; }, { passive: true });
  }
  document.addEventListener("click", (event) => {
    const row = event.target.closest(".chunks button")?.parentElement;
    if (!row) return;
    const start = Number(row.dataset.start);
    if (!audio.paused && now >= 0 && starts[now] === start) return audio.pause();
    seek(start, Number(row.dataset.end ?? Infinity));
    audio.play();
  });

  wave.addEventListener("pointerdown", (event) => {
    if (event.button) return;
    wave.setPointerCapture(event.pointerId);
    seek(pointed(event));
  });
  wave.addEventListener("pointermove", (event) => {
    const at = pointed(event);
    if (wave.hasPointerCapture(event.pointerId)) seek(at);
    const section = sections.findLast((each) => each.start <= at);
    $("hint").textContent = section ? `${clock(at)} · ${section.title}` : clock(at);
    wave.style.setProperty("--hint", `${(100 * at) / length}%`);
    $("hint").hidden = event.pointerType === "touch";
  });
  wave.addEventListener("pointerleave", () => { $("hint").hidden = true; });

  const keys = {
    " ": toggle,
    j: () => step(1),
    k: () => step(-1),
    ArrowRight: () => seek(audio.currentTime + 5),
    ArrowLeft: () => seek(audio.currentTime - 5),
  };
  document.addEventListener("keydown", (event) => {
    const press = keys[event.key.length === 1 ? event.key.toLowerCase() : event.key];
    const owned = event.target.closest(event.key === " " ? "input, select, button, a, summary" : "input, select");
    if (!press || owned || event.ctrlKey || event.metaKey || event.altKey) return;
    event.preventDefault();
    press();
  });

  audio.controls = false;
  for (const part of ["transport", "wave", "clock"]) $(part).hidden = false;
}

function search() {
  const plain = (text) => text.normalize("NFC").toLowerCase();
  let texts;
  function filter() {
    texts ??= rows.map((row) => plain(row.lastElementChild.firstElementChild.textContent));
    const query = plain($("query").value.trim());
    const only = $("filter").elements.only.value;
    let shown = 0;
    rows.forEach((row, index) => {
      row.hidden = !(texts[index].includes(query) && (!only || row.classList.contains(only)));
      shown += !row.hidden;
    });
    $("found").textContent = query || only ? `${shown.toLocaleString("en")} of ${rows.length.toLocaleString("en")}` : "";
  }
  $("filter").addEventListener("input", filter);
  $("filter").addEventListener("submit", (event) => event.preventDefault());
  document.addEventListener("keydown", (event) => {
    if (event.key !== "/" || event.target.closest("input, select")) return;
    event.preventDefault();
    $("query").focus();
  });
  $("filter").hidden = false;
}

if ($("audio")) listen($("audio"));
search();
if (matchMedia("(max-width: 62rem)").matches && $("outline")) $("outline").open = false;
