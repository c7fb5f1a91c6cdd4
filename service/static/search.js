// Says that a search is under way: the first one of a service takes seconds.
const busy = document.getElementById("busy");
for (const form of document.querySelectorAll("form[data-busy]")) {
  form.addEventListener("submit", () => { busy.hidden = false; });
}
const picture = document.querySelector(".picture input[type=file]");
// A chosen file is searched for at once; the button is for browsers without scripts.
if (picture) picture.form.querySelector("button").hidden = true;
picture?.addEventListener("change", () => { if (picture.files.length) picture.form.requestSubmit(); });
// A page that comes back from the browser's cache is not searching any more.
addEventListener("pageshow", () => { busy.hidden = true; });
