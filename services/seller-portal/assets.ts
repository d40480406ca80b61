import { createHash } from 'node:crypto';
import type { Router } from 'express';

/**
 * Serves a file of this folder from memory.
 * @returns its address, which changes with its content, so that browsers may keep it for ever
 * @throws when there is no such file: that must end the start
 */
export function serveAsset(router: Router, name: string, type: 'js' | 'css'): string {
  const content = process.getBuiltinModule('node:fs').readFileSync(new URL(name, import.meta.url));
  const hash = createHash('sha256').update(content).digest('base64url').slice(0, 12);
  const path = `/assets/self-view/${name}`;
  router.get(path, (req, res) => {
    // An address without today's hash was written by another version of this server.
    const isToday = req.query['v'] === hash;
    res.set('cache-control', isToday ? 'public, max-age=31536000, immutable' : 'public, no-cache');
    res.type(type).send(content);
  });
  return `${path}?v=${hash}`;
}
