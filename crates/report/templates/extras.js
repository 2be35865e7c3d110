"use strict";
// An extra: everything can be read without it.
(function () {
  var tools = document.getElementById("tools");
  var find = document.getElementById("find");
  var found = document.getElementById("found");
  var checks = Array.from(document.querySelectorAll("details.check"));
  var buttons = Array.from(tools.querySelectorAll("[data-show]"));
  var texts = checks.map(function (check) {
    return check.querySelector("summary").textContent.toLowerCase();
  });
  var show = "all";
  tools.hidden = false;

  function apply() {
    var words = find.value.toLowerCase().split(/\s+/).filter(Boolean);
    var count = 0;
    checks.forEach(function (check, at) {
      var fits = show === "all"
        || (show === "attention" && check.dataset.outcome !== "pass")
        || (show === "one-witness" && "oneWitness" in check.dataset);
      fits = fits && words.every(function (word) { return texts[at].includes(word); });
      check.hidden = !fits;
      if (fits) count += 1;
    });
    document.querySelectorAll("section.group").forEach(function (group) {
      var own = group.querySelectorAll("details.check");
      group.hidden = own.length > 0 && !group.querySelector("details.check:not([hidden])");
    });
    found.textContent = show === "all" && !words.length ? "" : count + " of " + checks.length + " checks";
  }
  buttons.forEach(function (button) {
    button.addEventListener("click", function () {
      show = button.dataset.show;
      buttons.forEach(function (other) {
        other.setAttribute("aria-pressed", String(other === button));
      });
      apply();
    });
  });
  find.addEventListener("input", apply);
  function open(all, whether) { all.forEach(function (part) { part.open = whether; }); }
  document.getElementById("open").addEventListener("click", function () { open(checks, true); });
  document.getElementById("close").addEventListener("click", function () { open(checks, false); });
  // A link to a check opens it; paper shows everything.
  function reveal() {
    var target = document.getElementById(decodeURIComponent(location.hash.slice(1)));
    if (target && target.tagName === "DETAILS") {
      target.hidden = false;
      target.open = true;
      target.scrollIntoView();
    }
  }
  addEventListener("hashchange", reveal);
  addEventListener("beforeprint", function () { open(checks, true); });
  if (location.hash) reveal();
})();
