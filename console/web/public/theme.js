// Runs before the first paint, so a chosen theme does not flash.
(function () {
  var chosen = null;
  try {
    chosen = localStorage.getItem("sc-theme");
  } catch (e) {
    // Storage may be forbidden; the system's theme is used then.
  }
  if (chosen === "light" || chosen === "dark")
    document.documentElement.dataset.theme = chosen;
})();
