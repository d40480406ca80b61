/** Generated parts of documents that are otherwise written by hand. Pure. */

/**
 * Replaces what stands between `<!-- name -->` and `<!-- /name -->`.
 * @throws Error naming the marker that is not there
 */
export function replaceBetweenMarkers(text: string, name: string, part: string): string {
  const [begin, end] = [`<!-- ${name} -->`, `<!-- /${name} -->`];
  const [from, to] = [text.indexOf(begin), text.indexOf(end)];
  if (from === -1 || to < from) throw new Error(`the document has no place ${begin} … ${end}`);
  return `${text.slice(0, from + begin.length)}\n${part}\n${text.slice(to)}`;
}
