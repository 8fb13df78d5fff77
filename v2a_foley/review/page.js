"use strict";
(() => {
  const $ = (selector, root = document) => root.querySelector(selector);
  const $$ = (selector, root = document) => [...root.querySelectorAll(selector)];
  const root = document.documentElement;
  const live = "live" in root.dataset;
  const picture = $("#picture");
  const DRIFT = 0.06; // seconds that the picture may be off before it is put right

  // What is remembered between visits; private windows may not allow it.
  const memory = {
    get: (key) => { try { return localStorage.getItem("v2a-foley." + key); } catch { return null; } },
    set: (key, value) => { try { localStorage.setItem("v2a-foley." + key, value); } catch { /* not kept */ } },
  };

  let messageTimer = 0;
  function say(text, bad = false) {
    const box = $("#message");
    box.textContent = text;
    box.classList.toggle("bad", bad);
    box.hidden = false;
    clearTimeout(messageTimer);
    messageTimer = setTimeout(() => { box.hidden = true; }, bad ? 9000 : 4000);
  }

  // Theme -----------------------------------------------------------------------------------------
  const themes = ["auto", "light", "dark"];
  function setTheme(name) {
    if (name === "auto") delete root.dataset.theme; else root.dataset.theme = name;
    $("#theme span").textContent = name;
    memory.set("theme", name);
  }
  const nextTheme = () => setTheme(themes[(themes.indexOf(root.dataset.theme || "auto") + 1) % 3]);
  setTheme(themes.includes(memory.get("theme")) ? memory.get("theme") : "auto");

  // Scenes ----------------------------------------------------------------------------------------
  let current = null; // the id of the scene that keys act on
  const scenes = () => $$("article[data-scene]");
  const article = (id = current) => $("#scene-" + CSS.escape(id ?? ""));
  function choose(id, focus = true) {
    current = id;
    for (const each of scenes()) {
      const chosen = each.dataset.scene === id;
      each.classList.toggle("current", chosen);
      if (chosen) each.setAttribute("aria-current", "true"); else each.removeAttribute("aria-current");
    }
    if (picture && !now && article()) picture.currentTime = Number(article().dataset.start);
    for (const each of $$("#overview a")) each.classList.toggle("current", each.dataset.go === id);
    if (focus && article()) {
      article().focus({ preventScroll: true });
      article().scrollIntoView({ block: "start", behavior: "instant" });
    }
  }
  function step(by) {
    const all = scenes();
    const at = all.findIndex((each) => each.dataset.scene === current);
    const next = all[Math.min(Math.max(at + by, 0), all.length - 1)];
    if (next) choose(next.dataset.scene);
  }

  // Playing ---------------------------------------------------------------------------------------
  let now = null; // {button, audio, begin, end, at}: what plays
  const lastTake = {}; // by scene, the number of the candidate heard last
  let looping = memory.get("loop") === "on";
  const timecode = (seconds) => {
    const whole = Math.max(0, Math.round(seconds * 1000));
    const two = (number) => String(Math.floor(number)).padStart(2, "0");
    const hours = Math.floor(whole / 3600000);
    const clock = two(whole / 60000 % 60) + ":" + two(whole / 1000 % 60) + "." + String(whole % 1000).padStart(3, "0");
    return hours ? hours + ":" + clock : clock;
  };
  function onward() { // the mix, from the current scene to the programme's end
    const button = $("#onward");
    if (!button || now?.button === button) { stop(); return; }
    const begin = article()?.dataset.start ?? 0;
    Object.assign(button.dataset, { begin, at: begin, seconds: $("#overview").dataset.seconds - begin });
    start(button);
  }
  function start(button, offset = 0) {
    stop();
    const audio = document.getElementById(button.dataset.sound);
    if (!audio) return;
    const begin = Number(button.dataset.begin);
    now = { button, audio, begin, end: begin + Number(button.dataset.seconds), at: Number(button.dataset.at) };
    const scene = button.closest("article");
    const take = button.closest("[data-take]");
    if (scene) choose(scene.dataset.scene, false);
    if (take) lastTake[current] = Number(take.dataset.take);
    button.setAttribute("aria-pressed", "true");
    button.closest(".row")?.classList.add("on");
    root.dataset.playing = "";
    $("#playing").textContent = button.dataset.title.replace(/^./, (letter) => letter.toUpperCase());
    $("#stop").disabled = false;
    seek(offset);
    audio.play().catch((problem) => {
      if (problem.name !== "AbortError") { say("It cannot be played: " + problem.message, true); stop(); }
    });
    requestAnimationFrame(follow);
  }
  function stop() {
    if (!now) return;
    const { button, audio } = now;
    now = null;
    audio.pause();
    picture?.pause();
    button.setAttribute("aria-pressed", "false");
    button.closest(".row")?.classList.remove("on");
    delete root.dataset.playing;
    $("#playing").textContent = "Nothing is playing";
    $("#stop").disabled = true;
  }
  function seek(offset) {
    const to = Math.min(Math.max(now.begin + offset, now.begin), now.end - 0.05);
    now.audio.currentTime = to;
    if (picture) picture.currentTime = now.at + to - now.begin;
    show();
  }
  function show() {
    const offset = now.audio.currentTime - now.begin;
    const time = now.at + offset;
    $("#clock").textContent = timecode(time);
    const lane = now.button.closest(".row")?.querySelector(".lane i");
    if (lane) lane.style.left = 100 * offset / (now.end - now.begin) + "%";
    const head = $("#playhead");
    const share = 100 * time / Number($("#overview").dataset.seconds) + "%";
    head.setAttribute("x1", share);
    head.setAttribute("x2", share);
    return time;
  }
  function follow() {
    if (!now) return;
    const { audio } = now;
    if (audio.ended || audio.currentTime >= now.end) {
      if (!looping) { stop(); return; }
      seek(0);
      audio.play().catch(() => stop());
    }
    const time = show();
    if (now.button.id === "onward") {
      const passed = scenes().filter((each) => Number(each.dataset.start) <= time).at(-1);
      if (passed && passed.dataset.scene !== current) choose(passed.dataset.scene, false);
    }
    if (picture && picture.readyState > 1) {
      if (audio.paused !== picture.paused && !picture.ended) {
        if (audio.paused) picture.pause(); else picture.play().catch(() => {});
      }
      if (!picture.seeking && Math.abs(picture.currentTime - time) > DRIFT) picture.currentTime = time;
    }
    requestAnimationFrame(follow);
  }
  function toggle(button) {
    if (!button) return;
    if (now?.button === button) stop(); else start(button);
  }
  function setLoop(on) {
    looping = on;
    $("#loop").setAttribute("aria-pressed", String(on));
    memory.set("loop", on ? "on" : "off");
  }
  setLoop(looping);

  // Changing the cue sheet, where a server is behind the page ---------------------------------------
  let busy = Promise.resolve(); // changes are made one after the other
  let version = null; // of the sheet and its stems, as this page shows them
  async function post(path, body) {
    const answer = await fetch(path, {
      method: "POST", credentials: "same-origin", redirect: "error",
      headers: { "Content-Type": "application/json" }, body: JSON.stringify(body),
    });
    const told = await answer.json();
    if (!answer.ok) throw new Error(told.error);
    return told;
  }
  function edit(action, value, scene = current) {
    if (!scene) return;
    if (!live) {
      say("This page is a copy. To change the cue sheet here, open it with v2a-foley review --serve.");
      return;
    }
    busy = busy.then(async () => {
      const told = await post("/edit", { action, scene, value });
      say(told.done);
      version = told.version;
      await refresh();
    }).catch((problem) => { say(problem.message, true); return refresh().catch(() => {}); });
  }
  function render() {
    if (!live) { edit(); return; }
    busy = busy.then(() => post("/render", {})).then(watch).catch((problem) => say(problem.message, true));
  }
  async function refresh() {
    const answer = await fetch("/", { credentials: "same-origin", redirect: "error" });
    const text = await answer.text();
    if (!answer.ok) throw new Error(JSON.parse(text).error);
    const fresh = new DOMParser().parseFromString(text, "text/html");
    const ids = (page) => $$("article[data-scene]", page).map((each) => each.id).join();
    if (ids(fresh) !== ids(document)) { location.reload(); return; }
    for (const part of $$("[data-rev]", fresh)) {
      const old = document.getElementById(part.id);
      if (!old || old.dataset.rev === part.dataset.rev) continue;
      if (now && (old.contains(now.button) || old.contains(now.audio))) stop();
      swap(old, part);
    }
    choose(current, false);
  }
  function swap(old, part) {
    const inside = old.contains(document.activeElement) ? document.activeElement : null;
    const key = inside && (inside.dataset.edit ? `[data-edit="${inside.dataset.edit}"]` : ".play");
    const place = key ? $$(key, old).indexOf(inside) : -1;
    for (const each of $$("audio", old)) { // what is half loaded would hold its connection
      each.removeAttribute("src");
      each.load();
    }
    part.remove();
    old.replaceWith(document.adoptNode(part));
    if (inside) ($$(key, part)[place] ?? part).focus({ preventScroll: true });
  }
  async function watch() {
    let state;
    try {
      state = await (await fetch("/state", { credentials: "same-origin", redirect: "error" })).json();
    } catch {
      state = { text: "The server has stopped", busy: true, version };
    }
    if (state.failed && state.text !== $("#work").textContent) say(state.text, true);
    $("#work").textContent = state.text;
    $("#render").disabled = state.busy;
    const changed = version !== null && state.version !== version;
    version = state.version;
    if (changed) await refresh().catch((problem) => say(problem.message, true));
  }
  if (live) {
    watch();
    setInterval(() => { if (!document.hidden) watch(); }, 1500);
  }

  // Input -----------------------------------------------------------------------------------------
  document.addEventListener("click", (event) => {
    const target = event.target;
    const button = target.closest("button");
    const lane = target.closest(".lane:not(.gone)");
    const link = target.closest("[data-go]");
    if (button?.matches(".play")) toggle(button);
    else if (button?.id === "onward") onward();
    else if (button?.id === "stop") stop();
    else if (button?.id === "loop") setLoop(!looping);
    else if (button?.id === "theme") nextTheme();
    else if (button?.id === "keys") $("#help").showModal();
    else if (button?.id === "render") render();
    else if (button?.dataset.edit) act(button);
    else if (lane) {
      const own = $(".play", lane.closest(".row"));
      const box = lane.getBoundingClientRect();
      const offset = (event.clientX - box.left) / box.width * Number(own.dataset.seconds);
      if (now?.button === own) seek(offset); else start(own, offset);
    } else if (link) {
      event.preventDefault();
      choose(link.dataset.go);
    } else {
      const scene = target.closest("article[data-scene]");
      if (scene) choose(scene.dataset.scene, false);
    }
  });
  function act(button) {
    const scene = button.closest("article").dataset.scene;
    choose(scene, false);
    const pressed = button.getAttribute("aria-pressed") === "true";
    const { edit: action, value } = button.dataset;
    if (action === "pick") edit(action, pressed ? null : Number(value), scene);
    else edit(action, action === "reroll" ? null : !pressed, scene);
  }
  document.addEventListener("change", (event) => {
    const field = event.target;
    const action = field.dataset?.edit;
    if (field.id === "use-keys") memory.set("keys", field.checked ? "on" : "off");
    if (!action) return;
    const scene = field.closest("article").dataset.scene;
    choose(scene, false);
    if (field.checkValidity() && field.value !== "") {
      edit(action, action === "gain" ? Number(field.value) : field.value, scene);
    } else say("The gain is a number from -60 to 24 dB, in steps of half a dB.", true);
  });
  $("#help").addEventListener("close", () => {
    if ($("#help").contains(document.activeElement)) document.activeElement.blur();
  });
  $("#use-keys").checked = memory.get("keys") !== "off";

  const button = (selector) => article() && $(selector, article());
  function gain(by) {
    const field = button('[data-edit="gain"]');
    if (field) edit("gain", Math.min(24, Math.max(-60, Number(field.value) + by))); else edit();
  }
  const flip = (action) => {
    const own = button(`[data-edit="${action}"]`);
    if (own) act(own); else edit();
  };
  const keys = {
    j: () => step(1),
    k: () => step(-1),
    " ": () => (now ? stop() : toggle(button(".mix .play") ?? button(".play"))),
    ArrowLeft: () => now && seek(now.audio.currentTime - now.begin - 0.5),
    ArrowRight: () => now && seek(now.audio.currentTime - now.begin + 0.5),
    Escape: () => stop(),
    a: () => onward(),
    l: () => setLoop(!looping),
    m: () => flip("mute"),
    s: () => flip("solo"),
    r: () => flip("reroll"),
    p: () => {
      const number = lastTake[current];
      if (number) edit("pick", number); else say("Play a candidate first; p uses the one played last.");
    },
    "+": () => gain(1),
    "=": () => gain(1),
    "-": () => gain(-1),
    R: () => render(),
    t: () => nextTheme(),
    "?": () => $("#help").showModal(),
  };
  document.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey || $("#help").open) return;
    const target = event.target;
    if (target.matches("input, select, textarea")) return;
    if (event.key === " " && target.matches("button, a")) return;
    if (memory.get("keys") === "off" && !["Escape", "?"].includes(event.key)) return;
    const number = /^[1-9]$/.test(event.key) && button(`[data-take="${event.key}"] .play`);
    const act = number ? () => toggle(number) : keys[event.key];
    if (!act) return;
    const idle = event.key.startsWith("Arrow") && !now;
    if (!idle) event.preventDefault();
    act();
  });

  const named = location.hash.slice("#scene-".length);
  const first = scenes()[0]?.dataset.scene ?? null;
  choose(article(named) ? named : first, false);
})();
