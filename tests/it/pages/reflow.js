// Whether everything stays within the width: with text of twice the size (WCAG 1.4.4), and with text further apart (WCAG 1.4.12). What fits so on a small phone
// fits so wherever there is more room.
() => {
  const problems = [];
  const root = document.documentElement;
  const measure = what => {
    if (root.scrollWidth <= root.clientWidth) return;
    const wide = [...document.querySelectorAll('body *')].filter(element => element.getBoundingClientRect().right > root.clientWidth + 1);
    const names = wide.slice(-3).map(element => `${element.localName}.${element.className} "${element.textContent.trim().slice(0, 40)}"`);
    problems.push(`${what} at ${root.clientWidth}: it is ${root.scrollWidth} wide: ${names.join(', ')}`);
  };
  measure('plain');
  const apart = new CSSStyleSheet();
  apart.replaceSync('* { line-height: 1.5 !important; letter-spacing: .12em !important; word-spacing: .16em !important } p { margin-bottom: 2em !important }');
  document.adoptedStyleSheets = [apart];
  measure('text further apart');
  document.adoptedStyleSheets = [];
  root.style.fontSize = '200%';
  measure('text of twice the size');
  root.style.fontSize = '';
  return problems;
}
