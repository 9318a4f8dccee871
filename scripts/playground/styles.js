// Runs in the browser, before GraphiQL's own script. Its editor writes styles as text, into markup and into style elements,
// and the content security policy lets in neither: text is where an injected style would stand. Here the first are set
// through the CSSOM, which only a script can do, and the others are given the nonce of this answer.
(() => {
  const { nonce } = document.currentScript;
  /** Where the text of a `style` attribute waits until the element is there. */
  const WAITING = 'data-style-text';
  const TAG = /<[a-z](?:"[^"]*"|'[^']*'|[^"'>])*>/gi;
  /** Quoted values are matched as well, so that nothing in them is taken for an attribute. */
  const STYLE_NAME = /"[^"]*"|'[^']*'|(?<=[\s"'])style(?=\s*=)/gi;

  const setAside = (html) =>
    String(html).replace(TAG, (tag) => tag.replace(STYLE_NAME, (part) => (/^style$/i.test(part) ? WAITING : part)));

  function applyIn(parent) {
    for (const element of parent.querySelectorAll(`[${WAITING}]`)) {
      element.style.cssText = element.getAttribute(WAITING);
      element.removeAttribute(WAITING);
    }
  }

  const { createElement } = Document.prototype;
  Document.prototype.createElement = function (...args) {
    const element = createElement.apply(this, args);
    if (element instanceof HTMLStyleElement) element.nonce = nonce;
    return element;
  };

  const { setAttribute, insertAdjacentHTML } = Element.prototype;
  Element.prototype.setAttribute = function (name, value) {
    if (String(name).toLowerCase() === 'style') this.style.cssText = value;
    else setAttribute.call(this, name, value);
  };

  const innerHTML = Object.getOwnPropertyDescriptor(Element.prototype, 'innerHTML');
  Object.defineProperty(Element.prototype, 'innerHTML', {
    ...innerHTML,
    set(html) {
      innerHTML.set.call(this, setAside(html));
      applyIn(this);
    },
  });
  Element.prototype.insertAdjacentHTML = function (position, html) {
    insertAdjacentHTML.call(this, position, setAside(html));
    applyIn(this.parentNode ?? this);
  };
})();
