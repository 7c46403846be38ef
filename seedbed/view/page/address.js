// What is looked at is the address alone, so that it can be sent on, and the browser's own buttons go back.

const asked = () => new URLSearchParams(location.search);

export function get(name, otherwise = "") {
  return asked().get(name) ?? otherwise;
}

/** The address with some values changed; an empty one is left out. */
export function changed(values) {
  const query = asked();
  for (const [name, value] of Object.entries(values)) {
    if (value === "" || value === null || value === undefined) query.delete(name);
    else query.set(name, value);
  }
  const text = query.toString();
  return text ? `/?${text}` : "/";
}

let follow = () => {};

export function onChange(callback) {
  follow = callback;
  addEventListener("popstate", () => follow());
  document.addEventListener("click", (event) => {
    const link = event.target.closest("a[href^='/']:not([download])");
    if (!link || event.metaKey || event.ctrlKey || event.shiftKey || event.button) return;
    event.preventDefault();
    go(link.getAttribute("href"));
  });
}

export function go(address) {
  history.pushState(null, "", address);
  follow();
}

/** Change the address without a new entry in the browser's history, and without drawing anew. */
export function note(values) {
  history.replaceState(null, "", changed(values));
}

export const QUESTION = ["text", "class", "split", "labelled", "sort", "order"];

export function question() {
  return Object.fromEntries(QUESTION.map((name) => [name, get(name)]));
}
