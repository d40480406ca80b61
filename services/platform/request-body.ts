import type { IncomingMessage } from 'node:http';
import { parse } from 'node:querystring';

/** Bytes of a body at most, a form's as well as JSON's: the largest that is asked for takes half of that. */
export const MOST_BODY_BYTES = 32 * 1024;

const NO_BODY: Buffer = Buffer.alloc(0);
const bodies = new WeakMap<IncomingMessage, Buffer | 'too large'>();

/** The body of a request that is handled: all of it, or that it is larger than {@link MOST_BODY_BYTES}. */
export const bodyOf = (req: IncomingMessage): Buffer | 'too large' => bodies.get(req) ?? NO_BODY;

/** Fields of a form at most: several times as many as any of our forms has. */
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
  // Without a prototype, so that no field's name has a special meaning.
  return parse(body.toString(), '&', '=', { maxKeys: MOST_FIELDS });
}

const hasBody = ({ headers }: IncomingMessage): boolean =>
  headers['transfer-encoding'] !== undefined || Number(headers['content-length'] ?? 0) > 0;

/**
 * Reads the body, and calls `then` once all of it is there, or as soon as it is known to be too large; never when the
 * client leaves before. The rest of a body that is too large is read and dropped: a client that is cut off while it
 * sends could not read the refusal. The timeout of requests bounds that.
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
