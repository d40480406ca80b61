import { createHash } from 'node:crypto';
import type { IncomingMessage } from 'node:http';
import type { z } from 'zod';
import { bodyOf, MOST_BODY_BYTES } from '#platform/request-body.ts';
import { Refusal } from './refusal.ts';

/**
 * The body of a request, expected to be JSON.
 * @throws Refusal 415 for another media type or a content coding, 413 when larger than the contract allows
 */
export function readBody(req: IncomingMessage, mediaTypes: readonly string[]): Buffer {
  const body = bodyOf(req);
  if (body === 'too large') {
    throw new Refusal('body-too-large', `send at most ${MOST_BODY_BYTES} bytes`);
  }
  const [mediaType, ...parameters] = (req.headers['content-type'] ?? '').toLowerCase().split(';');
  const charset = parameters.map((one) => one.trim()).find((one) => one.startsWith('charset='));
  if (!mediaTypes.includes(mediaType!.trim()) || (charset && !/^charset="?utf-8"?$/.test(charset))) {
    throw new Refusal(
      'unsupported-media-type',
      `send the body as ${mediaTypes.join(' or ')}, in UTF-8, with that Content-Type`,
    );
  }
  if ((req.headers['content-encoding'] ?? 'identity') !== 'identity') {
    throw new Refusal('unsupported-media-type', 'send the body without a Content-Encoding');
  }
  return body;
}

// Drops a byte order mark: RFC 8259, 8.1 allows it, and editors and older clients write one.
const UTF_8 = new TextDecoder('utf-8', { fatal: true });

/**
 * Reads bytes as JSON in the shape of a schema.
 * @throws Refusal 400 naming the failing members
 */
export function parseBody<S extends z.ZodType>(bytes: Buffer, schema: S): z.infer<S> {
  let value: unknown;
  try {
    value = JSON.parse(UTF_8.decode(bytes));
  } catch (cause) {
    const why =
      bytes.length === 0
        ? 'it is empty'
        : cause instanceof SyntaxError
          ? 'it is not JSON'
          : 'it is not UTF-8';
    throw new Refusal('invalid-request', `the body cannot be read: ${why}`, {
      errors: [{ at: 'body', message: why }],
      cause,
    });
  }
  return parse(value, schema, 'body');
}

/**
 * Validates a value by its schema.
 * @throws Refusal 400 naming the failing members
 */
export function parse<S extends z.ZodType>(value: unknown, schema: S, where: string): z.infer<S> {
  const parsed = schema.safeParse(value);
  if (parsed.success) return parsed.data;
  // A hostile body must not make the answer large.
  const errors = parsed.error.issues.slice(0, 20).map(({ path, message }) => ({
    at: [where, ...path].join('.').slice(0, 200),
    message: message.slice(0, 300),
  }));
  throw new Refusal(
    'invalid-request',
    `change ${errors.map(({ at, message }) => `${at}: ${message}`).join('; ')}`,
    {
      errors,
    },
  );
}

/** Identifies equal requests: by method, address and body. */
export const fingerprintOf = (req: { method?: string; originalUrl: string }, body: Buffer): Buffer =>
  createHash('sha256').update(`${req.method} ${req.originalUrl}\n`).update(body).digest();
