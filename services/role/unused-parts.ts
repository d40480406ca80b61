import { registerHooks } from 'node:module';

/**
 * What packages load at their start, by the file that asks for it, and no program of ours uses. It is a quarter of what
 * a page server would load otherwise.
 */
const UNUSED: Readonly<Record<string, readonly string[]>> = {
  // Messages in fifty languages. The English ones are asked for by themselves.
  'zod/v4/core/index.js': ['../locales/index.js'],
  'zod/v4/classic/external.js': ['../locales/index.js'],
  // Bodies are read by `bodyOf`, files by `assets.ts`, queries as `node:querystring` reads them.
  'express/lib/express.js': ['body-parser', 'serve-static'],
  'express/lib/utils.js': ['qs'],
  // HTTP/2, and with it `node:http2`: our servers speak HTTP/1.1, and clients of ours do not offer more.
  'undici/lib/dispatcher/client.js': ['./client-h2.js'],
  // Consumers of groups, and the producer: `partition-reader.ts` and `producer.ts` do their work.
  'kafkajs/src/index.js': ['./consumer', './producer'],
  'kafkajs/src/admin/index.js': ['../consumer'],
};

const NOTHING = new URL('./nothing.ts', import.meta.url).href;

/**
 * Has Node load nothing in their place. To be called before the first of these packages is imported; whoever uses such a
 * part all the same is told that it is not a function.
 */
export function leaveOutUnusedParts(): void {
  const askedBy = new Map<string, string[]>();
  for (const [file, parts] of Object.entries(UNUSED)) {
    for (const part of parts) askedBy.set(part, [...(askedBy.get(part) ?? []), `/node_modules/${file}`]);
  }
  registerHooks({
    resolve(specifier, context, next) {
      const files = askedBy.get(specifier);
      return files?.some((file) => context.parentURL?.endsWith(file))
        ? { url: NOTHING, shortCircuit: true }
        : next(specifier, context);
    },
  });
}
