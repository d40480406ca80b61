import { z } from 'zod';
import { DatabaseUrl, WrongDatabaseUrl } from './database-url.ts';

/**
 * One setting of a role. Its environment variable starts with `TC_`; `--data-dir` is the flag of `TC_DATA_DIR`. A
 * variable that others have named, `OTEL_…`, keeps its name, and its flag is the whole name.
 */
export interface Setting<S extends z.ZodType = z.ZodType> {
  readonly env: `${'TC' | 'OTEL'}_${string}`;
  /** What it sets, with its unit: shown by `--help` and in every complaint about it. */
  readonly about: string;
  /** Judges the raw string; a `.default()` makes the setting optional. */
  readonly schema: S;
}
type Settings = Readonly<Record<string, Setting>>;
export type Config<T extends Settings> = { readonly [K in keyof T]: z.infer<T[K]['schema']> };

export const setting = <S extends z.ZodType>(env: Setting['env'], about: string, schema: S): Setting<S> => ({
  env,
  about,
  schema,
});

export const integer = (minimum: number, maximum: number) =>
  z.coerce.number().int().min(minimum).max(maximum);
/** An optional setting within a range that others declare. */
export const integerIn = (range: { least: number; most: number; default: number }) =>
  integer(range.least, range.most).default(range.default);
export const milliseconds = (maximum = 600_000) => integer(0, maximum);
export const port = () => integer(0, 65_535);
export const boolean = () => z.stringbool();
/** A URL that may be logged. `fetch` refuses one with a password anyway, and would name it in its error. */
export const url = () =>
  z.url().refine((text) => {
    const { username, password } = URL.parse(text) ?? { username: '', password: '' };
    return username === '' && password === '';
  }, 'must be an address without a user and a password');
export const databaseUrl = () =>
  z.string().transform((text, context) => {
    try {
      return DatabaseUrl.of(text);
    } catch (err) {
      if (!(err instanceof WrongDatabaseUrl)) throw err;
      context.addIssue({ code: 'custom', message: err.message });
      return z.NEVER;
    }
  });
export const list = () => z.string().transform((value) => value.split(',').map((item) => item.trim()));

/** Thrown when settings are missing, unknown or wrong; the message names each and says what to change. */
export class ConfigError extends Error {
  override name = 'ConfigError';
}

/**
 * Whether a value that the setting refused may be shown. Only where it takes a number or one of a few words: anything
 * else may hold a password, and a complaint goes into logs and conditions.
 */
function isTellable(schema: z.core.$ZodType): boolean {
  const { def } = schema._zod;
  if (['number', 'boolean', 'enum'].includes(def.type)) return true;
  const { innerType, out } = def as { innerType?: z.core.$ZodType; out?: z.core.$ZodType };
  const within = innerType ?? out;
  return within !== undefined && isTellable(within);
}

const flagOf = (env: string) => `--${env.replace(/^TC_/, '').toLowerCase().replaceAll('_', '-')}`;

/**
 * Reads a role's configuration once, flags before environment.
 * @param argv what follows the role on the command line: `--port 8080` or `--port=8080`, `--flag` for true
 * @param isGuest whether the role runs in the environment of another role, whose settings it then ignores
 * @throws ConfigError naming every missing, unknown or wrong setting
 */
export function readConfig<T extends Settings>(
  role: string,
  settings: T,
  argv: readonly string[],
  env: Readonly<Record<string, string | undefined>>,
  isGuest = false,
): Config<T> {
  const known = new Map(Object.values(settings).map((one) => [one.env as string, one]));
  const complaints: string[] = [];
  const raw = new Map<string, string>();
  for (const [name, value] of Object.entries(env)) {
    if (value === undefined) continue;
    if (known.has(name)) raw.set(name, value);
    else if (name.startsWith('TC_') && !isGuest)
      complaints.push(`${name} is not a setting of ${role}; remove it or correct its name`);
  }
  const flags = new Map([...known.keys()].map((name) => [flagOf(name), name]));
  for (let i = 0; i < argv.length; i++) {
    const [flag, inline] = argv[i]!.split(/=(.*)/s, 2) as [string, string | undefined];
    const name = flags.get(flag);
    if (name === undefined) {
      // An argument that is no flag is not shown: it may be the value of a flag whose name was forgotten.
      const what = flag.startsWith('--') ? flag : `argument ${i + 1}`;
      complaints.push(`${what} is not a flag of ${role}; it takes ${[...flags.keys()].join(', ')}`);
      continue;
    }
    const next = argv[i + 1];
    if (inline !== undefined) raw.set(name, inline);
    else if (next !== undefined && !next.startsWith('--')) raw.set(name, argv[++i]!);
    else raw.set(name, 'true');
  }
  const config: Record<string, unknown> = {};
  for (const [key, one] of Object.entries(settings)) {
    const parsed = one.schema.safeParse(raw.get(one.env));
    if (parsed.success) config[key] = parsed.data;
    else {
      const value = raw.get(one.env);
      const given =
        value === undefined
          ? 'is missing'
          : isTellable(one.schema)
            ? `is ${JSON.stringify(value)}`
            : 'is wrong';
      const [issue] = parsed.error.issues;
      complaints.push(`${one.env} (or ${flagOf(one.env)}) ${given}: ${one.about}; ${issue?.message}`);
    }
  }
  if (complaints.length > 0) throw new ConfigError(`${role} cannot start:\n  ${complaints.join('\n  ')}`);
  return config as Config<T>;
}

/** The text of `--help` for a role: every setting, one a line. */
export const describeSettings = (settings: Settings): string =>
  Object.values(settings)
    .map((one) => {
      const fallback = one.schema.safeParse(undefined);
      const otherwise = fallback.success ? `default ${JSON.stringify(fallback.data)}` : 'required';
      return `  ${flagOf(one.env).padEnd(34)} ${one.env.padEnd(34)} ${one.about} (${otherwise})`;
    })
    .join('\n');
