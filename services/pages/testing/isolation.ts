/** Stands for what somebody wrote; a closing isolate and an override, which would leave `<bdi>` if they stayed. */
export const WRITTEN = '\u2069\u202eWRITTEN';

const VOID = new Set(['meta', 'link', 'img', 'input', 'br', 'path', 'rect']);

/**
 * Looks for what somebody wrote in a page.
 * @returns how often it occurs in text, and each place where it is not isolated: it is neither in `<bdi>` nor alone in
 * a block with its own direction, or marks that change the direction came with it
 */
export function isolationOf(page: string): { found: number; faults: string[] } {
  const open: { name: string; attributes: string }[] = [];
  const faults: string[] = [];
  let found = 0;
  for (const [, close, name, attributes, text] of page.matchAll(
    /<(\/?)([a-z0-9]+)((?:[^>"]|"[^"]*")*)>|([^<]+)/gi,
  )) {
    if (name !== undefined) {
      if (close) open.splice(open.map((one) => one.name).lastIndexOf(name));
      else if (!VOID.has(name) && !attributes!.endsWith('/')) open.push({ name, attributes: attributes! });
      continue;
    }
    if (!text!.includes('WRITTEN')) continue;
    found += 1;
    const { name: parent, attributes: own } = open.at(-1)!;
    const where = `<${parent}${own}>${text}`;
    const isBlock = own.includes('dir="auto"');
    // A title can hold no element: there, marks isolate the text.
    const isMarked = parent === 'title' && text!.includes('\u2068WRITTEN\u2069');
    if (parent !== 'bdi' && !isBlock && !isMarked) faults.push(where);
    if (!isBlock && /[\u202a-\u202e]/.test(text!)) faults.push(`${where}: turns`);
  }
  return { found, faults };
}
