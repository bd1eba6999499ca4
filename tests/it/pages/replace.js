// Puts the same page in other words in the place of the one that is open, under its style sheet. Scripts that stand in it do not run: what they show is shown.
// What the page is made of, before and after.
html => {
  const parts = () => [...document.querySelectorAll('main :is(h1, h2, h3, section, article, form, input, button, table, dl)')].map(part => `${part.localName}#${part.id}`);
  const before = parts();
  const page = new DOMParser().parseFromString(html, 'text/html');
  document.documentElement.lang = page.documentElement.lang;
  document.title = page.title;
  document.body.replaceWith(document.adoptNode(page.body));
  for (const form of document.querySelectorAll('form[data-passkey]')) form.hidden = false;
  for (const without of document.querySelectorAll('[data-without-passkeys]')) without.hidden = true;
  return [before, parts()];
}
