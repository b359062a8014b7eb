// Lets xterm.js work under "style-src 'self'".
//
// The terminal writes its rules into <style> elements and some colours into
// style attributes, which the policy forbids.  The same through the object
// model is allowed: rules in constructed style sheets, and element.style.  Its
// option 'documentOverride' does not reach all places (its viewport asks
// window.document), so the two functions it uses are replaced for the page,
// once, when the terminal's code is loaded.  Nothing else here uses them so.

let done = false;

export function allowStyles(): void {
  if (done) return;
  done = true;
  const createElement = document.createElement.bind(document);
  document.createElement = ((name: string, options?: ElementCreationOptions) =>
    name.toLowerCase() === "style" ? styleElement(createElement("meta")) : createElement(name, options)) as typeof document.createElement;
  const setAttribute = Element.prototype.setAttribute;
  Element.prototype.setAttribute = function (this: Element, name: string, value: string) {
    if (name === "style" && this instanceof HTMLElement) this.style.cssText = value;
    else setAttribute.call(this, name, value);
  };
}

/** Makes 'holder', an element without effect, act as a <style> element whose
 * rules are in a constructed sheet. */
function styleElement(holder: HTMLElement): HTMLElement {
  const sheet = new CSSStyleSheet();
  document.adoptedStyleSheets = [...document.adoptedStyleSheets, sheet];
  const text = { get: () => "", set: (css: string) => sheet.replaceSync(css) };
  Object.defineProperties(holder, { textContent: text, innerText: text, sheet: { get: () => sheet } });
  const remove = holder.remove.bind(holder);
  holder.remove = () => {
    document.adoptedStyleSheets = document.adoptedStyleSheets.filter((s) => s !== sheet);
    remove();
  };
  return holder;
}
