// Follows a run: what the server sends is the part of the page that changes, made there and escaped there.
"use strict";
const run = document.getElementById("run");
if (run && run.dataset.events) {
  const source = new EventSource(run.dataset.events);
  const show = (event) => { run.innerHTML = event.data; };
  source.addEventListener("state", show);
  source.addEventListener("over", (event) => {
    source.close();
    if (event.lastEventId && event.data !== "over") show(event);
  });
}
