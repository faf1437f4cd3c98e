/* Search over the index that each language's folder carries; works from disk, without a network. */
(function () {
  "use strict";
  var form = document.querySelector("form.search");
  var index = window.cadranIndex;
  if (!form || !index) return;
  var up = document.body.dataset.up;
  var field = form.querySelector("input");
  var list = form.querySelector(".found");
  var said = form.querySelector("[role=status]");
  var MOST = 12;
  form.hidden = false;

  function folded(text) {
    return text.normalize("NFKD").replace(/[\u0300-\u036f]/g, "").replace(/_/g, " ").toLowerCase();
  }
  var entries = index.map(function (one) {
    return { one: one, title: folded(one.t), rest: folded(one.n + " " + one.d) };
  });

  /* Every word must occur; words that begin the title weigh most. */
  function weight(entry, words) {
    var sum = 0;
    for (var i = 0; i < words.length; i++) {
      var at = entry.title.indexOf(words[i]);
      if (at === 0) sum += 8;
      else if (at > 0) sum += entry.title[at - 1] === " " ? 6 : 3;
      else if (entry.rest.indexOf(words[i]) >= 0) sum += 1;
      else return 0;
    }
    return sum + (entry.one.u.indexOf("kpis/") === 0 ? 2 : 0);
  }

  function show() {
    var words = folded(field.value).split(/\s+/).filter(Boolean);
    list.replaceChildren();
    if (!words.length) { list.hidden = true; said.textContent = ""; return; }
    var found = entries
      .map(function (entry) { return { one: entry.one, weight: weight(entry, words) }; })
      .filter(function (entry) { return entry.weight > 0; })
      .sort(function (a, b) { return b.weight - a.weight; });
    found.slice(0, MOST).forEach(function (entry) {
      var item = document.createElement("li");
      var link = document.createElement("a");
      var kind = document.createElement("span");
      link.href = up + entry.one.u;
      link.textContent = entry.one.t;
      kind.textContent = entry.one.k + (entry.one.n && entry.one.n !== entry.one.t ? " · " + entry.one.n : "");
      link.append(kind);
      item.append(link);
      list.append(item);
    });
    if (!found.length) {
      var none = document.createElement("li");
      none.className = "none";
      none.textContent = field.dataset.none;
      list.append(none);
    }
    list.hidden = false;
    said.textContent = found.length ? found.length + " " + field.dataset.count : field.dataset.none;
  }

  function move(step) {
    var links = Array.prototype.slice.call(list.querySelectorAll("a"));
    var at = links.indexOf(document.activeElement) + step;
    if (at < 0) field.focus();
    else if (at < links.length) links[at].focus();
  }

  field.addEventListener("input", show);
  form.addEventListener("submit", function (event) {
    event.preventDefault();
    var first = list.querySelector("a");
    if (first) first.click();
  });
  form.addEventListener("keydown", function (event) {
    if (event.key === "ArrowDown") { event.preventDefault(); move(1); }
    else if (event.key === "ArrowUp") { event.preventDefault(); move(-1); }
    else if (event.key === "Escape") { field.value = ""; show(); field.focus(); }
  });
  document.addEventListener("keydown", function (event) {
    if (event.key === "/" && !/^(INPUT|TEXTAREA)$/.test(document.activeElement.tagName)) {
      event.preventDefault();
      field.focus();
    }
  });
  document.addEventListener("click", function (event) {
    if (!form.contains(event.target)) list.hidden = true;
  });
})();
