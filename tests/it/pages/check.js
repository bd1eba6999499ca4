// One look at the page that is open: what is wrong with it, a sentence each. `axe` is there before (tests/it/pages/mod.rs).
// `extent` is "all" for every rule, and "layout" for what another width or another colour scheme can change.
async extent => {
  const problems = [];
  const where = element => {
    const name = element.id ? `#${element.id}` : element.getAttribute('name') ?? element.textContent.trim().slice(0, 40);
    return `${element.localName} ${name}`;
  };

  // WCAG 2.2 A and AA, axe's best practices, and contrast as AAA wants it.
  const tags = ['wcag2a', 'wcag2aa', 'wcag21a', 'wcag21aa', 'wcag22a', 'wcag22aa', 'best-practice'];
  const layout = ['color-contrast', 'color-contrast-enhanced', 'link-in-text-block', 'target-size', 'scrollable-region-focusable', 'label', 'button-name'];
  const found = await axe.run(document, {
    runOnly: extent === 'all' ? { type: 'tag', values: tags } : { type: 'rule', values: layout },
    rules: { 'color-contrast-enhanced': { enabled: true }, 'target-size': { enabled: true } },
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
