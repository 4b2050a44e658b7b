// Fills a page from two documents: /config/site.json (what this installation has) and a list of published entries.
const site = await load('/config/site.json');
if (site) {
  document.title = site.title;
  for (const place of document.querySelectorAll('[data-title]')) place.textContent = site.title;
  for (const { label, path } of site.navigation) {
    const link = document.createElement('a');
    link.href = path;
    link.textContent = label;
    document.querySelector('[data-navigation]').append(link);
  }
}
for (const place of document.querySelectorAll('[data-list]')) {
  const entries = await load(place.dataset.list);
  if (entries?.length) place.replaceChildren(...entries.map(article));
}

function article({ title, body, note }) {
  const element = document.createElement('article');
  // Only as text: an entry is data, never markup.
  for (const [tag, text] of [
    ['h2', title],
    ['p', body],
    ['small', note],
  ]) {
    if (!text) continue;
    const part = document.createElement(tag);
    part.textContent = text;
    element.append(part);
  }
  return element;
}

async function load(path) {
  const response = await fetch(path);
  return response.ok ? response.json() : undefined;
}
