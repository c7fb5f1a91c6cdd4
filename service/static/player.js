// Plays a video from the second that the page names, and keeps the scene strip in step with it.
const video = document.getElementById("player");
const strip = document.getElementById("strip");
const scenes = strip ? [...strip.querySelectorAll("a[data-start]")] : [];
const starts = scenes.map((scene) => Number(scene.dataset.start));
const start = Number(video.dataset.start);
const named = new URLSearchParams(location.search).has("t");
const HLS_TYPE = "application/vnd.apple.mpegurl";

function playFile() {
  if (video.dataset.file) load(video.dataset.file);
  else showBroken();
}

function load(address) {
  video.addEventListener("loadedmetadata", toStart, { once: true });
  video.src = address;
}

function toStart() {
  if (start > 0 && Math.abs(video.currentTime - start) > 0.001) video.currentTime = start;
}

function showBroken() {
  document.getElementById("broken").hidden = false;
}

function playHls(address) {
  // No worker: it would need a policy that lets scripts come from blobs.
  const hls = new window.Hls({ startPosition: start, enableWorker: false, capLevelToPlayerSize: true });
  let recoveries = 0;
  hls.on(window.Hls.Events.ERROR, (_event, error) => {
    if (!error.fatal) return;
    if (error.type === window.Hls.ErrorTypes.MEDIA_ERROR && recoveries++ < 2) {
      hls.recoverMediaError();
      return;
    }
    hls.destroy();
    playFile();
  });
  video.addEventListener("loadedmetadata", toStart, { once: true });
  hls.loadSource(address);
  hls.attachMedia(video);
}

function open() {
  const address = video.dataset.hls;
  if (address && window.Hls?.isSupported()) playHls(address);
  else if (address && video.canPlayType(HLS_TYPE)) load(address);
  else playFile();
  // Allowed when somebody came here from another page of ours; else the player waits at its second.
  if (named) video.play().catch(() => {});
}

let current = scenes.findIndex((scene) => scene.hasAttribute("aria-current"));

function markCurrent() {
  const now = video.currentTime + 0.002;
  const found = starts.findLastIndex((second) => second <= now);
  if (found === current || found < 0) return;
  scenes[current]?.removeAttribute("aria-current");
  current = found;
  scenes[current].setAttribute("aria-current", "true");
  showCurrent();
}

function showCurrent() {
  const item = scenes[current]?.parentElement;
  if (item) strip.scrollTo({ left: item.offsetLeft - (strip.clientWidth - item.clientWidth) / 2 - strip.offsetLeft });
}

function seekTo(second, address) {
  video.currentTime = Math.min(Math.max(0, second), video.duration || second);
  if (address) history.replaceState(null, "", address);
  markCurrent();
}

function seekToScene(index) {
  if (index < 0 || index >= scenes.length) return;
  seekTo(starts[index], scenes[index].getAttribute("href"));
}

function toggle() {
  if (video.paused) video.play().catch(() => {});
  else video.pause();
}

const keys = {
  " ": toggle,
  k: toggle,
  ArrowLeft: () => seekTo(video.currentTime - 5),
  ArrowRight: () => seekTo(video.currentTime + 5),
  j: () => seekTo(video.currentTime - 10),
  l: () => seekTo(video.currentTime + 10),
  n: () => seekToScene(current + 1),
  p: () => seekToScene(current - 1),
  m: () => { video.muted = !video.muted; },
  f: () => (document.fullscreenElement ? document.exitFullscreen() : video.requestFullscreen()),
};

document.addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey || event.target.closest("input, textarea, select")) return;
  // Buttons and links are pressed with the space bar.
  if (event.key === " " && event.target.closest("a, button")) return;
  const act = keys[event.key.length === 1 ? event.key.toLowerCase() : event.key];
  if (!act) return;
  event.preventDefault();
  act();
});

strip?.addEventListener("click", (event) => {
  const scene = event.target.closest("a[data-start]");
  if (!scene || event.ctrlKey || event.metaKey || event.shiftKey) return;
  event.preventDefault();
  seekToScene(scenes.indexOf(scene));
  video.play().catch(() => {});
});

const share = document.getElementById("share");
share.hidden = false;
share.addEventListener("click", async () => {
  const address = new URL(location.href);
  address.searchParams.set("t", String(Math.floor(video.currentTime * 1000) / 1000));
  history.replaceState(null, "", address);
  const label = share.textContent;
  try {
    await navigator.clipboard.writeText(address.href);
    share.textContent = "Copied";
  } catch {
    share.textContent = "Now in the address bar";
  }
  setTimeout(() => { share.textContent = label; }, 2000);
});

video.addEventListener("error", () => { if (video.currentSrc && video.error) showBroken(); });
video.addEventListener("timeupdate", markCurrent);
video.addEventListener("seeking", markCurrent);
showCurrent();
open();
