import { createHash } from 'node:crypto';

/** Ten digits that change with the content, fit for a name or a label. */
export const fingerprint = (content: unknown): string =>
  createHash('sha256').update(JSON.stringify(content)).digest('hex').slice(0, 10);
