// One look at the page that is open: what is wrong with it, a sentence each. `loadAxe` is there before (tests/it/pages/inspector.rs).
// `extent` is "all" for every rule, "layout" for what another width or another colour scheme can change, and "words" for what another language can change.
// `facts` is what the page must be, `reflow` the function of reflow.js.
async (extent, facts, reflow) => {
  const problems = [];
  const where = element => {
    const name = element.id ? `#${element.id}` : element.getAttribute('name') ?? element.textContent.trim().slice(0, 40);
    return `${element.localName} ${name}`;
  };
  if (extent !== 'layout') problems.push(...reflow());

  const { lang } = document.documentElement;
  if (lang !== facts.language) problems.push(`its language is ${lang}`);
  const entries = ['navigation', 'resource'].flatMap(kind => performance.getEntriesByType(kind));
  const weight = entries.filter(entry => entry.initiatorType !== 'fetch').reduce((sum, entry) => sum + entry.decodedBodySize, 0);
  const [least, most] = facts.weight;
  if (extent === 'all' && (weight < least || weight >= most)) problems.push(`it weighs ${weight} bytes`);
  const wrong = [...document.querySelectorAll('main .note.bad[role=alert]')].some(note => note.checkVisibility());
  if (wrong && !document.title.startsWith('Error')) problems.push(`its title does not say that something is wrong: ${document.title}`);

  // WCAG 2.2 A and AA, axe's best practices, and contrast as AAA wants it: that rule of axe takes what is below AA for the other rule's matter.
  const tags = ['wcag2a', 'wcag2aa', 'wcag21a', 'wcag21aa', 'wcag22a', 'wcag22aa', 'best-practice'];
  const contrast = ['color-contrast', 'color-contrast-enhanced'];
  const layout = [...contrast, 'link-in-text-block', 'target-size', 'scrollable-region-focusable', 'label', 'button-name'];
  // Only the text is another one: colours, roles and structure are those of the page in English.
  const words = ['html-has-lang', 'html-lang-valid', 'valid-lang', 'document-title', 'label', 'button-name', 'link-name', 'svg-img-alt', 'empty-heading', 'target-size'];
  if (!window.axe) loadAxe();
  const found = await axe.run(document, {
    runOnly: extent === 'all' ? { type: 'tag', values: tags } : { type: 'rule', values: extent === 'words' ? words : layout },
    rules: { 'target-size': { enabled: true }, 'color-contrast-enhanced': { enabled: true } },
    resultTypes: ['violations'],
    preload: false,
  });
  const told = node => `${node.target.join(' ')}: ${node.failureSummary.split('\n').slice(1).join(';').trim()}`;
  problems.push(...found.violations.flatMap(rule => rule.nodes.map(node => `axe ${rule.id}: ${told(node)}`)));

  const width = document.documentElement.clientWidth;
  if (document.documentElement.scrollWidth > width) {
    const wide = [...document.querySelectorAll('main *')].find(element => element.getBoundingClientRect().right > width + 1);
    problems.push(`it scrolls sideways: ${wide ? where(wide) : document.documentElement.scrollWidth}`);
  }

  const shown = element => element.checkVisibility() && element.getClientRects().length > 0;
  const controls = [...document.querySelectorAll('a[href], button, summary, input, select, textarea')];
  for (const control of controls.filter(shown)) {
    // A tick box is as large as its label; a link within a sentence is as high as its line (WCAG 2.5.8, "Inline").
    const target = ['checkbox', 'radio'].includes(control.type) ? control.labels[0] : control;
    const inSentence = control.localName === 'a' && getComputedStyle(control).display === 'inline';
    const { height, width: across } = target.getBoundingClientRect();
    const hidden = control.matches('.hidden, .skip');
    if (!inSentence && !hidden && (height < 44 || across < 44)) {
      problems.push(`smaller than 44 pixels: ${where(control)} ${Math.round(across)} x ${Math.round(height)}`);
    }
  }
  if (extent === 'words') return problems;
  const before = document.activeElement;
  for (const control of [...controls, ...document.querySelectorAll('[tabindex="0"]')].filter(shown)) {
    if (control.tabIndex < 0 || control.disabled) continue;
    control.focus({ focusVisible: true, preventScroll: true });
    const { outlineStyle, outlineWidth } = getComputedStyle(control);
    if (outlineStyle === 'none' || parseFloat(outlineWidth) < 2) problems.push(`no ring around the focus: ${where(control)}`);
  }
  document.activeElement.blur();
  if (before !== document.body) before.focus({ preventScroll: true });

  if (matchMedia('(prefers-reduced-motion: reduce)').matches) {
    const moves = element => ['transitionDuration', 'animationDuration'].some(name => parseFloat(getComputedStyle(element)[name]) > 0);
    problems.push(...[...document.querySelectorAll('*')].filter(moves).map(element => `it moves: ${where(element)}`));
  }
  return problems;
}
