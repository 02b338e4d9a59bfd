// What the pages do beyond htmx: a log that goes on, and a word where the Console is away.
// Everything can be read without it.
(function () {
  "use strict";

  // mostLines bounds a log in the page: browsers slow down with long ones.
  var mostLines = 2000;

  function follow(log) {
    var source = new EventSource(log.dataset.stream);
    var first = true;
    log.scrollTop = log.scrollHeight; // the latest is what somebody looks for
    source.addEventListener("lines", function (event) {
      var atEnd = log.scrollHeight - log.scrollTop - log.clientHeight < 40;
      if (first) { log.textContent = ""; first = false; }
      log.insertAdjacentHTML("beforeend", event.data); // the Console has escaped it
      while (log.childNodes.length > mostLines * 2) { log.removeChild(log.firstChild); }
      if (atEnd) { log.scrollTop = log.scrollHeight; }
    });
    // It has ended, or is begun anew by the browser: then the last lines come again.
    source.addEventListener("end", function () { source.close(); });
    source.onerror = function () { first = true; };
  }

  function start() {
    document.querySelectorAll("[data-stream]").forEach(follow);
    var lost = document.getElementById("lost");
    ["htmx:sseError", "htmx:sendError", "htmx:responseError"].forEach(function (trouble) {
      document.body.addEventListener(trouble, function () { lost.hidden = false; });
    });
    document.body.addEventListener("htmx:sseOpen", function () { lost.hidden = true; });
    document.body.addEventListener("htmx:afterRequest", function (event) { if (event.detail.successful) { lost.hidden = true; } });
  }

  if (document.readyState === "loading") {
    document.addEventListener("DOMContentLoaded", start);
  } else {
    start();
  }
})();
