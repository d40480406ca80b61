/** The generated parts of documents that are written by hand. Pure. */

/**
 * Replaces the text between `<!-- name -->` and `<!-- /name -->`.
 * @throws Error naming the missing marker
 */
export function replaceBetweenMarkers(text: string, name: string, part: string): string {
  const [begin, end] = [`<!-- ${name} -->`, `<!-- /${name} -->`];
  const [from, to] = [text.indexOf(begin), text.indexOf(end)];
  if (from === -1 || to < from) throw new Error(`the document has no place ${begin} … ${end}`);
  return `${text.slice(0, from + begin.length)}\n${part}\n${text.slice(to)}`;
}
