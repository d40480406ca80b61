import type { IncomingMessage } from 'node:http';
import { parse } from 'node:querystring';

/** Of a body, a form's as well as JSON's: the largest list of a seller has half of it. */
export const MOST_BODY_BYTES = 32 * 1024;

const NO_BODY: Buffer = Buffer.alloc(0);
const bodies = new WeakMap<IncomingMessage, Buffer | 'too large'>();

/** The body of a request that is handled: all of it, or that it is larger than {@link MOST_BODY_BYTES}. */
export const bodyOf = (req: IncomingMessage): Buffer | 'too large' => bodies.get(req) ?? NO_BODY;

/** Fields of a form at most, as many as any of ours has several times over. */
const MOST_FIELDS = 50;

/**
 * The fields of a sent form, lists where a field comes several times; none for another media type.
 * @returns null when the body is too large
 */
export function formOf(req: IncomingMessage): Record<string, unknown> | null {
  const body = bodyOf(req);
  if (body === 'too large') return null;
  const [mediaType = ''] = (req.headers['content-type'] ?? '').split(';');
  if (mediaType.trim().toLowerCase() !== 'application/x-www-form-urlencoded') return {};
  // Without a prototype, so that no name of a field means something.
  return parse(body.toString(), '&', '=', { maxKeys: MOST_FIELDS });
}

const hasBody = ({ headers }: IncomingMessage): boolean =>
  headers['transfer-encoding'] !== undefined || Number(headers['content-length'] ?? 0) > 0;

/**
 * Reads the body, and calls once all of it is there, or as soon as it is known to be too large; never when the client
 * leaves before. What comes of a body that is too large is dropped rather than cut off: who is still sending could not
 * read the refusal. The time that a request may take bounds it.
 */
export function whenComplete(req: IncomingMessage, then: () => void): void {
  if (!hasBody(req)) {
    then();
    return;
  }
  if (Number(req.headers['content-length'] ?? 0) > MOST_BODY_BYTES) {
    bodies.set(req, 'too large');
    req.resume();
    then();
    return;
  }
  // One buffer that grows: a list of pieces costs a hundred times what is in them when each has one byte.
  let body: Buffer = Buffer.allocUnsafe(1024);
  let size = 0;
  req.on('data', (piece: Buffer) => {
    if (size > MOST_BODY_BYTES) return;
    if (size + piece.length > MOST_BODY_BYTES) {
      size = Number.POSITIVE_INFINITY;
      body = NO_BODY;
      bodies.set(req, 'too large');
      then();
      return;
    }
    if (size + piece.length > body.length) {
      const larger = Buffer.allocUnsafe(Math.max(2 * body.length, size + piece.length));
      body.copy(larger, 0, 0, size);
      body = larger;
    }
    piece.copy(body, size);
    size += piece.length;
  });
  req.once('end', () => {
    if (size > MOST_BODY_BYTES) return;
    bodies.set(req, body.subarray(0, size));
    then();
  });
}
