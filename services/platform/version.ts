// An import would read all that the module exports, and so load its streams and promises.
const { readFileSync } = process.getBuiltinModule('node:fs');

/** This program's, from package.json, which is in the image as well: Node reads the paths of imports there. */
export const readVersion = (): string =>
  (JSON.parse(readFileSync(new URL('../../package.json', import.meta.url), 'utf8')) as { version: string })
    .version;
