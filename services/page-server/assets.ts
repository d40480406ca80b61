import { createHash } from 'node:crypto';
import { extname } from 'node:path';
import type { RequestHandler } from 'express';

const TYPES: Readonly<Record<string, string>> = {
  '.css': 'text/css; charset=utf-8',
  '.js': 'text/javascript; charset=utf-8',
  '.svg': 'image/svg+xml',
};

export interface Assets {
  /** The address of a file, with the hash of its content, so that browsers may keep it for ever. */
  addressOf(name: string): string;
  /** Serves `/assets/:name`; leaves unknown names to the next handler. */
  readonly serve: RequestHandler;
}

/** Reads the files of a folder into memory, once. */
export function loadAssets(folder: URL): Assets {
  const { readdirSync, readFileSync } = process.getBuiltinModule('node:fs');
  const files = new Map<string, { body: Buffer; type: string; hash: string }>();
  for (const name of readdirSync(folder)) {
    const type = TYPES[extname(name)];
    if (type === undefined) continue;
    const body = readFileSync(new URL(name, folder));
    files.set(name, {
      body,
      type,
      hash: createHash('sha256').update(body).digest('base64url').slice(0, 12),
    });
  }
  return {
    addressOf(name) {
      const file = files.get(name);
      if (file === undefined) throw new Error(`there is no asset ${name}`);
      return `/assets/${name}?v=${file.hash}`;
    },
    serve(req, res, next) {
      const file = files.get(String(req.params['name']));
      if (file === undefined) return next();
      res.set({
        'content-type': file.type,
        // An address without today's hash was written by another version of this server.
        'cache-control':
          req.query['v'] === file.hash ? 'public, max-age=31536000, immutable' : 'public, no-cache',
      });
      res.end(file.body);
    },
  };
}
