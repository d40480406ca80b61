import { createHash } from 'node:crypto';

/** Ten hex digits that change with the content, valid in a name or a label. */
export const fingerprint = (content: unknown): string =>
  createHash('sha256').update(JSON.stringify(content)).digest('hex').slice(0, 10);
